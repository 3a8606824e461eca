"""The fixed timeout: suspected when silent for so long, whatever the rhythm; the score is how much of it is over."""

from __future__ import annotations

from supervisor.core.detectors.rhythm import FOREVER, LEAST, Rhythm


class Timeout:
    """`timeout` in seconds (at least 1 ms, at most a year) is floor and cap in one; the threshold is 1."""

    __slots__ = ("_timeout", "threshold")

    def __init__(self, timeout: float) -> None:
        self.threshold = 1.0
        self._timeout = min(max(LEAST, timeout), FOREVER)

    def score(self, silence: float, rhythm: Rhythm) -> float:
        return silence / self._timeout

    def patience(self, rhythm: Rhythm) -> float:
        return self._timeout
