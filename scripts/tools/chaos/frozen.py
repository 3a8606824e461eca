"""Stops the daemon itself for a while, and continues it, among services that beat all the time.

Half of them send as systemd's library does and wait for room in the socket's queue, which is soon full; half use
`supervisor.heartbeat`, which drops what cannot be sent at once. None may be suspected, and none restarted, because of
the stop.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from scripts.tools.chaos.private_daemon import daemon, ended, events, moment, suspected, tell
from supervisor.core.model.causes import Cause

WARM, AFTERWARDS = 5.0, 5.0
"""Seconds in which they beat before the daemon stops and after it continues."""
WAITS = """
import os, socket, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.connect(os.environ["NOTIFY_SOCKET"])
    sock.send(b"READY=1")
    while True:
        time.sleep(0.2)
        sock.send(b"WATCHDOG=1\\nSENT_USEC=%d" % (time.monotonic_ns() // 1000))
"""
DROPS = """
import sys, time
sys.path.insert(0, sys.argv[1])
import heartbeat
heartbeat.ready()
while True:
    time.sleep(0.2)
    heartbeat.beat()
"""
SERVICES = """
[defaults]
ready = {{{{ notify = true }}}}
heartbeat = {{{{ interval = "200ms", min_timeout = "1s", max_timeout = "10s" }}}}
start_timeout = "2m"
[services.waits]
command = ["{{python}}", "-S", "{{place}}/waits.py"]
replicas = {half}
[services.drops]
command = ["{{python}}", "-S", "{{place}}/drops.py", "{{root}}/supervisor"]
replicas = {half}
"""


def frozen(seconds: float, count: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Stop the daemon for `seconds` among `count` services; "violations" lists what that did to them."""
    services = SERVICES.format(half=max(1, count // 2))
    with daemon(services, {"waits.py": WAITS, "drops.py": DROPS}) as (client, _):
        pid = client.status()["supervisor"]["pid"]
        say(f"{2 * max(1, count // 2)} services beat; the daemon is pid {pid}")
        time.sleep(WARM)
        began = time.time()
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
        time.sleep(AFTERWARDS)
        told = [e for e in events(client) if moment(e) >= began]
        status = client.status()
    kills = [f"{e['instance']} was ended: {e['cause']}" for e in told if ended(e)]
    suspicions = [e for e in told if suspected(e)]
    held = [e for e in told if e["cause"] == Cause.HELD]
    silent = [r["name"] for r in status["instances"] if r["state"] != "running"]
    say(f"stopped for {seconds:g} s: {len(kills)} kills, {len(suspicions)} suspicions, {len(held)} holds")
    for hold in held[:3]:
        say(f"  held: {hold['at']} {hold['instance']} {hold['detail']}")
    violations = kills + [f"{name} does not run afterwards" for name in silent]
    violations += [f"{e['instance']} was suspected: {e['detail']}" for e in suspicions]
    if not status["supervisor"]["host_starved"]:
        violations.append("the daemon did not notice that it had not run")
    return tell({"violations": violations, "suspicions": len(suspicions), "kills": len(kills)}, say)
