#!/bin/sh
# Shell, with systemd-notify (Debian: package systemd): a process of its own for every beat, so not many a second.
#
#   [services.worker]
#   command = ["sh", "examples/heartbeat/notify.sh"]
#   ready = { notify = true }
#   heartbeat = { source = "notify", interval = "2s" }

tell() {
    [ -z "$NOTIFY_SOCKET" ] || systemd-notify "$@" || true
}

tell --ready --status="waiting for jobs"
job=0
while :; do
    sleep 0.5 # the job
    job=$((job + 1))
    tell WATCHDOG=1 STATUS="$job jobs done"
done
