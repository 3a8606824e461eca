"""Detectors of other projects, rebuilt with their defaults and known defects, to compare with what is in use.

Only what matters for suspicion is rebuilt: which intervals are kept, and the score computed from them.
"""

from __future__ import annotations

from array import array
from math import log, sqrt

from supervisor.core.detection.detectors import logistic

WINDOW = 1000
LEAST_DEVIATION = 0.1
"""100 ms where beats come every second: a tenth of the period here."""


class Window:
    """A running mean and variance of the newest intervals, in floats as the peers compute them."""

    def __init__(self, size: int, *intervals: float) -> None:
        self._ring = array("d")
        self._size, self._oldest = size, 0
        self._sum = self._squares = 0.0
        for interval in intervals:
            self.add(interval)

    def add(self, interval: float) -> None:
        if len(self._ring) < self._size:
            self._ring.append(interval)
        else:
            gone, self._ring[self._oldest] = self._ring[self._oldest], interval
            self._sum -= gone
            self._squares -= gone * gone
            self._oldest = (self._oldest + 1) % self._size
        self._sum += interval
        self._squares += interval * interval

    @property
    def mean(self) -> float:
        return self._sum / len(self._ring)

    @property
    def deviation(self) -> float:
        return sqrt(max(0.0, self._squares / len(self._ring) - self.mean**2))


class Akka:
    """The detector of Akka and Pekko clusters: 1000 intervals, logistic φ, σ ≥ 100 ms, 3 s of acceptable pause.

    Defect: an interval that ended a suspicion is not learned, so that it never adapts to beats that become slower for
    good.
    """

    size, pause, start_deviation = WINDOW, 3.0, 0.25

    def __init__(self, period: float, threshold: float, pause: float | None = None) -> None:
        """`pause`: the acceptable pause in periods, if not the default."""
        self.threshold = threshold
        self._least, self._pause = LEAST_DEVIATION * period, (self.pause if pause is None else pause) * period
        spread = self.start_deviation * period
        self._window = Window(self.size, period - spread, period + spread)
        self._last: float | None = None

    def start(self, now: float) -> None:
        self._last = None

    def heartbeat(self, at: float, sent: float | None = None) -> bool:
        if self._last is not None and self._learns(at):
            self._window.add(at - self._last)
        self._last = at
        return True

    def suspicion(self, at: float) -> float:
        if self._last is None:
            return 0.0
        deviation = max(self._window.deviation, self._least)
        return logistic.phi((at - self._last - self._window.mean - self._pause) / deviation)

    def suspect_at(self, threshold: float | None = None) -> float | None:
        if self._last is None:
            return None
        z = logistic.phi_inverse(self.threshold if threshold is None else threshold)
        return self._last + self._window.mean + self._pause + z * max(self._window.deviation, self._least)

    def _learns(self, at: float) -> bool:
        return self.suspicion(at) < self.threshold


class Hazelcast(Akka):
    """Hazelcast's φ: 200 intervals, logistic φ, σ ≥ 100 ms per 5 s, 12 periods of acceptable pause (60 s per 5 s).

    Defect: the time of the last beat is set before the pause is tested, so that every pause is learned.
    """

    size, pause = 200, 12.0

    def _learns(self, at: float) -> bool:
        return True


class Cassandra:
    """Cassandra's detector: φ = silence/(mean·ln 10) of 1000 intervals, the first of which is taken as two periods.

    Defect: an interval of more than two periods is not learned, so that it never adapts to beats that are slower than
    that.
    """

    def __init__(self, period: float, threshold: float) -> None:
        self.threshold = threshold
        self._longest = 2.0 * period
        self._window = Window(WINDOW, self._longest)
        self._last: float | None = None

    def start(self, now: float) -> None:
        self._last = None

    def heartbeat(self, at: float, sent: float | None = None) -> bool:
        if self._last is not None and at - self._last <= self._longest:
            self._window.add(at - self._last)
        self._last = at
        return True

    def suspicion(self, at: float) -> float:
        return 0.0 if self._last is None else (at - self._last) / (self._window.mean * log(10.0))

    def suspect_at(self, threshold: float | None = None) -> float | None:
        if self._last is None:
            return None
        score = self.threshold if threshold is None else threshold
        return self._last + score * self._window.mean * log(10.0)
