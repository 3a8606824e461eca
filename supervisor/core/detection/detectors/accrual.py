"""The accrual detector: measures the silence of one target and lets a score function turn it into a score.

The silence counts from the last beat, less what is discounted; a beat can only move its beginning forwards.  Nothing is
polled: `suspect_at` is the moment at which to wake.  Where the target is probed, failed probes are counted apart from
silence (failed_probes.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from supervisor.core.detection.detectors.interval_window import FOREVER, SIZE, IntervalWindow
from supervisor.core.model.saved import GARBAGE, integer, number, optional_number, sequence

if TYPE_CHECKING:
    from supervisor.core.detection.detectors.failed_probes import FailedProbes

_CLOCK = 2.0**33
"""Seconds; a monotonic time beyond it (272 years) is damaged."""
_SHOWN = 64
"""Number of intervals that `intervals` returns."""


class ScoreFunction(Protocol):
    """A function of silence (seconds) and interval window, its inverse, and what it learns beyond the window."""

    __slots__ = ()

    threshold: float

    def score(self, silence: float, window: IntervalWindow) -> float:
        """Finite, never negative, and never falling as 0 ≤ silence ≤ `FOREVER` grows."""
        ...

    def silence(self, threshold: float, window: IntervalWindow) -> float:
        """The silence in seconds at which the score reaches the threshold; finite, but not bounded."""
        ...

    def forget(self) -> None:
        """Forget everything learned."""
        return None

    def begin(self) -> None:
        """A new incarnation begins; its beats are out of phase with those of the last one."""
        return None

    def learn(self, gap: float, delay: float | None, usual: bool, window: IntervalWindow) -> None:
        """Learn from a beat that came `gap` seconds after the last one, and `delay` seconds after it was sent if known.

        Without `usual` the gap is not to be learned: part of it was discounted, or it was a suspicion.  `window` has
        learned the gap already.
        """
        return None

    def dump(self) -> list[float]:
        """Everything learned beyond the window, as numbers."""
        return []

    def load(self, saved: list[object]) -> None:
        """Restore a dump.  It may raise `GARBAGE`; the intervals of the window are then learned instead."""
        return None


class Accrual:
    """A `Detector` (protocol.py) made of a score function.

    `interval`: the configured interval, used until intervals are learned.  `grace`: the silence allowed before the
    first beat, and the longest interval that is learned.  `minimum`, `maximum`: bounds of the silence at which
    suspicion begins; where they contradict each other, the maximum holds.  All in seconds.  `probes`: counts the failed
    probes of a target that is probed.  `needed`: with fewer learned intervals only `maximum` counts.
    """

    __slots__ = (
        "_discounted",
        "_discounted_until",
        "_extension",
        "_grace",
        "_learn_current",
        "_learns_more",
        "_maximum",
        "_minimum",
        "_needed",
        "_patience",
        "_probes",
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
        probes: FailedProbes | None = None,
        needed: int = 0,
    ) -> None:
        self.name = name
        self.threshold = score_function.threshold
        self.ignored = 0
        self._score_function = score_function
        self._learns_more = type(score_function).learn is not ScoreFunction.learn
        self._probes = probes
        self._needed = needed
        self._grace = min(FOREVER, max(0.0, grace))
        self._minimum, self._maximum = max(0.0, minimum), min(max(0.0, maximum), FOREVER)
        self._window = IntervalWindow(min(FOREVER, interval), self._grace)
        self._begin(None)
        self._load_learned([])

    @property
    def counts_failures(self) -> bool:
        return self._probes is not None and self._probes.needed > 0

    def start(self, now: float) -> None:
        self._begin(now if abs(now) <= _CLOCK else None)

    def heartbeat(self, at: float, sent: float | None = None) -> bool:
        """A beat from before the start (both were read in one turn) counts as one at the start."""
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
            if self._probes is not None:
                discounted = discounted or self._probes.row
                self._probes.answered()
            if not discounted:
                self._window.learn(gap, learn_current)
            if self._learns_more:
                delay = at - sent if sent is not None and 0.0 <= at - sent <= FOREVER else None
                self._score_function.learn(gap, delay, learn_current and not discounted, self._window)
            self._patience = self._bounded_patience()
            self._learn_current = True
            self.last = at
        if self._discounted:
            self._discounted = max(0.0, min(self._discounted, self._discounted_until - self.last))
        self._extension = 0.0
        return True

    def failed(self, at: float) -> None:
        if self._probes is not None and self.last is not None and at >= self.last:
            self._probes.failed(min(at, self.last + FOREVER))

    def suspicion(self, at: float) -> float:
        if self.last is None:
            return 0.0
        silence = at - self.last - self._discounted
        silence = min(silence, FOREVER) if silence > 0.0 else 0.0
        score = self._score_function.score(silence, self._window)
        if self._probes is not None and self._probes.needed > 0:
            return self._counting_failures(self._probes, score, at, silence)
        return score

    def suspect_at(self, threshold: float | None = None) -> float | None:
        if self._started is None:
            return None
        if self.last is None:
            return self._started + self._discounted + self._grace
        begin = self.last + self._discounted
        if threshold is not None:
            return begin + self._score_function.silence(threshold, self._window)
        patience = self._patience + self._extension
        probes = self._probes
        if probes is None or not probes.excused:
            return begin + patience
        result = (max(begin, probes.at) if probes.row else begin) + patience + probes.timeout
        return min(result, begin + max(self._maximum, patience))

    def discount_silence(self, seconds: float, until: float) -> None:
        """Call this before the beats that queued up until `until` are passed on.  What is left of the discounted time
        after such a beat stays discounted."""
        if 0.0 < seconds <= FOREVER:
            self._discounted = min(FOREVER, self._discounted + seconds)
            self._discounted_until = until if abs(until) <= _CLOCK else -_CLOCK
            if self._probes is not None:
                self._probes.end_row()

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
            **({"probes": self._probes.snapshot()} if self._probes is not None else {}),
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
            learned, probes = snapshot.get("law"), snapshot.get("probes")
        except GARBAGE:
            intervals, streak, started, last, ignored, learn_current, learned = (), (), None, None, 0, True, None
            discounted, until, extension, probes = 0.0, -_CLOCK, 0.0, None
        self._begin(started)
        if self._probes is not None:
            self._probes.restore(probes)
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
        if self._probes is not None:
            self._probes.end_row()
        self._window.end_streak()
        self._score_function.begin()
        self._patience = self._bounded_patience()

    def _load_learned(self, saved: list[object]) -> None:
        """Restore the score function.  Where another one saved this, or it is damaged, learn the window's intervals."""
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
        if self._window.count < self._needed:
            return self._maximum
        patience = self._score_function.silence(self.threshold, self._window)
        if patience < self._minimum:
            patience = self._minimum
        return patience if patience < self._maximum else self._maximum

    def _counting_failures(self, probes: FailedProbes, score: float, at: float, silence: float) -> float:
        """The score where failures are counted: what those in a row add, and the silence since the last result, which
        adds no more than one failure would."""
        if probes.row:
            score = self._score_function.score(min(silence, max(0.0, at - probes.at)), self._window)
        return probes.row * probes.each + min(score, probes.each)

    def _ignore(self) -> bool:
        self.ignored += 1
        return False
