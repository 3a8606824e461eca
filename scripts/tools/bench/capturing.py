"""Measures what it costs to capture 256 MiB of lines of 100 bytes: 64 KiB with each write, or each line by itself."""

from __future__ import annotations

import os
import time

from scripts.tools.bench import proc
from scripts.tools.bench.peers.base import Peer
from scripts.tools.bench.scenarios import SECOND, START_TIMEOUT_S, Bench
from scripts.tools.bench.victims import LINE_BYTES, LINES_PER_BLOCK, Kind, check_lines

LARGE, EACH_LINE = 65536, LINE_BYTES
"""Bytes with each write."""
QUIET_S = 0.3
SETTLED_S = 3.0
"""Seconds after which no system has anything left to do for its start."""


def capture(bench: Bench, peer: Peer) -> None:
    for _ in range(bench.effort.captures):
        if bench.wants("capture-rate", "capture-cpu", "capture-damage"):
            _capture_once(bench, peer, LARGE, "capture")
        if bench.wants("capture-lines-rate", "capture-lines-cpu", "capture-lines-damage"):
            _capture_once(bench, peer, EACH_LINE, "capture-lines")
        if peer.stamps_lines and bench.wants("capture-stamped-cpu"):
            _capture_once(bench, peer, LARGE, "capture-stamped", stamped=True)
        if peer.stamps_lines and bench.wants("capture-stamped-lines-cpu"):
            _capture_once(bench, peer, EACH_LINE, "capture-stamped-lines", stamped=True)


def _capture_once(bench: Bench, peer: Peer, write: int, row: str, *, stamped: bool = False) -> None:
    blocks = bench.effort.capture_blocks
    lines = blocks * LINES_PER_BLOCK
    gate = bench.scratch / "gate"
    os.mkfifo(gate)
    try:
        mode = ("chatty", str(gate), str(blocks), str(write))
        with bench.running(peer, [bench.service(0, *mode, capture=True, stamped=stamped)]):
            time.sleep(SETTLED_S)
            before = proc.usage(peer.processes())
            with open(gate, "wb"):
                [done] = bench.journal.wait([0], 0, START_TIMEOUT_S, Kind.DONE)
            opened = bench.journal.latest(0, Kind.OPENED)
            size = lines * LINE_BYTES
            arrived = max(done.ns, _when_written(peer, size))
            bench.record(f"{row}-rate", size / 1e6 / ((arrived - opened.ns) / SECOND))
            time.sleep(0.5)
            _when_unchanged(peer)
            used = proc.usage(peer.processes()) - before
            bench.record(f"{row}-cpu", used.cpu_ns / SECOND / (size / 1e9))
            if not stamped:
                bench.record(f"{row}-damage", float(check_lines(peer.logs(), lines).total))
    finally:
        gate.unlink()


def _size(peer: Peer) -> int:
    return sum(path.stat().st_size for path in peer.logs() if path.exists())


def _when_written(peer: Peer, size: int, timeout: float = 30.0) -> int:
    """The time (CLOCK_MONOTONIC, ns) when the log files together hold `size` bytes; 0 if that takes too long."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        now = time.monotonic_ns()
        if _size(peer) >= size:
            return now
        time.sleep(0.002)
    return 0


def _when_unchanged(peer: Peer, timeout: float = 30.0) -> None:
    """Wait until the log files have not grown for a moment: with timestamps they are longer than what was written."""
    deadline, before = time.monotonic() + timeout, -1
    while (now := _size(peer)) != before and time.monotonic() < deadline:
        before = now
        time.sleep(QUIET_S)
