"""Hangs workers that beat ten times a second, one by one at random phases, and measures how soon that is detected.

The hang is a signal handler that waits for ever for a lock, in the thread that beats. The event `suspect` marks the
detection, and the event `stopping`, after an examination and the stacks, the reaction.
"""

from __future__ import annotations

import random
import signal
import statistics
import time
from collections.abc import Callable
from typing import Any

from scripts.tools.chaos.private_daemon import daemon, ended, events, moment, suspected, tell
from supervisor.client import Client
from supervisor.core.model.documents import Event

WITHIN = 1.0
"""Seconds allowed from the hang to the suspicion."""
HEARTBEAT = '{{ interval = "100ms", target = {{ detect_within = "1s", max_false_restarts = "1/30d" }} }}'
WORKERS = 4
UP_FOR = (2.0, 3.0)
"""Seconds that a worker beats at least before it hangs: from, to."""
WORKER = """
import os, signal, socket, threading, time
signal.signal(signal.SIGUSR1, lambda *_: threading.Event().wait())
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.connect(os.environ["NOTIFY_SOCKET"])
    sock.send(b"READY=1")
    while True:
        time.sleep(0.1)
        sock.send(b"WATCHDOG=1\\nSENT_USEC=%d" % (time.monotonic_ns() // 1000))
"""
SERVICES = f"""
[services.worker]
command = ["{{python}}", "-S", "{{place}}/worker.py"]
replicas = {WORKERS}
ready = {{{{ notify = true }}}}
heartbeat = {HEARTBEAT}
restart = {{{{ initial = "100ms", backoff = "fixed", jitter = 0.0, max_restarts = 100000 }}}}
"""


def hangs(count: int, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Cause `count` hangs; reports how long each took to be detected, and "violations"."""
    dice = random.Random(seed)
    hung: list[tuple[str, int, float]] = []  # instance, incarnation, time
    last: dict[str, int] = {}  # the incarnation that hung
    with daemon(SERVICES, {"worker.py": WORKER}) as (client, _):
        for number in range(count):
            name = f"worker@{number % WORKERS + 1}"
            last[name] = _up(client, name, dice.uniform(*UP_FOR), last.get(name, 0))
            hung.append((name, last[name], time.time()))
            client.act("signal", [name], signal.Signals.SIGUSR1.name)
            if number % 10 == 9:
                say(f"  {number + 1} have hung")
        for name, incarnation in last.items():
            _up(client, name, 0.0, incarnation)
        told = events(client)
    return tell(_verdict(hung, told, say), say)


def _up(client: Client, name: str, seconds: float, after: int) -> int:
    """Wait until an incarnation later than `after` has run for `seconds`; returns its number."""
    until = time.monotonic() + 60.0
    while time.monotonic() < until:
        row = client.instance(name)
        if row["state"] == "running" and row["incarnation"] > after and (row["uptime_s"] or 0.0) >= seconds:
            return row["incarnation"]
        time.sleep(0.02)
    raise SystemExit(f"{name} does not come back: {row['state']}, {row['cause']}")


def _verdict(hung: list[tuple[str, int, float]], told: list[Event], say: Callable[[str], None]) -> dict[str, Any]:
    at = {(name, incarnation): moment for name, incarnation, moment in hung}
    detected: dict[tuple[str, int], float] = {}
    acted: dict[tuple[str, int], float] = {}
    false = []
    for event in told:
        run = event["instance"], event["incarnation"]
        since = moment(event) - at.get(run, float("inf"))
        if suspected(event) and since < -0.001:  # the ledger's times have milliseconds
            false.append(f"{event['at']} {run[0]} was suspected before it hung")
        elif suspected(event):
            detected.setdefault(run, since)
        elif ended(event):
            acted.setdefault(run, since)
    found = sorted(max(0.0, seconds) for seconds in detected.values())
    late = [run for run in at if detected.get(run, float("inf")) > WITHIN]
    if found:
        say(f"{len(found)} of {len(at)} hangs were found, {len(at) - len(late)} of them within {WITHIN:g} s")
        say(f"suspected after {_spread(found)}; ended, with its stacks, after {_spread(sorted(acted.values()))}")
    say(f"{len(false)} false suspicions")
    violations = [f"{name}#{incarnation} was not found within {WITHIN:g} s" for name, incarnation in late]
    return {
        "hangs": len(at),
        "within": len(at) - len(late),
        "detected_s": [round(seconds, 3) for seconds in found],
        "false_suspicions": false,
        "violations": violations,
    }


def _spread(seconds: list[float]) -> str:
    """Shortest, median, longest."""
    if not seconds:
        return "–"
    return (
        f"{seconds[0] * 1e3:.0f} / {statistics.median(seconds) * 1e3:.0f} / {seconds[-1] * 1e3:.0f} ms (min/median/max)"
    )
