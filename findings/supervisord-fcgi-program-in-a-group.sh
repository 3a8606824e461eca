#!/usr/bin/env bash
# An fcgi-program of supervisord that a [group] names is started without its socket.
#
# One would expect that [group:x] only gathers programs, so that each of them runs as it does alone.  But a program in a
# group is read as an ordinary process: the key `socket` is dropped, no socket is made, descriptor 0 is /dev/null, and the
# log says "entered RUNNING state".  The same section without the group gets its socket.
#
# Seen 2026-11-29 with supervisor 4.3.0 from PyPI, CPython 3.11.7: "alone socket", "member none", and no file for the
# socket of the member.
# It matters for php-fpm's kin and other FastCGI servers: gathered in a group, they run, and answer nobody.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" --disable-pip-version-check install --quiet supervisor==4.3.0

cat >"$place/told.py" <<'PYTHON'
import os
import stat
import sys

print(sys.argv[1], "socket" if stat.S_ISSOCK(os.fstat(0).st_mode) else "none", flush=True)
sys.stdin.close()
PYTHON
cat >"$place/supervisord.conf" <<CONF
[supervisord]
nodaemon=true
directory=$place
logfile=$place/log
pidfile=$place/pid
childlogdir=$place
[fcgi-program:alone]
command=$place/venv/bin/python $place/told.py alone
socket=unix://$place/alone.sock
startsecs=0
autorestart=false
stdout_logfile=$place/alone.out
[fcgi-program:member]
command=$place/venv/bin/python $place/told.py member
socket=unix://$place/member.sock
startsecs=0
autorestart=false
stdout_logfile=$place/member.out
[group:both]
programs=member
CONF
"$place/venv/bin/supervisord" -c "$place/supervisord.conf" >/dev/null 2>&1 &
supervisord=$!
for _ in $(seq 200); do
    [ -s "$place/alone.out" ] && [ -s "$place/member.out" ] && break
    sleep 0.1
done
kill "$supervisord"
wait "$supervisord" || true
cat "$place/alone.out" "$place/member.out"
[ "$(cat "$place/alone.out")" = "alone socket" ] || { echo "changed: alone it has no socket" >&2; exit 1; }
[ "$(cat "$place/member.out")" = "member none" ] || { echo "changed: in a group it has its socket" >&2; exit 1; }
