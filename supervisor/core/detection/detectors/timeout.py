"""The fixed timeout: suspected when silent for so long, whatever the rhythm; the score is how much of it is over.

Good at: a rhythm that is known and stays (tuned to it, nothing that learns does better).  Bad at: any other.
"""

from __future__ import annotations

from supervisor.core.detection.detectors.accrual import ScoreFunction
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
        return threshold * self._timeout
