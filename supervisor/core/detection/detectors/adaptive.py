"""The adaptive detector: several predictors of the next beat, of which the one with the fewest mistakes is followed.

It is this project's own.  No single predictor is best everywhere: a constant margin where intervals are alike, the
schedule where the sender keeps one, a margin that follows the latest errors where quiet and noisy periods alternate, a
quick mean where the interval drifts, the window's own deviation where senders switch between intervals.  So each
predictor (*expert*) is a location (when the beat is due) and a scale (how uncertain that is).  Its patience at a score
is location + (a + b·score)·scale, with a and b such that all experts have the same *mean* patience.  Detection is then
equally quick with each of them, and the best is the one with the fewest mistakes.  Mistakes are rare, so near ones
count a little too: with r the part of an expert's margin that a gap has used up, its loss is 1 if r ≥ 1, else 0.3·r¹⁶.
Losses are counted at the detector's own threshold, because what is best at a low one is not best at a high one.

That is "follow the leader" of prediction with expert advice (Cesa-Bianchi & Lugosi: "Prediction, Learning, and Games",
2006) over the ideas of this package.  The score is φ as if errors were exponential and 0.8 σ on average, as normal ones
are: a heavy enough tail for most; φ = 8 is 14.7 σ.  The mean patience stays the same while σ is within 6 %, because a
patience that follows every estimate errs more than a constant one.  Good at: everything in `supervisor detectors
compare`, where it is on the frontier or near.  Bad at: the first few hundred beats, before losses tell the experts
apart, and senders whose behaviour changes more often than that.
"""

from __future__ import annotations

from array import array
from math import log

from supervisor.core.detection.detectors.accrual import ScoreFunction
from supervisor.core.detection.detectors.float_guards import margin
from supervisor.core.detection.detectors.interval_window import COLD, FLOOR, FOREVER, OUTLIER, IntervalWindow
from supervisor.core.detection.detectors.schedule import Schedule
from supervisor.core.model.saved import integer, number

_UNIT = 0.8 * log(10.0)
"""A score of 1, in mean deviations."""
_STICKY = 1.06
"""The factor by which σ may change before the mean patience follows."""
_LONG = 20_000
"""Beats over which the constants, the mean patience and the losses are averaged."""
_YOUNG, _BRIEF_TURN, _TURN = 2_000, 8, 32
"""The detector is young below `_YOUNG` beats; experts are weighed every `_BRIEF_TURN` beats then, later every `_TURN`.
A mistake elects a leader at once."""
_HEARD = 200
"""Beats after which losses elect the leader, and averages restart without the first guesses."""
_ANOTHER = 2.0
"""The factor between the means of the window and of all beats at which the interval has changed: averages restart."""
_SPREAD, _COLD_SPREAD = 0.02, 0.25
"""The smallest error, and the error before anything is known, as shares of the mean interval."""
_SHORTEST_MEAN = 5.0 * FLOOR
"""Seconds; the smallest error is no smaller share of a shorter mean interval."""
_LATE, _CAP = 2.0, 12.0
"""The most deviations that an error counts, as the latest one and in averages."""
_FAST, _MEDIUM, _QUICK = 1 / 10, 1 / 30, 1 / 16
"""Weights of the newest value: in the errors of the last 10 and 30 beats, and in the quick mean."""
_NEAR, _POWER, _NEAR_LOSS = 0.7, 16, 0.3
"""Near mistakes: the part of the margin from which on one counts, and the loss, `_NEAR_LOSS`·r^`_POWER`."""
_FAR = 1e18

_ALWAYS, _DUE, _MEAN, _LATELY, _SHIFTED = range(5)
"""Locations: the long mean; the schedule's; the window's mean; a quick mean; the schedule's, and its latest errors."""
_ONE, _STORM, _SWELL, _HALF, _QUARTER, _SIGMA = range(5, 11)
"""Scales: a constant; the mean error of the last 10 and of the last 30; half and a quarter of the long mean error with
that of the last 10; the window's deviation."""
_AMONG = 11
EXPERTS = (
    (_DUE, _ONE),
    (_ALWAYS, _ONE),
    (_MEAN, _ONE),
    (_LATELY, _STORM),
    (_SHIFTED, _STORM),
    (_DUE, _HALF),
    (_MEAN, _SWELL),
    (_LATELY, _QUARTER),
    (_MEAN, _SIGMA),
)
_STEADY, _QUICKEST, _WINDOWED = 0, 3, 8
"""Indices of experts: the leader while all losses are equal, and two others whose margins also bound `_gate`, the gap
from which losses are counted."""


class Adaptive(ScoreFunction):
    """`interval` is the configured one in seconds; `threshold` is φ."""

    __slots__ = (
        "_always",
        "_base",
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
        "_sigma",
        "_slope",
        "_unit",
        "threshold",
    )

    def __init__(self, threshold: float, interval: float) -> None:
        self.threshold = threshold
        self._score = margin(threshold)
        self._interval = min(max(FLOOR, interval), FOREVER)
        self.forget()

    def score(self, silence: float, window: IntervalWindow) -> float:
        return max(0.0, silence - self._due) / self._unit

    def silence(self, threshold: float, window: IntervalWindow) -> float:
        return self._due + margin(threshold) * self._unit

    def forget(self) -> None:
        self._schedule = Schedule(self._interval)
        self._always = self._lately = self._interval
        self._same = self._fast = self._medium = self._sigma = self._base = _COLD_SPREAD * self._interval
        self._late, self._beats, self._leader = 0.0, 0, _STEADY
        self._losses = array("d", [0.0] * len(EXPERTS))
        self._means = array("d", [self._interval] * _ONE + [1.0] + [self._same] * (_AMONG - _ONE - 1))
        self._weigh()
        self._foresee(self._interval)

    def begin(self) -> None:
        self._schedule.lose()
        self._foresee(self._now[_MEAN])

    def learn(self, gap: float, delay: float | None, usual: bool, window: IntervalWindow) -> None:
        mean, sigma = window.mean, window.deviation
        minimum = _SPREAD * mean if mean > _SHORTEST_MEAN else _SPREAD * _SHORTEST_MEAN
        self._sigma = sigma if sigma > minimum else minimum
        if usual:
            if gap > self._gate:
                self._blame(gap)
            self._measure(gap, mean, window.sigma)
            self._beats = beats = self._beats + 1
            turn = _TURN if beats > _YOUNG else _BRIEF_TURN
            if not beats % turn:
                self._average(turn)
                self._weigh()
        if window.count == COLD:
            self._lately = mean
        self._schedule.take(gap, delay, usual, mean)
        self._foresee(mean)

    def dump(self) -> list[float]:
        state = (self._always, self._lately, self._same, self._fast, self._medium, self._sigma, self._base)
        counts = (self._beats, self._leader)
        mean = self._now[_MEAN]
        return [*state, self._late, mean, *counts, *self._losses, *self._means, *self._schedule.dump()]

    def load(self, saved: list[object]) -> None:
        always, lately, same, fast, medium, sigma, base = (number(i, 0.1 * FLOOR, FOREVER) for i in saved[:7])
        late, mean = number(saved[7], -FOREVER, FOREVER), number(saved[8], 0.0, FOREVER)
        beats, leader = integer(saved[9], 0, 2**62), integer(saved[10], 0, len(EXPERTS) - 1)
        after = 11 + len(EXPERTS)
        losses = array("d", [number(i, 0.0, _FAR) for i in saved[11:after]])
        means = array("d", [number(i, 0.1 * FLOOR, FOREVER) for i in saved[after : after + _AMONG]])
        self._schedule.load(saved[after + _AMONG :])
        self._always, self._lately, self._same, self._fast, self._medium = always, lately, same, fast, medium
        self._sigma, self._base, self._late, self._beats, self._leader = sigma, base, late, beats, leader
        self._losses, self._means = losses, means
        self._weigh()
        self._foresee(mean)

    def _measure(self, gap: float, mean: float, sigma: float) -> None:
        """Update the errors by how far off the schedule was.  Long pauses are capped."""
        off = gap - self._now[_DUE]
        error = off if off > 0.0 else -off
        if error > _CAP * sigma:
            error = _CAP * sigma
        if error < _SPREAD * mean:
            error = _SPREAD * mean
        if error < FLOOR:
            error = FLOOR
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
        due, same, fast, sigma = self._schedule.ahead, self._same, self._fast, self._sigma
        self._now = now = (
            self._always, due, mean, self._lately, due + self._late,
            1.0, fast, self._medium, 0.5 * (same + fast), 0.25 * same + 0.75 * fast, sigma,
        )  # fmt: skip
        location, scale = EXPERTS[self._leader]
        begin = now[location] + self._shift * now[scale]
        self._due = begin if begin > 0.0 else 0.0
        self._unit = self._slope * now[scale]
        margins = self._margins
        constant, stormy, windowed = margins[_STEADY], margins[_QUICKEST] * fast, margins[_WINDOWED] * sigma
        if stormy < constant:
            constant = stormy
        gate = due + _NEAR * (constant if constant < windowed else windowed)
        own = now[location] + _NEAR * margins[self._leader] * now[scale]
        self._gate = own if own < gate else gate

    def _average(self, beats: int) -> None:
        mean, always = self._now[_MEAN], self._always
        if not always < _ANOTHER * mean < _ANOTHER * _ANOTHER * always:
            self._always, self._same, self._beats = mean, self._medium, 0
        known = self._beats - _HEARD if self._beats > _HEARD else self._beats
        part = beats / min(max(beats, known), _LONG)
        keep = 1.0 - beats / _LONG if self._beats > _LONG else 1.0
        means, losses = self._means, self._losses
        for i, value in enumerate(self._now):
            means[i] += (value - means[i]) * part
        for i, loss in enumerate(losses):
            losses[i] = loss * keep

    def _weigh(self) -> None:
        """Set the margin of each expert, in units of its scale, so that all have the same mean patience."""
        means = self._means
        self._base = min(max(self._base, means[_SIGMA] / _STICKY), means[_SIGMA] * _STICKY)
        wanted = means[_MEAN] + self._score * _UNIT * self._base
        self._margins = array("d", [max(1e-3, (wanted - means[at]) / means[scale]) for at, scale in EXPERTS])
        self._elect()

    def _elect(self) -> None:
        if self._beats >= _HEARD:
            losses, leader = self._losses, self._leader
            minimum = min(losses)
            if minimum < losses[leader]:
                self._leader = losses.index(minimum)
        location, scale = EXPERTS[self._leader]
        means = self._means
        self._shift = (means[_MEAN] - means[location]) / means[scale]
        self._slope = _UNIT * self._base / means[scale]

    def _blame(self, gap: float) -> None:
        now, losses, margins = self._now, self._losses, self._margins
        for i, (location, scale) in enumerate(EXPERTS):
            used = (gap - now[location]) / (margins[i] * now[scale])
            if used >= 1.0:
                losses[i] += 1.0
            elif used > _NEAR:
                losses[i] += _NEAR_LOSS * used**_POWER
        self._elect()
