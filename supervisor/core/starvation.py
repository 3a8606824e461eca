"""Do I myself run late?  Then silence proves nothing: doubt yourself first.

The loop says when it wanted to wake and when it did; a turn of its own that took long is its own fault as well.
What exceeds a tolerance is a stall, for which everybody who was silent meanwhile is to be excused.
"""

from __future__ import annotations

TOLERANCE = 0.25
MEMORY = 10.0


class ObservedClock:
    """`tolerance` is the lateness in seconds that is no news; the lag decays to half within `memory` seconds.

    At each wake: first `woke`, whose answer goes to every detector as an excuse, then the inbox, then the timers.
    """

    __slots__ = ("_busy", "_lag", "_memory", "_starved_until", "_tolerance", "_woke")

    def __init__(self, tolerance: float = TOLERANCE, memory: float = MEMORY) -> None:
        self._tolerance = tolerance
        self._memory = memory
        self._busy = 0.0
        self._lag = 0.0
        self._woke: float | None = None
        self._starved_until: float | None = None

    def woke(self, now: float, expected: float | None) -> float:
        """The stall in seconds to excuse everybody for, mostly 0.0.

        `expected` is when the loop wanted to wake at the latest; None: it waited for events only.  Lateness
        that a long turn caused is the same time twice, so the longer of the two counts.
        """
        late = max(0.0, self._busy, now - expected if expected is not None else 0.0)
        self._busy = 0.0
        if self._woke is not None and now > self._woke:
            self._lag *= 0.5 ** ((now - self._woke) / self._memory)
        self._woke = now
        self._lag = max(self._lag, late)
        if late <= self._tolerance:
            return 0.0
        self._starved_until = now + self._memory
        return late

    def busy(self, seconds: float) -> None:
        """The turn now ending took so long."""
        self._busy += max(0.0, seconds)

    @property
    def lag(self) -> float:
        """The worst recent lateness in seconds, as of the last wake."""
        return self._lag

    def starved(self, now: float) -> bool:
        """Whether there was a stall within the last `memory` seconds."""
        return self._starved_until is not None and now < self._starved_until
