"""Measures how late this daemon runs, so that its own slowness is not taken for the silence of its processes.

The event loop reports when it wanted to wake and when it did.  Lateness above a tolerance is a stall; silence during a
stall is not counted.  A daemon that stalled is likely to run late again, less visibly, so for a while every silence is
allowed to last longer (the local health of Lifeguard: Dadgar, Phillips and Currey, 2018).
"""

from __future__ import annotations

TOLERANCE = 0.25
"""Seconds of lateness that are no stall."""
MEMORY = 10.0
"""Seconds within which the lag decays to half."""
MAX_SCORE = 4.0
"""The worst score; at it every silence may last twice as long."""
RECOVERY = 5.0
"""Seconds without a stall that lower the score by one."""


class LoopLag:
    """The lateness of the event loop.  `tolerance` and `memory` are in seconds (see `TOLERANCE`, `MEMORY`).

    At each wake call `woke` first and pass its answer to every detector (`discount_silence`); then handle the inbox,
    then the timers.
    """

    __slots__ = ("_lag", "_memory", "_starved_until", "_tolerance", "_woke")

    def __init__(self, tolerance: float = TOLERANCE, memory: float = MEMORY) -> None:
        self._tolerance = tolerance
        self._memory = memory
        self._lag = 0.0
        self._woke: float | None = None
        self._starved_until: float | None = None

    def woke(self, now: float, expected: float | None) -> float:
        """The stall in seconds, whose silence is not counted; mostly 0.0.

        `expected` is the time at which the loop wanted to wake at the latest; None: it waited for events only.
        """
        late = max(0.0, now - expected) if expected is not None else 0.0
        if self._woke is not None and now > self._woke:
            self._lag *= 0.5 ** ((now - self._woke) / self._memory)
        self._woke = now
        self._lag = max(self._lag, late)
        if late <= self._tolerance:
            return 0.0
        self._starved_until = now + self._memory
        return late

    @property
    def lag(self) -> float:
        """The worst recent lateness in seconds, decayed until the last wake."""
        return self._lag

    def starved(self, now: float) -> bool:
        """Whether there was a stall within the last `memory` seconds."""
        return self._starved_until is not None and now < self._starved_until


class LocalHealth:
    """The health of this daemon as a score; 0 is healthy.  A stall adds its length in multiples of `TOLERANCE`."""

    __slots__ = ("_at", "_score")

    def __init__(self) -> None:
        self._at = self._score = 0.0

    def stalled(self, seconds: float, now: float) -> None:
        """The daemon did not run for `seconds` until `now`."""
        self._score = min(MAX_SCORE, self._left(now) + seconds / TOLERANCE)
        self._at = now

    def patience(self, now: float) -> float:
        """The factor by which a silence may last longer at present: from 1.0 to 2.0."""
        return 1.0 + self._left(now) / MAX_SCORE

    def _left(self, now: float) -> float:
        return max(0.0, self._score - max(0.0, now - self._at) / RECOVERY)
