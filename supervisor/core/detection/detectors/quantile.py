"""The quantile detector: φ from the order statistics of the newest intervals, without an assumed distribution.

The survival of the newest 80 intervals at their median, their 90 % quantile and their longest is ½, 1/10 and 1/81
(Weibull's plotting positions); between these, and beyond the last, −log₁₀ of it is linear, which is an
exponential tail (the generalised Pareto distribution with ξ = 0; Pickands: "Statistical Inference Using Extreme Order
Statistics", Annals of Statistics 3(1), 1975).  Good at: intervals of any shape, two modes or a skew, and rare pauses
while one is in the window.  Bad at: low rates of mistakes, since the longest interval of so
short a window is a rough estimate; and after a long pause detection is slow until the pause has left the window.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable
from math import log10

from supervisor.core.detection.detectors.accrual import ScoreFunction
from supervisor.core.detection.detectors.interval_window import COLD, FLOOR, FOREVER, IntervalWindow
from supervisor.core.detection.detectors.numbers import margin
from supervisor.core.model.saved import integer, sequence

SIZE = 80
"""Number of intervals in the window."""
_MICRO = 1e6
_MEDIAN = log10(2.0)
_LONGEST = round(FOREVER * _MICRO)
_SPREAD = 0.01
"""The smallest distance between two order statistics, as a share of the median."""
_KNOWN = 10
"""With fewer intervals mean and deviation of the interval window are used, as of a normal distribution."""
_TWO_PERCENT = 2.33
"""Deviations above the mean at which φ of a normal distribution is 2."""


class Quantile(ScoreFunction):
    """`threshold` is φ."""

    __slots__ = ("_oldest", "_ring", "_sorted", "threshold")

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.forget()

    def forget(self) -> None:
        self._fill(())

    def score(self, silence: float, window: IntervalWindow) -> float:
        half, tenth, longest, top = self._curve(window)
        if silence <= half:
            return silence / half * _MEDIAN
        if silence <= tenth:
            return _MEDIAN + (silence - half) / (tenth - half) * (1.0 - _MEDIAN)
        return 1.0 + (silence - tenth) / (longest - tenth) * (top - 1.0)

    def silence(self, threshold: float, window: IntervalWindow) -> float:
        score = margin(threshold)
        half, tenth, longest, top = self._curve(window)
        if score <= _MEDIAN:
            return score / _MEDIAN * half
        if score <= 1.0:
            return half + (score - _MEDIAN) / (1.0 - _MEDIAN) * (tenth - half)
        return tenth + (score - 1.0) / (top - 1.0) * (longest - tenth)

    def learn(self, gap: float, delay: float | None, usual: bool, window: IntervalWindow) -> None:
        if window.count == COLD:
            self._fill(window.newest(COLD))
        elif usual:
            self._push(min(round(gap * _MICRO), _LONGEST))

    def dump(self) -> list[float]:
        ring, oldest = self._ring, self._oldest
        return [*ring[oldest:], *ring[:oldest]]

    def load(self, saved: list[object]) -> None:
        self._fill([integer(i, 0, _LONGEST) for i in sequence(saved, SIZE)])

    def _fill(self, micros: Iterable[int]) -> None:
        self._ring = array("q", micros)
        self._sorted = array("q", sorted(self._ring))
        self._oldest = 0

    def _push(self, micros: int) -> None:
        ring, ranked = self._ring, self._sorted
        if len(ring) < SIZE:
            ring.append(micros)
        else:
            oldest = self._oldest
            del ranked[bisect_left(ranked, ring[oldest])]
            ring[oldest] = micros
            self._oldest = (oldest + 1) % SIZE
        insort(ranked, micros)

    def _curve(self, window: IntervalWindow) -> tuple[float, float, float, float]:
        """The median, the 90 % quantile and the longest interval (seconds, increasing), and φ at the longest."""
        ranked, n = self._sorted, len(self._sorted)
        if n < _KNOWN:
            half = max(FLOOR, window.mean)
            return half, half + window.sigma, half + _TWO_PERCENT * window.sigma, 2.0
        half = max(FLOOR, ranked[n // 2] / _MICRO)
        apart = max(FLOOR, _SPREAD * half)
        tenth = max(half + apart, ranked[n * 9 // 10] / _MICRO)
        return half, tenth, max(tenth + apart, ranked[-1] / _MICRO), log10(n + 1)
