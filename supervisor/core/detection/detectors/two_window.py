"""Two windows, 2W-FD: Chen's detector with the later of two expected arrivals, one by a long and one by a window of 1.

Tomsic, Sens, Garcia, Arantes, Sopena: "2W-FD: A Failure Detector Algorithm with QoS", IPDPS 2015.  The long window
knows the schedule, the short one is the last beat plus a period: so a sudden delay that stays is believed at once.
Good at: networks that turn slow from one moment to the next.  Bad at: single late beats, after which it waits a period
more than it need.  The score is Chen's: tenths of a period overdue.
"""

from __future__ import annotations

from supervisor.core.detection.detectors.chen import PARTS, Chen


class TwoWindow(Chen):
    """As `Chen`."""

    __slots__ = ()

    def _update(self) -> None:
        period, ahead = self._schedule.period, self._schedule.ahead
        self._due = ahead if ahead > period else period
        self._unit = period / PARTS
