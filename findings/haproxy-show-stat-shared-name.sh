#!/usr/bin/env bash
# HAProxy: where a frontend and a backend have one name, `show stat NAME 4 ID` shows no server of the backend.
#
# One would expect the row of the server: servers (type 4) exist in backends alone, the manual allows a frontend and a
# backend to share a name, `show stat` without a name lists the server, and `set server NAME/SERVER` changes it.  But the
# name is looked up among all proxies, the first of them is the frontend, and what is printed is a header without a row,
# and no error.  A `listen` section, or another name for the frontend, shows the row.
#
# It matters for whatever waits until a server that is drained has no session left: an answer without a row reads like
# one without a session, and the server is stopped with its requests.
#
# Seen 2026-11-28 with HAProxy 2.6.12 (Debian 12).
set -euo pipefail
PATH="$PATH:/usr/sbin"
place=$(mktemp -d)
trap 'kill "$pid" 2>/dev/null || true; rm -rf "$place"' EXIT

ask() {
    python3 - "$place/sock" "$1" <<'PYTHON'
import socket, sys

with socket.socket(socket.AF_UNIX) as asked:
    asked.connect(sys.argv[1])
    asked.sendall(sys.argv[2].encode() + b"\n")
    answer = b"".join(iter(lambda: asked.recv(65536), b"")).decode()
rows = [line for line in answer.splitlines() if line and not line.startswith("#")]
print(f"{sys.argv[2]}: {', '.join(','.join(row.split(',')[:2]) for row in rows) or 'no row'}")
PYTHON
}

cat >"$place/cfg" <<CONFIG
global
    stats socket $place/sock level admin
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend web
    bind unix@$place/web
    default_backend web
backend web
    server one 127.0.0.1:1 id 1 disabled
frontend in:api
    bind unix@$place/api
    default_backend api
backend api
    server one 127.0.0.1:1 id 1 disabled
CONFIG
haproxy -v | head -1
haproxy -db -f "$place/cfg" >/dev/null 2>&1 &
pid=$!
until [ -S "$place/sock" ]; do read -r -t 0.05 <> <(:) || true; done

seen=$(ask "show stat web 4 1"; ask "show stat api 4 1"; ask "show stat -1 4 -1")
expected='show stat web 4 1: no row
show stat api 4 1: api,one
show stat -1 4 -1: web,one, api,one'
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected" >&2; exit 1; }
