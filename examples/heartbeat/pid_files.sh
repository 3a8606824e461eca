#!/bin/sh
# Tells when each worker last touched its file in the folder $1; a file is named after the worker's pid.
#   heartbeat = { source = "exec", scope = "process", exec = ["sh", "pid_files.sh", "/run/workers"] }
now=$(date +%s)
for file in "$1"/*; do
    touched=$(stat -c %Y "$file") && echo "${file##*/} $((now > touched ? now - touched : 0))"
done
