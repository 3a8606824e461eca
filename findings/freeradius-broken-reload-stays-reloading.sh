#!/usr/bin/env bash
# FreeRADIUS: a reload that fails says RELOADING=1 and never READY=1, while the server goes on and says WATCHDOG=1.
#
# One would expect READY=1 after each RELOADING=1, as sd_notify(3) asks for: HAProxy, named, PgBouncer and Knot say it also
# where the new configuration cannot be read and the old one stays.  FreeRADIUS says it only where the reload succeeds.
# And a SIGHUP that finds no file changed, or comes within five seconds of the last one, says neither.
#
# It matters for a manager that waits for READY=1: systemd (Type=notify) shows "reloading" until the next reload that
# succeeds, and `systemctl reload` waits until its timeout.  Nothing is wrong with the server itself.
#
# Seen 2026-11-30 with FreeRADIUS 3.2.1 (Debian 12).
set -euo pipefail
PATH="$PATH:/usr/sbin"
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

freeradius -v | sed -n 1p
python3 - "$place" <<'PYTHON'
import os, signal, socket, subprocess, sys
from pathlib import Path

place = Path(sys.argv[1])
with socket.create_server(("127.0.0.1", 0)) as one:
    port = one.getsockname()[1]
conf = place / "radiusd.conf"
text = f"""
prefix = /usr
localstatedir = {place}
logdir = {place}
run_dir = {place}
libdir = /usr/lib/freeradius
client localhost {{
    ipaddr = 127.0.0.1
    secret = testing
}}
server default {{
    listen {{
        type = auth
        proto = tcp
        ipaddr = 127.0.0.1
        port = {port}
    }}
    authorize {{
    }}
}}
"""
door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
door.bind(str(place / "notify"))
door.settimeout(60)
log = place / "log"


def written(content, age):
    """The configuration with a time of its own: a reload looks at the time in whole seconds."""
    conf.write_text(content)
    os.utime(conf, (1_000_000_000 + age,) * 2)


def said(until, at_beat=lambda words: None):
    """The words RELOADING=1 and READY=1, until a WATCHDOG=1 after the condition holds."""
    words = []
    while True:
        lines = door.recv(4096).decode().split("\n")
        words += [line for line in lines if line in ("RELOADING=1", "READY=1")]
        if "WATCHDOG=1" in lines:
            if until(words):
                return " ".join(words) or "nothing"
            at_beat(words)


def again(words):
    """A SIGHUP that comes too soon after the last one is ignored."""
    if not words:
        radius.send_signal(signal.SIGHUP)


written(text, 1)
with open(log, "w") as output:
    radius = subprocess.Popen(
        ["freeradius", "-f", "-d", str(place), "-l", "stdout"], stdout=output, stderr=output,
        env={**os.environ, "NOTIFY_SOCKET": str(place / "notify"), "WATCHDOG_USEC": "3000000"},
    )
try:
    seen = [f"start: {said(lambda words: 'READY=1' in words)}"]
    written(text, 2)
    seen.append(f"reload: {said(lambda words: 'READY=1' in words, again)}")
    written("server {\n", 3)
    seen.append(f"failed reload: {said(lambda words: 'Failed to re-read' in log.read_text(), again)}")
    seen.append(f"runs: {radius.poll() is None}")
finally:
    radius.kill()
expected = ["start: READY=1", "reload: RELOADING=1 READY=1", "failed reload: RELOADING=1", "runs: True"]
print(*seen, sep="\n")
if seen != expected:
    sys.exit(f"changed; it was: {expected}")
PYTHON
