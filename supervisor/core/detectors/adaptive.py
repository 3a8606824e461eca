"""Our own: several ways to foresee the next beat, at equal patience, and trust in the one that has erred least with it.

No single way is best everywhere: a constant margin where intervals are alike, the schedule where the sender keeps one,
a margin that follows the latest errors where calm and storm alternate, a quick mean where the rhythm itself moves.
So each *expert* is a location (when the beat is due) and a scale (how uncertain that is), and its patience at a score
is location + (a + b·score)·scale, with a and b such that all have the same *mean* patience: detection is equally quick
whoever speaks, and the one with the fewest mistakes is simply the best.  A mistake is rare, so a near one counts
a little too: with r the part of an expert's margin that a gap has used up, its loss is 1 if r ≥ 1, else 0.3·r¹⁶.
Losses are those at the detector's own threshold: what is best for a hasty one is not for a patient one.

That is "follow the leader" of prediction with expert advice (Cesa-Bianchi & Lugosi: "Prediction, Learning, and Games",
2006) over the ideas of this package.  The score is φ as if errors were exponential, a heavy enough tail for most:
φ = 8 is 18.4 mean errors.  Good at: everything in `supervisor detectors compare`, within a tenth of the best there.
Bad at: the first few hundred beats, before it knows whom to trust, and senders whose habits change more often.
"""

from __future__ import annotations

from array import array
from math import log

from supervisor.core.detectors.accrual import Law
from supervisor.core.detectors.numbers import margin
from supervisor.core.detectors.rhythm import COLD, FOREVER, LEAST, OUTLIER, Rhythm
from supervisor.core.detectors.schedule import Schedule
from supervisor.core.saved import number, whole

_LN10 = log(10.0)
_LONG = 20_000
"""Beats: the memory of what is constant, and of mean patience."""
_RECENT = 5_000
"""Beats: the memory of losses."""
_YOUNG, _BRIEF_TURN, _TURN = 2_000, 8, 32
"""Beats from one weighing to the next: brief ones for a young detector.  A mistake calls an election at once."""
_HEARD = 200
"""Beats after which experts are elected by what they have lost."""
_SPREAD, _COLD_SPREAD = 0.02, 0.25
"""An error is taken to be at least so much of the mean interval; before anything is known it is taken to be so much."""
_LATE, _CAP = 2.0, 6.0
"""An error counts at most so many deviations, as the latest and as one of many."""
_FAST, _MEDIUM, _QUICK = 1 / 10, 1 / 30, 1 / 16
_NEAR, _POWER, _NEAR_LOSS = 0.7, 16, 0.3
_FAR = 1e18

_ALWAYS, _DUE, _MEAN, _LATELY, _SHIFTED = range(5)
"""Locations: the long mean; the schedule's; the window's mean; a quick mean; the schedule's, and its latest errors."""
_SAME, _STORM, _SWELL, _HALF, _QUARTER = range(5, 10)
"""Scales: the mean error; of the last 10; of the last 30; half and a quarter of the mean with that of the last 10."""
EXPERTS = (
    (_DUE, _SAME),
    (_ALWAYS, _SAME),
    (_MEAN, _SAME),
    (_LATELY, _STORM),
    (_SHIFTED, _STORM),
    (_DUE, _HALF),
    (_MEAN, _SWELL),
    (_LATELY, _QUARTER),
)
_FIRST, _NEW = 0, 3
"""Who speaks first, and who does when a new rhythm has begun."""


class Adaptive(Law):
    """`interval` is the configured one in seconds; `threshold` is φ."""

    __slots__ = (
        "_always",
        "_beats",
        "_due",
        "_fast",
        "_gate",
        "_interval",
        "_late",
        "_lately",
        "_leader",
        "_losses",
        "_margins",
        "_means",
        "_medium",
        "_now",
        "_same",
        "_schedule",
        "_score",
        "_shift",
        "_slope",
        "_unit",
        "threshold",
    )

    def __init__(self, threshold: float, interval: float) -> None:
        self.threshold = threshold
        self._score = margin(threshold)
        self._interval = min(max(LEAST, interval), FOREVER)
        self.forget()

    def score(self, silence: float, rhythm: Rhythm) -> float:
        return max(0.0, silence - self._due) / self._unit

    def silence(self, threshold: float, rhythm: Rhythm) -> float:
        return self._due + margin(threshold) * self._unit

    def forget(self) -> None:
        self._schedule = Schedule(self._interval)
        self._always = self._lately = self._interval
        self._same = self._fast = self._medium = _COLD_SPREAD * self._interval
        self._late, self._beats, self._leader = 0.0, 0, _FIRST
        self._losses = array("d", [0.0] * len(EXPERTS))
        self._means = array("d", [self._interval] * 5 + [self._same] * 5)
        self._weigh()
        self._foresee(self._interval)

    def begin(self) -> None:
        self._schedule.lose()
        self._foresee(self._now[_MEAN])

    def learn(self, gap: float, delay: float | None, usual: bool, rhythm: Rhythm) -> None:
        mean = rhythm.mean
        if usual:
            if gap > self._gate:
                self._blame(gap)
            self._measure(gap, mean, rhythm.sigma)
            self._beats = beats = self._beats + 1
            turn = _TURN if beats > _YOUNG else _BRIEF_TURN
            if not beats % turn:
                self._average(turn)
                self._weigh()
        if rhythm.count == COLD:
            self._lately, self._leader = mean, _NEW
            self._weigh()
        self._schedule.take(gap, delay, usual, mean)
        self._foresee(mean)

    def dump(self) -> list[float]:
        state = (self._always, self._lately, self._same, self._fast, self._medium, self._late, self._now[_MEAN])
        return [*state, self._beats, self._leader, *self._losses, *self._means, *self._schedule.dump()]

    def load(self, saved: list[object]) -> None:
        always, lately, same, fast, medium = (number(i, 0.1 * LEAST, FOREVER) for i in saved[:5])
        late, mean = number(saved[5], -FOREVER, FOREVER), number(saved[6], 0.0, FOREVER)
        beats, leader = whole(saved[7], 0, 2**62), whole(saved[8], 0, len(EXPERTS) - 1)
        after = 9 + len(EXPERTS)
        losses = array("d", [number(i, 0.0, _FAR) for i in saved[9:after]])
        means = array("d", [number(i, 0.1 * LEAST, FOREVER) for i in saved[after : after + 10]])
        self._schedule.load(saved[after + 10 :])
        self._always, self._lately, self._same, self._fast, self._medium = always, lately, same, fast, medium
        self._late, self._beats, self._leader, self._losses, self._means = late, beats, leader, losses, means
        self._weigh()
        self._foresee(mean)

    def _measure(self, gap: float, mean: float, sigma: float) -> None:
        """How far off was the schedule?  One long pause counts as a shorter one."""
        off = gap - self._now[_DUE]
        error = off if off > 0.0 else -off
        if error > _CAP * sigma:
            error = _CAP * sigma
        if error < _SPREAD * mean:
            error = _SPREAD * mean
        if error < LEAST:
            error = LEAST
        if gap > mean + OUTLIER * sigma:
            gap = mean + OUTLIER * sigma
            if off > _LATE * sigma:
                off = _LATE * sigma
        self._late += (off - self._late) * _FAST
        self._fast += (error - self._fast) * _FAST
        self._medium += (error - self._medium) * _MEDIUM
        self._lately += (gap - self._lately) * _QUICK
        known = self._beats + 4
        if known > _LONG:
            known = _LONG
        self._same += (error - self._same) / known
        self._always += (gap - self._always) / known

    def _foresee(self, mean: float) -> None:
        due, same, fast = self._schedule.ahead, self._same, self._fast
        self._now = now = (
            self._always, due, mean, self._lately, due + self._late,
            same, fast, self._medium, 0.5 * (same + fast), 0.25 * same + 0.75 * fast,
        )  # fmt: skip
        location, scale = EXPERTS[self._leader]
        begin = now[location] + self._shift * now[scale]
        self._due = begin if begin > 0.0 else 0.0
        self._unit = self._slope * now[scale]
        constant, stormy = self._margins[0] * same, self._margins[_NEW] * fast
        self._gate = due + _NEAR * (constant if constant < stormy else stormy)

    def _average(self, beats: int) -> None:
        part = beats / min(self._beats, _LONG)
        keep = 1.0 - beats / _RECENT if self._beats > _RECENT else 1.0
        means, losses = self._means, self._losses
        for i, value in enumerate(self._now):
            means[i] += (value - means[i]) * part
        for i, loss in enumerate(losses):
            losses[i] = loss * keep

    def _weigh(self) -> None:
        """How much of its scale each expert needs for the mean patience of all."""
        means, score = self._means, self._score
        lately, storm = means[_LATELY], means[_STORM] * _LN10
        self._margins = array(
            "d", [max(1e-3, (lately - means[at] + score * storm) / means[scale]) for at, scale in EXPERTS]
        )
        self._elect()

    def _elect(self) -> None:
        if self._beats >= _HEARD:
            losses, leader = self._losses, self._leader
            least = min(losses)
            if least < losses[leader]:
                leader = losses.index(least)
            self._leader = leader
        location, scale = EXPERTS[self._leader]
        means = self._means
        self._shift = (means[_LATELY] - means[location]) / means[scale]
        self._slope = _LN10 * means[_STORM] / means[scale]

    def _blame(self, gap: float) -> None:
        now, losses, margins = self._now, self._losses, self._margins
        for i, (location, scale) in enumerate(EXPERTS):
            used = (gap - now[location]) / (margins[i] * now[scale])
            if used >= 1.0:
                losses[i] += 1.0
            elif used > _NEAR:
                losses[i] += _NEAR_LOSS * used**_POWER
        self._elect()
