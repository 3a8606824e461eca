"""The exponential detector, as in Cassandra: φ(t) = t/(mean·ln 10), as if beats were a Poisson process.

Lakshman & Malik: "Cassandra: A Decentralized Structured Storage System", LADIS 2009.  Good at: memoryless senders,
intervals whose spread grows with their mean, and few false suspicions (φ = 8 is 18 mean intervals).  Bad at: regular
senders, for which it is many times slower than necessary, since it never learns how regular they are.
"""

from __future__ import annotations

from math import log

from supervisor.core.detection.detectors.accrual import ScoreFunction
from supervisor.core.detection.detectors.interval_window import FLOOR, IntervalWindow
from supervisor.core.detection.detectors.numbers import margin

_LN10 = log(10.0)


class Exponential(ScoreFunction):
    """`threshold` is φ."""

    __slots__ = ("threshold",)

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def score(self, silence: float, window: IntervalWindow) -> float:
        return silence / (max(FLOOR, window.mean) * _LN10)

    def silence(self, threshold: float, window: IntervalWindow) -> float:
        return margin(threshold) * max(FLOOR, window.mean) * _LN10
