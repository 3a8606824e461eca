"""What every accrual detector does with heartbeats, apart from its score function: it measures one target's silence.

The `ScoreFunction` turns silence into a score and back.  The silence counts from the last beat, less what is
discounted.  A beat moves it forwards only.  Nothing here polls: `suspect_at` is the moment to wake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from supervisor.core.detection.detectors.rhythm import FOREVER, SIZE, IntervalWindow
from supervisor.core.model.saved import GARBAGE, maybe, number, sequence, whole

_CLOCK = 2.0**33
_SHOWN = 64


class ScoreFunction(Protocol):
    """A pure function of silence (seconds) and rhythm, its inverse, and whatever it learns beyond the rhythm."""

    __slots__ = ()

    threshold: float

    def score(self, silence: float, rhythm: IntervalWindow) -> float:
        """Finite, never negative, and never falling as 0 ≤ silence ≤ `FOREVER` grows."""
        ...

    def silence(self, threshold: float, rhythm: IntervalWindow) -> float:
        """Where the score reaches the threshold, in seconds since the last beat; finite, but not bounded."""
        ...

    def forget(self) -> None:
        """Know nothing again."""
        return None

    def begin(self) -> None:
        """A new incarnation: its beats are in no step with the last one's."""
        return None

    def learn(self, gap: float, delay: float | None, usual: bool, rhythm: IntervalWindow) -> None:
        """A beat came, `gap` seconds after the last one, `delay` seconds after it was sent, if it says so.

        Without `usual` the gap says nothing of the rhythm: it was excused, or a suspicion.  `rhythm` has learned it.
        """
        return None

    def dump(self) -> list[float]:
        """Everything learned beyond the rhythm."""
        return []

    def load(self, saved: list[object]) -> None:
        """Take that up again.  `GARBAGE` may be raised: then it learns from the rhythm's intervals instead."""
        return None


class Accrual:
    """A `Detector` (see the package) made of a law.

    `interval` is the configured one, for as long as nothing is learned; `grace` is the silence allowed before
    the first beat, and the longest interval that is learned; `minimum` and `maximum` bound the silence at
    which suspicion begins (where they contradict each other, the cap holds).  All in seconds.
    """

    __slots__ = (
        "_excused",
        "_excused_until",
        "_grace",
        "_keep",
        "_law",
        "_least",
        "_most",
        "_patience",
        "_rhythm",
        "_spared",
        "_started",
        "ignored",
        "last",
        "name",
        "threshold",
    )

    last: float | None
    _started: float | None
    _excused: float
    _excused_until: float
    _spared: float

    def __init__(
        self,
        name: str,
        law: ScoreFunction,
        interval: float,
        grace: float,
        minimum: float = 0.0,
        maximum: float = FOREVER,
    ) -> None:
        self.name = name
        self.threshold = law.threshold
        self.ignored = 0
        self._law = law
        self._grace = min(FOREVER, max(0.0, grace))
        self._least, self._most = max(0.0, minimum), min(max(0.0, maximum), FOREVER)
        self._rhythm = IntervalWindow(min(FOREVER, interval), self._grace)
        self._begin(None)
        self._relearn([])

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
            excused, keep = self._excused, self._keep
            if not excused:
                self._rhythm.learn(gap, keep)
            delay = at - sent if sent is not None and 0.0 <= at - sent <= FOREVER else None
            self._law.learn(gap, delay, keep and not excused, self._rhythm)
            self._patience = self._bounded()
            self._keep = True
            self.last = at
        if self._excused:
            self._excused = max(0.0, min(self._excused, self._excused_until - self.last))
        self._spared = 0.0
        return True

    def suspicion(self, at: float) -> float:
        if self.last is None:
            return 0.0
        silence = at - self.last - self._excused
        return self._law.score(min(silence, FOREVER) if silence > 0.0 else 0.0, self._rhythm)

    def suspect_at(self, threshold: float | None = None) -> float | None:
        if self._started is None:
            return None
        if self.last is None:
            return self._started + self._excused + self._grace
        patience = self._patience if threshold is None else self._law.silence(threshold, self._rhythm)
        return self.last + self._excused + patience + (self._spared if threshold is None else 0.0)

    def discount_silence(self, seconds: float, until: float) -> None:
        """Say so before the beats that queued up meanwhile are handed over: of those that came before `until`, what is
        left after them remains excused."""
        if 0.0 < seconds <= FOREVER:
            self._excused = min(FOREVER, self._excused + seconds)
            self._excused_until = until if abs(until) <= _CLOCK else -_CLOCK

    def extend_deadline(self, factor: float) -> None:
        if self.last is not None and factor > 1.0:
            self._spared = max(0.0, min((factor - 1.0) * self._patience, self._most - self._patience))

    def forget_current(self) -> None:
        self._keep = False

    def bound(self, minimum: float, maximum: float) -> None:
        self._least, self._most = max(0.0, minimum), min(max(0.0, maximum), FOREVER)
        self._patience = self._bounded()

    def intervals(self) -> tuple[float, ...]:
        return tuple(i / 1e6 for i in self._rhythm.newest(_SHOWN))

    def snapshot(self) -> dict[str, object]:
        return {
            "intervals": list(self._rhythm.newest(SIZE)),
            "late": list(self._rhythm.late),
            "law": [self.name, *self._law.dump()],
            "started": self._started,
            "last": self.last,
            "excused": self._excused,
            "excused_until": self._excused_until,
            "spared": self._spared,
            "keep": self._keep,
            "ignored": self.ignored,
        }

    def restore(self, snapshot: Mapping[str, object]) -> None:
        try:
            longest = round(FOREVER * 1e6)
            intervals, late = (
                tuple(whole(i, 0, longest) for i in sequence(snapshot[key], maximum))
                for key, maximum in (("intervals", SIZE), ("late", 2))
            )
            started = maybe(snapshot["started"], -_CLOCK, _CLOCK)
            last = None if started is None else maybe(snapshot["last"], started, _CLOCK)
            excused = number(snapshot["excused"], 0.0, FOREVER)
            until = number(snapshot.get("excused_until", -_CLOCK), -_CLOCK, _CLOCK)
            spared = number(snapshot.get("spared", 0.0), 0.0, FOREVER)
            ignored = whole(snapshot["ignored"], 0, 2**63)
            keep = snapshot["keep"] is True
            law = snapshot.get("law")
        except GARBAGE:
            intervals, late, started, last, ignored, keep, law = (), (), None, None, 0, True, None
            excused, until, spared = 0.0, -_CLOCK, 0.0
        self._begin(started)
        self._rhythm.fill(intervals, late)
        self._relearn(law if isinstance(law, list) else [])
        self.last, self.ignored, self._keep = last, ignored, keep
        self._excused, self._excused_until, self._spared = excused, until, spared

    def _begin(self, started: float | None) -> None:
        self._started = started
        self.last = None
        self._excused, self._excused_until = 0.0, -_CLOCK
        self._spared = 0.0
        self._keep = True
        self._rhythm.end_streak()
        self._law.begin()
        self._patience = self._bounded()

    def _relearn(self, saved: list[object]) -> None:
        """From what another law saved, or a damaged one: as much as the rhythm's intervals tell."""
        try:
            if not saved or saved[0] != self.name:
                raise ValueError
            self._law.load(saved[1:])
        except GARBAGE:
            self._law.forget()
            for micros in self._rhythm.newest(SIZE):
                self._law.learn(micros / 1e6, None, True, self._rhythm)
        self._patience = self._bounded()

    def _bounded(self) -> float:
        patience = self._law.silence(self.threshold, self._rhythm)
        if patience < self._least:
            patience = self._least
        return patience if patience < self._most else self._most

    def _ignore(self) -> bool:
        self.ignored += 1
        return False
