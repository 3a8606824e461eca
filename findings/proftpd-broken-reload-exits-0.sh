#!/usr/bin/env bash
# ProFTPD: a configuration that cannot be read ends a running server at SIGHUP with exit 0; at the start it is exit 1.
#
# One would expect that the server goes on with the configuration that it has, as nginx and HAProxy do, or
# that it ends with an error, as sshd (255) and Squid (1).  The log has "fatal: unknown configuration directive", and the
# server is gone; but its exit code is that of an ordered stop.
#
# It matters for whoever restarts on failure alone (Restart=on-failure, restart.policy = "on-failure"): one wrong word in
# a file, and the server is away without a failure.  `proftpd -t` before the signal finds the word.
#
# Seen 2026-11-30 with ProFTPD 1.3.8 (Debian 12).
set -euo pipefail
PATH="$PATH:/usr/sbin"
place=$(mktemp -d)
pid=
trap 'kill "$pid" 2>/dev/null || true; rm -rf "$place"' EXIT

port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir "$place/scores"
cat >"$place/conf" <<CONFIG
ServerType standalone
DefaultAddress 127.0.0.1
SocketBindTight on
Port $port
User $(id -un)
Group $(id -gn)
PidFile $place/pid
ScoreboardFile $place/scores/board
DelayTable none
WtmpLog off
CONFIG
proftpd --version
proftpd -n -c "$place/conf" >"$place/log" 2>&1 &
pid=$!
until (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    kill -0 "$pid" || { cat "$place/log" >&2; exit 1; }
    read -r -t 0.05 <> <(:) || true
done

echo "Nonsense on" >>"$place/conf"
checked=0
proftpd -t -c "$place/conf" >/dev/null 2>&1 || checked=$?
kill -HUP "$pid"
running=0
wait "$pid" || running=$?
started=0
proftpd -n -c "$place/conf" >/dev/null 2>&1 || started=$?

seen="check: exit $checked, reload: exit $running, start: exit $started"
expected='check: exit 1, reload: exit 0, start: exit 1'
echo "$seen"
grep -o "fatal: unknown configuration directive.* on line" "$place/log"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected" >&2; exit 1; }
