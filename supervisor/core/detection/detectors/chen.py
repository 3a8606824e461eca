"""Chen's NFD-E: a beat is overdue a constant margin α after its expected arrival, which comes from the schedule.

Chen, Toueg, Aguilera: "On the Quality of Service of Failure Detectors", IEEE Transactions on Computers 51(5), 2002;
with the send times of beats it is their NFD-S.  The score is how much the beat is overdue, in tenths of a period, so
that α = threshold·η/10.  Good at: senders with a timer, whatever delays and loses their beats (it expects the
short gap after a late beat).  Bad at: senders that work and then sleep, whose phase drifts, and delays that change
their spread, since α does not follow.
"""

from __future__ import annotations

from supervisor.core.detection.detectors.accrual import ScoreFunction
from supervisor.core.detection.detectors.interval_window import IntervalWindow
from supervisor.core.detection.detectors.numbers import margin
from supervisor.core.detection.detectors.schedule import Schedule

PARTS = 10.0
"""Parts of a period that the score counts."""


class Chen(ScoreFunction):
    """`interval` is the configured period in seconds; `threshold` is α in tenths of the period."""

    __slots__ = ("_due", "_interval", "_schedule", "_unit", "threshold")

    _due: float
    """Seconds from the last beat until the next is due."""
    _unit: float
    """Seconds that raise the score by one."""

    def __init__(self, threshold: float, interval: float) -> None:
        self.threshold = threshold
        self._interval = interval
        self.forget()

    def score(self, silence: float, window: IntervalWindow) -> float:
        return max(0.0, silence - self._due) / self._unit

    def silence(self, threshold: float, window: IntervalWindow) -> float:
        return self._due + margin(threshold) * self._unit

    def forget(self) -> None:
        self._schedule = Schedule(self._interval)
        self._update()

    def begin(self) -> None:
        self._schedule.lose()
        self._update()

    def learn(self, gap: float, delay: float | None, usual: bool, window: IntervalWindow) -> None:
        self._schedule.take(gap, delay, usual, window.mean)
        self._update()

    def dump(self) -> list[float]:
        return self._schedule.dump()

    def load(self, saved: list[object]) -> None:
        self._schedule.load(saved)
        self._update()

    def _update(self) -> None:
        self._due = self._schedule.ahead
        self._unit = self._schedule.period / PARTS
