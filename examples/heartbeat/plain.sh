#!/bin/sh
# Shell, with nothing: what it prints is its heartbeat.
#
#   [services.worker]
#   command = ["sh", "examples/heartbeat/plain.sh"]
#   ready = { log = "^ready$" }
#   heartbeat = { source = "log", log = "^job [0-9]+ done$", interval = "2s" }
#
# Or a file that it touches, where its output is for something else:  : >"$BEAT_FILE"
#   heartbeat = { source = "file", file = "/run/worker.beat", interval = "2s" }

echo ready
job=0
while :; do
    sleep 0.5 # the job
    job=$((job + 1))
    echo "job $job done"
done
