"""φ-accrual detection: φ(t) = −log₁₀ P(interval > t), the probability that a beat still comes after silence t.

Hayashibara, Défago, Yared, Katayama: "The φ Accrual Failure Detector", SRDS 2004.  φ = 8 means one
mistake in 10⁸ beats, *if* intervals are distributed as assumed.  Real ones have heavier tails, so the silence at which
suspicion begins is bounded (min_timeout, max_timeout).  The score itself is not changed.

Good at: intervals whose mean and spread change, since the window follows.  Bad at: rare pauses, which have left the
window when the next one comes, and senders with a timer, whose schedule it does not use.
"""

from __future__ import annotations

from collections.abc import Callable

from supervisor.core.detection.detectors.accrual import ScoreFunction
from supervisor.core.detection.detectors.interval_window import IntervalWindow


class Phi(ScoreFunction):
    """`tail(z)` is φ at z standard deviations beyond the mean, and `inverse` its inverse."""

    __slots__ = ("_inverse", "_tail", "_z", "threshold")

    def __init__(self, tail: Callable[[float], float], inverse: Callable[[float], float], threshold: float) -> None:
        self.threshold = threshold
        self._tail = tail
        self._inverse = inverse
        self._z = inverse(threshold)

    def score(self, silence: float, window: IntervalWindow) -> float:
        return self._tail((silence - window.mean) / window.sigma)

    def silence(self, threshold: float, window: IntervalWindow) -> float:
        z = self._z if threshold == self.threshold else self._inverse(threshold)
        return window.mean + z * window.sigma
