"""What every accrual detector does with heartbeats, apart from its score function: it measures one target's silence.

The `ScoreFunction` turns silence into a score and back.  The silence counts from the last beat, less what is
discounted.  A beat moves it forwards only.  Nothing here polls: `suspect_at` is the moment to wake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from supervisor.core.detection.detectors.interval_window import FOREVER, SIZE, IntervalWindow
from supervisor.core.model.saved import GARBAGE, integer, number, optional_number, sequence

_CLOCK = 2.0**33
_SHOWN = 64


class ScoreFunction(Protocol):
    """A pure function of silence (seconds) and rhythm, its inverse, and whatever it learns beyond the rhythm."""

    __slots__ = ()

    threshold: float

    def score(self, silence: float, window: IntervalWindow) -> float:
        """Finite, never negative, and never falling as 0 ≤ silence ≤ `FOREVER` grows."""
        ...

    def silence(self, threshold: float, window: IntervalWindow) -> float:
        """Where the score reaches the threshold, in seconds since the last beat; finite, but not bounded."""
        ...

    def forget(self) -> None:
        """Know nothing again."""
        return None

    def begin(self) -> None:
        """A new incarnation: its beats are in no step with the last one's."""
        return None

    def learn(self, gap: float, delay: float | None, usual: bool, window: IntervalWindow) -> None:
        """A beat came, `gap` seconds after the last one, `delay` seconds after it was sent, if it says so.

        Without `usual` the gap says nothing of the rhythm: it was excused, or a suspicion.  `window` has learned it.
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
        "_discounted",
        "_discounted_until",
        "_extension",
        "_grace",
        "_learn_current",
        "_maximum",
        "_minimum",
        "_patience",
        "_score_function",
        "_started",
        "_window",
        "ignored",
        "last",
        "name",
        "threshold",
    )

    last: float | None
    _started: float | None
    _discounted: float
    _discounted_until: float
    _extension: float

    def __init__(
        self,
        name: str,
        score_function: ScoreFunction,
        interval: float,
        grace: float,
        minimum: float = 0.0,
        maximum: float = FOREVER,
    ) -> None:
        self.name = name
        self.threshold = score_function.threshold
        self.ignored = 0
        self._score_function = score_function
        self._grace = min(FOREVER, max(0.0, grace))
        self._minimum, self._maximum = max(0.0, minimum), min(max(0.0, maximum), FOREVER)
        self._window = IntervalWindow(min(FOREVER, interval), self._grace)
        self._begin(None)
        self._load_learned([])

    def start(self, now: float) -> None:
        self._begin(now if abs(now) <= _CLOCK else None)

    def heartbeat(self, at: float, sent: float | None = None) -> bool:
        """A beat from before the start (both were in one drain) counts as of the start."""
        if self._started is None:
            return self._ignore()
        if self.last is None:
            if not abs(at - self._started) <= FOREVER:
                return self._ignore()
            self._learn_current = at >= self._started
            self.last = max(at, self._started)
        else:
            gap = at - self.last
            if not 0.0 < gap <= FOREVER:
                return self._ignore()
            discounted, learn_current = self._discounted, self._learn_current
            if not discounted:
                self._window.learn(gap, learn_current)
            delay = at - sent if sent is not None and 0.0 <= at - sent <= FOREVER else None
            self._score_function.learn(gap, delay, learn_current and not discounted, self._window)
            self._patience = self._bounded_patience()
            self._learn_current = True
            self.last = at
        if self._discounted:
            self._discounted = max(0.0, min(self._discounted, self._discounted_until - self.last))
        self._extension = 0.0
        return True

    def suspicion(self, at: float) -> float:
        if self.last is None:
            return 0.0
        silence = at - self.last - self._discounted
        return self._score_function.score(min(silence, FOREVER) if silence > 0.0 else 0.0, self._window)

    def suspect_at(self, threshold: float | None = None) -> float | None:
        if self._started is None:
            return None
        if self.last is None:
            return self._started + self._discounted + self._grace
        patience = self._patience if threshold is None else self._score_function.silence(threshold, self._window)
        return self.last + self._discounted + patience + (self._extension if threshold is None else 0.0)

    def discount_silence(self, seconds: float, until: float) -> None:
        """Say so before the beats that queued up meanwhile are handed over: of those that came before `until`, what is
        left after them remains excused."""
        if 0.0 < seconds <= FOREVER:
            self._discounted = min(FOREVER, self._discounted + seconds)
            self._discounted_until = until if abs(until) <= _CLOCK else -_CLOCK

    def extend_deadline(self, factor: float) -> None:
        if self.last is not None and factor > 1.0:
            self._extension = max(0.0, min((factor - 1.0) * self._patience, self._maximum - self._patience))

    def forget_current(self) -> None:
        self._learn_current = False

    def bound(self, minimum: float, maximum: float) -> None:
        self._minimum, self._maximum = max(0.0, minimum), min(max(0.0, maximum), FOREVER)
        self._patience = self._bounded_patience()

    def intervals(self) -> tuple[float, ...]:
        return tuple(i / 1e6 for i in self._window.newest(_SHOWN))

    def snapshot(self) -> dict[str, object]:
        return {
            "intervals": list(self._window.newest(SIZE)),
            "late": list(self._window.streak),
            "law": [self.name, *self._score_function.dump()],
            "started": self._started,
            "last": self.last,
            "excused": self._discounted,
            "excused_until": self._discounted_until,
            "spared": self._extension,
            "keep": self._learn_current,
            "ignored": self.ignored,
        }

    def restore(self, snapshot: Mapping[str, object]) -> None:
        try:
            longest = round(FOREVER * 1e6)
            intervals, streak = (
                tuple(integer(i, 0, longest) for i in sequence(snapshot[key], maximum))
                for key, maximum in (("intervals", SIZE), ("late", 2))
            )
            started = optional_number(snapshot["started"], -_CLOCK, _CLOCK)
            last = None if started is None else optional_number(snapshot["last"], started, _CLOCK)
            discounted = number(snapshot["excused"], 0.0, FOREVER)
            until = number(snapshot.get("excused_until", -_CLOCK), -_CLOCK, _CLOCK)
            extension = number(snapshot.get("spared", 0.0), 0.0, FOREVER)
            ignored = integer(snapshot["ignored"], 0, 2**63)
            learn_current = snapshot["keep"] is True
            learned = snapshot.get("law")
        except GARBAGE:
            intervals, streak, started, last, ignored, learn_current, learned = (), (), None, None, 0, True, None
            discounted, until, extension = 0.0, -_CLOCK, 0.0
        self._begin(started)
        self._window.fill(intervals, streak)
        self._load_learned(learned if isinstance(learned, list) else [])
        self.last, self.ignored, self._learn_current = last, ignored, learn_current
        self._discounted, self._discounted_until, self._extension = discounted, until, extension

    def _begin(self, started: float | None) -> None:
        self._started = started
        self.last = None
        self._discounted, self._discounted_until = 0.0, -_CLOCK
        self._extension = 0.0
        self._learn_current = True
        self._window.end_streak()
        self._score_function.begin()
        self._patience = self._bounded_patience()

    def _load_learned(self, saved: list[object]) -> None:
        """From what another law saved, or a damaged one: as much as the rhythm's intervals tell."""
        try:
            if not saved or saved[0] != self.name:
                raise ValueError
            self._score_function.load(saved[1:])
        except GARBAGE:
            self._score_function.forget()
            for micros in self._window.newest(SIZE):
                self._score_function.learn(micros / 1e6, None, True, self._window)
        self._patience = self._bounded_patience()

    def _bounded_patience(self) -> float:
        patience = self._score_function.silence(self.threshold, self._window)
        if patience < self._minimum:
            patience = self._minimum
        return patience if patience < self._maximum else self._maximum

    def _ignore(self) -> bool:
        self.ignored += 1
        return False
