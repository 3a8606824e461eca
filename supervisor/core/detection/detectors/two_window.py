"""The two-window detector, 2W-FD: Chen's with the later of two expected arrivals, by a long window and by one beat.

Tomsic, Sens, Garcia, Arantes, Sopena: "2W-FD: A Failure Detector Algorithm with QoS", IPDPS 2015.  The long window
gives the schedule, the short one the last beat plus a period, so a sudden delay that stays is followed at once.  Good
at: networks that suddenly turn slow.  Bad at: single late beats, after which it waits a period longer than necessary.
The score is Chen's: tenths of a period overdue.
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
