"""Detects that the host was suspended or that the wall clock was set.

No timeout depends on either, because all durations are measured by CLOCK_MONOTONIC, which stops during a suspend and is
never set.  Both are reported because they explain odd times in the ledger.  During a suspend CLOCK_BOOTTIME gains on
CLOCK_MONOTONIC; when the time is set, CLOCK_REALTIME jumps against both.  A paused virtual machine shows in neither:
there the event loop wakes late (local_health.py).
"""

from __future__ import annotations

from typing import NamedTuple

MIN_SLEEP = 0.1
"""Seconds; a shorter suspend is not reported."""
MIN_STEP = 0.5
"""Seconds; a smaller step of the wall clock is not reported."""
SLEW = 1e-3
"""Seconds per second by which the wall clock may be corrected without being set."""


class Change(NamedTuple):
    """What changed since the last `look`, in seconds; 0.0 where that is too little to report.  `stepped` is negative
    for backwards."""

    slept: float
    stepped: float


class ClockJumps:
    """Compares the three clocks at each `look`."""

    __slots__ = ("_boot", "_monotonic", "_real")

    def __init__(self, monotonic: float, boot: float, real: float) -> None:
        self._monotonic, self._boot, self._real = monotonic, boot, real

    def look(self, monotonic: float, boot: float, real: float) -> Change:
        """Compare with the last call.  The arguments are the present readings of the clocks, in seconds."""
        ran, passed, wall = monotonic - self._monotonic, boot - self._boot, real - self._real
        self._monotonic, self._boot, self._real = monotonic, boot, real
        slept, stepped = passed - ran, wall - passed
        return Change(
            slept if slept >= MIN_SLEEP else 0.0,
            stepped if abs(stepped) >= max(MIN_STEP, SLEW * passed) else 0.0,
        )
