#!/usr/bin/env bash
# gunicorn drops the addresses of --bind, without a word, where its manager passes it a socket.
#
# One would expect what nginx, HAProxy or a reader of the option's text would do: that the address on the command line is
# listened at in any case, beside the passed socket, or that the start is refused because both were given.  gunicorn serves the
# passed socket alone.  The port of --bind refuses connections, no line of its log names it, and gunicorn looks healthy.
#
# It matters wherever a server is moved under a manager that holds its sockets (a systemd .socket unit, a supervisor's `sockets`)
# one address at a time: a second --bind, for metrics or for a probe of its health, is gone from that start on, and the probe
# that was to show that all is well ends healthy servers.  LISTEN_FDS counts only where LISTEN_PID is gunicorn's own pid.
#
# Seen 2026-11-29 with gunicorn 27.0.1 on CPython 3.11.7.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check gunicorn==27.0.1

cat >"$place/app.py" <<'PYTHON'
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]
PYTHON
cat >"$place/finding.py" <<'PYTHON'
import os, socket, subprocess, sys

passed = socket.create_server(("127.0.0.1", 0))
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
os.dup2(passed.fileno(), 9, inheritable=True)
script = 'exec 3<&9; [ "$1" = none ] || { export LISTEN_FDS=1 LISTEN_PID=$$; }; shift; exec "$@"'
command = [sys.argv[1], "--no-control-socket", "--bind", f"127.0.0.1:{port}", "app:app"]
process = subprocess.Popen(
    ["sh", "-c", script, "sh", sys.argv[2], *command], pass_fds=[9], stderr=subprocess.PIPE, text=True
)
log = []
for line in process.stderr:
    log.append(line)
    if "Booting worker" in line:
        break


def answers(number):
    try:
        with socket.create_connection(("127.0.0.1", number), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return b"200 OK" in client.recv(100)
    except OSError:
        return False


told = any(str(port) in line for line in log)
at_passed = answers(passed.getsockname()[1]) if sys.argv[2] == "passed" else False
print(f"passed socket {'answers' if at_passed else 'unused'}, --bind {'answers' if answers(port) else 'refuses'}, "
      f"{'named' if told else 'not named'} in the log")
process.terminate()
process.wait()
PYTHON

cd "$place"
for pair in "none=passed socket unused, --bind answers, named in the log" \
    "passed=passed socket answers, --bind refuses, not named in the log"; do
    seen=$(venv/bin/python finding.py venv/bin/gunicorn "${pair%%=*}")
    echo "${pair%%=*}: $seen"
    [ "$seen" = "${pair#*=}" ] || { echo "changed: expected ${pair#*=}"; exit 1; }
done
