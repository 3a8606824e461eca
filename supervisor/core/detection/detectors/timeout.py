"""The fixed timeout: suspicion begins after a configured silence; the score is the part of it that has passed.

Good at: intervals that are known and do not change (no learning detector does better there).  Bad at: all others.
"""

from __future__ import annotations

from supervisor.core.detection.detectors.accrual import ScoreFunction
from supervisor.core.detection.detectors.float_guards import margin
from supervisor.core.detection.detectors.interval_window import FLOOR, FOREVER, IntervalWindow


class Timeout(ScoreFunction):
    """`timeout` in seconds (at least 1 ms, at most a year) is the silence at the threshold, 1."""

    __slots__ = ("_timeout", "threshold")

    def __init__(self, timeout: float) -> None:
        self.threshold = 1.0
        self._timeout = min(max(FLOOR, timeout), FOREVER)

    def score(self, silence: float, window: IntervalWindow) -> float:
        return silence / self._timeout

    def silence(self, threshold: float, window: IntervalWindow) -> float:
        return margin(threshold) * self._timeout
