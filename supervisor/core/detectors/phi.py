"""φ-accrual detection: φ(t) = −log₁₀ P(interval > t), the chance that a beat is still to come after silence t.

Hayashibara, Défago, Yared, Katayama: "The φ Accrual Failure Detector", SRDS 2004.  φ = 8 says: wrong once in 10⁸
beats, *if* intervals are distributed as assumed.  Real ones have heavier tails, hence a floor under the silence
at which suspicion begins, and a cap over it.  The score itself is never bent: it stays the honest φ.
"""

from __future__ import annotations

from collections.abc import Callable

from supervisor.core.detectors.rhythm import FOREVER, Rhythm


class Phi:
    """`tail(z)` is φ at z standard deviations beyond the mean, and `inverse` its inverse; bounds in seconds."""

    __slots__ = ("_least", "_most", "_tail", "_z", "threshold")

    def __init__(
        self,
        tail: Callable[[float], float],
        inverse: Callable[[float], float],
        threshold: float,
        least: float,
        most: float,
    ) -> None:
        self.threshold = threshold
        self._tail = tail
        self._z = inverse(threshold)
        self._least = max(0.0, least)
        self._most = min(max(0.0, most), FOREVER)

    def score(self, silence: float, rhythm: Rhythm) -> float:
        return self._tail((silence - rhythm.mean) / rhythm.sigma)

    def patience(self, rhythm: Rhythm) -> float:
        """Where floor and cap contradict each other, the cap holds."""
        return min(max(self._least, rhythm.mean + self._z * rhythm.sigma), self._most)
