"""Bertier's detector: Chen's expected arrival, and a margin that follows the errors of that estimate.

Bertier, Marin, Sens: "Implementation and Performance Evaluation of an Adaptable Failure Detector", DSN 2002.  The
margin is Jacobson's, as TCP estimates its round trip: delay + φ·var, both smoothed with γ = 0.1.  The score is φ, 4 in
the paper.  Good at: delays that change their spread.  Bad at: rare late beats, which are forgotten ten
beats later, so that it makes more mistakes than Chen's constant margin at the same speed.
"""

from __future__ import annotations

from supervisor.core.detection.detectors.chen import Chen
from supervisor.core.detection.detectors.interval_window import COLD, FLOOR, FOREVER, IntervalWindow
from supervisor.core.model.saved import number

_GAMMA = 0.1
_SPREAD = 0.01
"""The smallest error, as a share of the period."""
_COLD = 0.25
"""The error before anything is known, as a share of the period."""


class Bertier(Chen):
    """`interval` is the configured period in seconds; `threshold` is φ."""

    __slots__ = ("_late", "_spread")

    def forget(self) -> None:
        self._late = self._spread = 0.0
        super().forget()
        self._spread = _COLD * self._schedule.period
        self._update()

    def learn(self, gap: float, delay: float | None, usual: bool, window: IntervalWindow) -> None:
        error = gap - self._due
        if window.count == COLD:
            self._late = 0.0
            self._spread = _COLD * window.mean
        elif usual:
            if error > self._schedule.period:
                error = self._schedule.period
            self._late += _GAMMA * error
            self._spread += _GAMMA * (abs(error) - self._spread)
        super().learn(gap, delay, usual, window)

    def dump(self) -> list[float]:
        return [self._late, self._spread, *super().dump()]

    def load(self, saved: list[object]) -> None:
        late, spread = number(saved[0], -FOREVER, FOREVER), number(saved[1], 0.0, FOREVER)
        self._late, self._spread = late, spread
        super().load(saved[2:])

    def _update(self) -> None:
        period, due = self._schedule.period, self._schedule.ahead + self._late
        self._due = due if due > 0.0 else 0.0
        minimum = _SPREAD * period if _SPREAD * period > FLOOR else FLOOR
        self._unit = self._spread if self._spread > minimum else minimum
