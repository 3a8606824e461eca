"""Measures this supervisor with 5,000 services: start, `down` right after it, memory, wake-ups."""

from __future__ import annotations

import time

from scripts.tools.bench import proc
from scripts.tools.bench.peers.base import Peer
from scripts.tools.bench.peers.ours import Ours
from scripts.tools.bench.scenarios import MIB, SECOND, SETTLE_S, START_TIMEOUT_S, Bench

MANY = 5000
IDLE_S = 10.0


def thousands(bench: Bench, peer: Peer) -> None:
    if not isinstance(peer, Ours) or not bench.wants("start-5000", "down-5000", "pss-5000", "wakes-5000"):
        return
    services = [bench.service(i) for i in range(MANY)]
    with bench.running(peer, services, timeout=4 * START_TIMEOUT_S) as started_s:
        bench.record("start-5000", started_s)
        began = time.monotonic_ns()
        peer.command(peer.down()).wait()
        bench.record("down-5000", (time.monotonic_ns() - began) / SECOND)
    if not bench.wants("pss-5000", "wakes-5000"):
        return
    with bench.running(peer, services, timeout=4 * START_TIMEOUT_S):
        time.sleep(SETTLE_S)
        daemon = peer.processes()
        bench.record("pss-5000", proc.pss(daemon) / MIB)
        before = proc.usage(daemon)
        time.sleep(IDLE_S)
        bench.record("wakes-5000", float((proc.usage(daemon) - before).switches))
