"""Did the host sleep, or did somebody set the time?  Neither makes anybody late, but both explain a lot afterwards.

All that is measured here is measured by CLOCK_MONOTONIC, which stands still while the host is suspended and knows no
steps.  Its distance to CLOCK_BOOTTIME, which goes on, grows by a suspend; that of CLOCK_REALTIME to both changes
when the time is set.  (A paused virtual machine shows in neither: there the loop wakes late.)
"""

from __future__ import annotations

from typing import NamedTuple

MIN_SLEEP = 0.1
MIN_STEP = 0.5
SLEW = 1e-3
"""Seconds a second by which the wall clock may be corrected without being set."""


class Change(NamedTuple):
    """Since the last look, in seconds; 0.0 where it is not worth a word.  `stepped` is negative for backwards."""

    slept: float
    stepped: float


class ClockJumps:
    """Compares the three at each `look`."""

    __slots__ = ("_boot", "_monotonic", "_real")

    def __init__(self, monotonic: float, boot: float, real: float) -> None:
        self._monotonic, self._boot, self._real = monotonic, boot, real

    def look(self, monotonic: float, boot: float, real: float) -> Change:
        """What CLOCK_MONOTONIC, CLOCK_BOOTTIME and CLOCK_REALTIME say now, in seconds."""
        ran, passed, wall = monotonic - self._monotonic, boot - self._boot, real - self._real
        self._monotonic, self._boot, self._real = monotonic, boot, real
        slept, stepped = passed - ran, wall - passed
        return Change(
            slept if slept >= MIN_SLEEP else 0.0,
            stepped if abs(stepped) >= max(MIN_STEP, SLEW * passed) else 0.0,
        )
