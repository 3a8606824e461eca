"""Starves the host of healthy workers: none may be restarted for it, and one that really hangs must still be found.

Sixteen busy loops run, and, where a memory limit can be set, reads of a file that does not fit into it. As root, a
real-time loop also runs on one CPU, with `meek` workers that may run on that CPU alone and get a twentieth of it, once
a second. At half-time one worker waits for ever for a lock.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from scripts.tools.chaos.pressure import busy_host
from scripts.tools.chaos.private_daemon import daemon, ended, events, moment, suspected, tell
from supervisor.adapters.linux import procfs
from supervisor.client import Client

LOOPS = 16
WORKERS = 4
MAX_TIMEOUT = 30.0
WORKER = """
import os, signal, socket, threading, time
if "PINNED" in os.environ:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
hang = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: hang.set())
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.connect(os.environ["NOTIFY_SOCKET"])
    sock.send(b"READY=1")
    while True:
        time.sleep(0.1)
        if hang.is_set():
            threading.Event().wait()
        sock.send(b"WATCHDOG=1\\nSENT_USEC=%d" % (time.monotonic_ns() // 1000))
"""
SERVICES = f"""
[defaults]
command = ["{{python}}", "{{place}}/worker.py"]
ready = {{{{ notify = true }}}}
heartbeat = {{{{ interval = "100ms", min_timeout = "500ms", max_timeout = "{MAX_TIMEOUT:g}s" }}}}
[services.worker]
replicas = {WORKERS}
[services.meek]
replicas = {WORKERS}
environment = {{{{ PINNED = "yes" }}}}
start_timeout = "5m"
"""


def starvation(seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Starve the host for `seconds`; reports what became of the workers, and "violations"."""
    with daemon(SERVICES, {"worker.py": WORKER}) as (client, place), busy_host(place, say, LOOPS, real_time=True):
        began = time.monotonic()
        _wait(seconds / 2, say, client)
        hung = "worker@1"
        client.act("signal", [hung], "USR1")
        hung_at = time.time()
        _wait(max(seconds / 2, MAX_TIMEOUT), say, client)
        return _verdict(client, hung, hung_at, time.monotonic() - began, say)


def _wait(seconds: float, say: Callable[[str], None], client: Client) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 15.0))
        pressure = (procfs.read("/proc/pressure/cpu") or b"").decode().split(" ")[1:2]
        rows = client.status()["instances"]
        states = Counter(r["state"] for r in rows)
        doubted = sum(r["false_suspicions"] for r in rows)
        say(f"  cpu pressure {''.join(pressure)}  {dict(states)}  {doubted} suspicions cleared")


def _verdict(client: Client, hung: str, hung_at: float, lasted: float, say: Callable[[str], None]) -> dict[str, Any]:
    told = events(client)
    ends = [e for e in told if ended(e)]
    needless = [f"{e['at']} {e['instance']}: {e['cause']}" for e in ends if e["instance"] != hung]
    needless += [
        f"{e['at']} {hung}: {e['cause']}, before it hung" for e in ends if e["instance"] == hung and moment(e) < hung_at
    ]
    found = [e for e in ends if e["instance"] == hung and moment(e) >= hung_at]
    after = moment(found[0]) - hung_at if found else None
    holds = [e for e in told if e["cause"] == "held"]
    violations = [f"restarted although healthy: {what}" for what in needless]
    if after is None or after > MAX_TIMEOUT:
        violations.append(f"the worker that hung was not found within {MAX_TIMEOUT:g} s")
    if not holds and os.geteuid() == 0:
        violations.append("nobody was held: the host was not starved, and nothing is shown")
    violations += [f"a hold without numbers: {e}" for e in holds if not e["detail"].keys() & {"ran_s", "silence_s"}]
    suspicions = sum(map(suspected, told))
    for hold in holds[:20]:
        detail = {key: hold["detail"].get(key) for key in ("held", "for_s", "ran_s", "waited")}
        say(f"  held: {hold['at']} {hold['instance']} {detail}")
    say(f"{lasted:.0f} s, {2 * WORKERS} workers at 10 beats a second: {suspicions} suspicions, {len(holds)} holds, ")
    say(f"{len(needless)} healthy ones restarted; the one that hung was found after {after or float('nan'):.2f} s")
    report = {"violations": violations, "suspicions": suspicions, "holds": len(holds), "found_after_s": after}
    return tell(report, say)
