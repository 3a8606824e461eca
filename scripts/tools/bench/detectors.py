"""scripts/bench --detectors: measures what each failure detector costs, in time per beat and in memory."""

from __future__ import annotations

import random
import statistics
import time
import tracemalloc

from rich.console import Console
from rich.table import Table

from supervisor.core.detection.detectors.protocol import Detector
from supervisor.core.detection.detectors.registry import KNOWN, make
from supervisor.core.model.spec import HeartbeatSpec

MOST_SECONDS, MOST_BYTES = 5e-6, 4096
"""Limits for a beat (seconds) and for a detector (bytes)."""
COUNT, BEATS = 1000, 300
"""Detectors whose memory is measured, and beats for each: more than any window holds."""
ROUND, ROUNDS = 20_000, 5


def detectors(console: Console) -> int:
    """Measure and print all detectors; 1 if one exceeds a limit, else 0."""
    table = Table("detector", "µs a beat", "µs a beat with send time", "bytes", "verdict")
    short = False
    for name in KNOWN:
        plain, stamped = seconds_a_beat(name, stamped=False), seconds_a_beat(name, stamped=True)
        memory = bytes_each(name)
        good = max(plain, stamped) <= MOST_SECONDS and memory <= MOST_BYTES
        short |= not good
        table.add_row(
            name, f"{plain * 1e6:.2f}", f"{stamped * 1e6:.2f}", f"{memory:.0f}", "reached" if good else "SHORT"
        )
    console.print(table)
    console.print(
        f"to reach: {MOST_SECONDS * 1e6:g} µs, {MOST_BYTES} bytes; CPU time, median of {ROUNDS} rounds of {ROUND},"
        f" each beat with the moment of suspicion that follows; {COUNT} detectors by tracemalloc, after {BEATS} beats",
        soft_wrap=True,
    )
    return 1 if short else 0


def seconds_a_beat(name: str, *, stamped: bool) -> float:
    """CPU time for a beat and the time of suspicion after it, which is what the daemon computes for each beat."""
    beats = _beats(ROUND)
    rounds = []
    for _ in range(ROUNDS):
        detector = _warm(name, stamped=stamped)
        heartbeat, suspect_at = detector.heartbeat, detector.suspect_at
        began = time.thread_time()
        if stamped:
            for at, sent in beats:
                heartbeat(at, sent)
                suspect_at()
        else:
            for at, _ in beats:
                heartbeat(at)
                suspect_at()
        rounds.append((time.thread_time() - began) / ROUND)
    return statistics.median(rounds)


def bytes_each(name: str) -> float:
    """Memory of one detector with all that it holds."""
    _warm(name, stamped=True)  # allocates what all detectors share
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = [_warm(name, stamped=True) for _ in range(COUNT)]
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    return used / len(kept)


def _warm(name: str, *, stamped: bool) -> Detector:
    detector = make(HeartbeatSpec(detector=name, interval=0.1, min_timeout=0.0, max_timeout=30.0))
    detector.start(-BEATS * 0.1 - 1.0)
    for at, sent in _beats(BEATS):
        detector.heartbeat(at - BEATS * 0.1 - 1.0, sent - BEATS * 0.1 - 1.0 if stamped else None)
    return detector


def _beats(count: int) -> list[tuple[float, float]]:
    """(arrival, send time) of beats sent by a timer, with random delays."""
    dice = random.Random(1)
    return [(sent + dice.expovariate(500.0), sent) for sent in (0.1 * number for number in range(count))]
