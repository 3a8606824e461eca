#!/usr/bin/env bash
# A non-blocking connect() that succeeded is reported as failed when the server resets the connection before the caller looks.
#
# One would expect that the outcome of connect() is settled when the handshake is over, so that a server which accepts a
# connection and ends it at once gives "connected", and an error only at the first read.  A blocking connect() does give that.
# A non-blocking one is asked for its outcome later, by SO_ERROR, and this tells of the socket's last error: the reset.  asyncio
# and uvloop raise ConnectionResetError from the connect for a connection that the server had accepted.
#
# It matters for whatever asks "does the port accept connections?" from an event loop, on a host where that loop may run late:
# a TLS proxy whose own backend is away (stunnel) resets each connection at once, and looks down in just those checks that came
# late.  A refused connection is ECONNREFUSED, never ECONNRESET.  (Where net.ipv4.tcp_abort_on_overflow is 1 a full accept queue
# resets, too; it is 0 by default.)
#
# Seen 2026-11-29 with CPython 3.11.7 and uvloop 0.22.1 on Linux 6.18.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check uvloop==0.22.1

cat >"$place/finding.py" <<'PYTHON'
import asyncio, socket, struct, sys, threading

listener = socket.create_server(("127.0.0.1", 0))
accepted = threading.Event()


def serve():
    connection, _ = listener.accept()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    accepted.set()


async def connect():
    # The loop is busy between the call of connect() and its look at the outcome, until the server has done its part.
    asyncio.get_running_loop().call_soon(accepted.wait)
    await asyncio.open_connection(*listener.getsockname())


threading.Thread(target=serve, daemon=True).start()
try:
    if sys.argv[1] == "blocking":
        socket.create_connection(listener.getsockname())
    elif sys.argv[1] == "asyncio":
        asyncio.run(connect())
    else:
        import uvloop

        uvloop.run(connect())
except OSError as error:
    print(type(error).__name__)
else:
    print("connected")
PYTHON

for pair in blocking=connected asyncio=ConnectionResetError uvloop=ConnectionResetError; do
    seen=$("$place/venv/bin/python" "$place/finding.py" "${pair%=*}")
    echo "${pair%=*}: $seen"
    [ "$seen" = "${pair#*=}" ] || { echo "changed: expected ${pair#*=}"; exit 1; }
done
