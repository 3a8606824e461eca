"""Do I myself run late?  Then silence proves nothing: doubt yourself first.

The loop says when it wanted to wake and when it did.  What exceeds a tolerance is a stall, for which everybody who
was silent meanwhile is to be excused.  And who has just run late may do so again, and less visibly: for a while
everybody is given more time (the local health of Lifeguard: Dadgar, Phillips and Currey, 2018).
"""

from __future__ import annotations

TOLERANCE = 0.25
MEMORY = 10.0
MAX_SCORE = 4.0
"""The score of a health that cannot be worse; at it everybody is given twice the time."""
RECOVERY = 5.0
"""Seconds in good order that take one off the score."""


class LoopLag:
    """`tolerance` is the lateness in seconds that is no news; the lag decays to half within `memory` seconds.

    At each wake: first `woke`, whose answer goes to every detector as an excuse, then the inbox, then the timers.
    """

    __slots__ = ("_lag", "_memory", "_starved_until", "_tolerance", "_woke")

    def __init__(self, tolerance: float = TOLERANCE, memory: float = MEMORY) -> None:
        self._tolerance = tolerance
        self._memory = memory
        self._lag = 0.0
        self._woke: float | None = None
        self._starved_until: float | None = None

    def woke(self, now: float, expected: float | None) -> float:
        """The stall in seconds to excuse everybody for, mostly 0.0.

        `expected` is when the loop wanted to wake at the latest; None: it waited for events only.
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
        """The worst recent lateness in seconds, as of the last wake."""
        return self._lag

    def starved(self, now: float) -> bool:
        """Whether there was a stall within the last `memory` seconds."""
        return self._starved_until is not None and now < self._starved_until


class LocalHealth:
    """One's own: 0 is well.  Each stall adds as often as it exceeds `TOLERANCE`."""

    __slots__ = ("_at", "_score")

    def __init__(self) -> None:
        self._at = self._score = 0.0

    def stalled(self, seconds: float, now: float) -> None:
        """We did not run for so long, until now."""
        self._score = min(MAX_SCORE, self._left(now) + seconds / TOLERANCE)
        self._at = now

    def patience(self, now: float) -> float:
        """How many times as long a silence may last at present: from 1.0 to 2.0."""
        return 1.0 + self._left(now) / MAX_SCORE

    def _left(self, now: float) -> float:
        return max(0.0, self._score - max(0.0, now - self._at) / RECOVERY)
