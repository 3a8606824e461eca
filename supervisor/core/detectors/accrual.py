"""What every accrual detector does with beats, apart from its law: one clock of silence for one target.

The law turns silence into a score and back (`Law`); this keeps the silence: since the last beat, less what the
target is excused for.  A beat moves it forwards only.  Nothing here polls: `suspect_at` is the moment to wake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from supervisor.core.detectors.rhythm import FOREVER, SIZE, Rhythm
from supervisor.core.saved import GARBAGE, maybe, number, sequence, whole

_CLOCK = 2.0**33
_SHOWN = 64


class Law(Protocol):
    """A pure function of silence (seconds) and rhythm, and its inverse."""

    threshold: float

    def score(self, silence: float, rhythm: Rhythm) -> float:
        """Finite, never negative, and never falling as 0 ≤ silence ≤ `FOREVER` grows."""
        ...

    def patience(self, rhythm: Rhythm) -> float:
        """The silence at which suspicion begins: where the score reaches the threshold, floors and caps applied."""
        ...


class Accrual:
    """A `Detector` (see the package) made of a law.

    `interval` is the configured one, for as long as nothing is learned; `grace` is the silence allowed before
    the first beat, and the longest interval that is learned.  Both in seconds.
    """

    __slots__ = (
        "_excused",
        "_grace",
        "_keep",
        "_law",
        "_patience",
        "_rhythm",
        "_started",
        "ignored",
        "last",
        "name",
        "threshold",
    )

    last: float | None
    _started: float | None
    _excused: float

    def __init__(self, name: str, law: Law, interval: float, grace: float) -> None:
        self.name = name
        self.threshold = law.threshold
        self.ignored = 0
        self._law = law
        self._grace = min(FOREVER, max(0.0, grace))
        self._rhythm = Rhythm(min(FOREVER, interval), self._grace)
        self._patience = law.patience(self._rhythm)
        self._begin(None)

    def start(self, now: float) -> None:
        self._begin(now if abs(now) <= _CLOCK else None)

    def heartbeat(self, at: float, sent: float | None = None) -> bool:
        """A beat from before the start (both were in one drain) counts as of the start."""
        if self._started is None:
            return self._ignore()
        if self.last is None:
            if not abs(at - self._started) <= FOREVER:
                return self._ignore()
            self._keep = at >= self._started
            self.last = max(at, self._started)
        else:
            gap = at - self.last
            if not 0.0 < gap <= FOREVER:
                return self._ignore()
            if not self._excused:
                self._rhythm.learn(gap, self._keep)
                self._patience = self._law.patience(self._rhythm)
            self._keep = True
            self.last = at
        self._excused = 0.0
        return True

    def suspicion(self, at: float) -> float:
        if self.last is None:
            return 0.0
        silence = at - self.last - self._excused
        return self._law.score(min(silence, FOREVER) if silence > 0.0 else 0.0, self._rhythm)

    def suspect_at(self) -> float | None:
        if self._started is None:
            return None
        if self.last is None:
            return self._started + self._excused + self._grace
        return self.last + self._excused + self._patience

    def excuse(self, seconds: float) -> None:
        """Say so before the beats that queued up meanwhile are handed over: they end the silence it is taken from."""
        if 0.0 < seconds <= FOREVER:
            self._excused = min(FOREVER, self._excused + seconds)

    def forget_current(self) -> None:
        self._keep = False

    def intervals(self) -> tuple[float, ...]:
        return tuple(i / 1e6 for i in self._rhythm.newest(_SHOWN))

    def snapshot(self) -> dict[str, object]:
        return {
            "intervals": list(self._rhythm.newest(SIZE)),
            "late": list(self._rhythm.late),
            "started": self._started,
            "last": self.last,
            "excused": self._excused,
            "keep": self._keep,
            "ignored": self.ignored,
        }

    def restore(self, snapshot: Mapping[str, object]) -> None:
        try:
            longest = round(FOREVER * 1e6)
            intervals, late = (
                tuple(whole(i, 0, longest) for i in sequence(snapshot[key], most))
                for key, most in (("intervals", SIZE), ("late", 2))
            )
            started = maybe(snapshot["started"], -_CLOCK, _CLOCK)
            last = None if started is None else maybe(snapshot["last"], started, _CLOCK)
            excused = number(snapshot["excused"], 0.0, FOREVER)
            ignored = whole(snapshot["ignored"], 0, 2**63)
            keep = snapshot["keep"] is True
        except GARBAGE:
            intervals, late, started, last, excused, ignored, keep = (), (), None, None, 0.0, 0, True
        self._begin(started)
        self._rhythm.fill(intervals, late)
        self._patience = self._law.patience(self._rhythm)
        self.last, self._excused, self.ignored, self._keep = last, excused, ignored, keep

    def _begin(self, started: float | None) -> None:
        self._started = started
        self.last = None
        self._excused = 0.0
        self._keep = True
        self._rhythm.end_streak()

    def _ignore(self) -> bool:
        self.ignored += 1
        return False
