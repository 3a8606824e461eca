"""How long could a suspect have run since it fell under suspicion?  Only that time is held against it.

The kernel counts, for each thread, the time that it waited for a CPU although it had work; it does so when the waiting
is over, hence the look at who has not had a turn at all.  Which thread ought to beat nobody knows, so the one that
waited longest speaks for all.  While a process is stopped, traced or frozen it cannot run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

Wait = int | str
"""What is waited for, or which thread waits."""


class Waited(NamedTuple):
    """What was waited until now: `seconds` ever; how many `turns` a thread had; whether it would like one now."""

    seconds: float
    turns: int = 0
    wants: bool = False


STARVED = 0.5
"""The share of the time, from which on it counts as starved rather than silent."""


class RunningTime:
    """One suspicion's.  `ran` is in seconds; `share` is how much of the time between the last two looks it waited,
    and `most` for what."""

    __slots__ = ("_at", "_barred", "_waited", "most", "ran", "share")

    def __init__(self) -> None:
        self.ran = 0.0
        self.share = 0.0
        self.most: Wait | None = None
        self._at: float | None = None
        self._barred = False
        self._waited: Mapping[Wait, Waited] = {}

    @property
    def looked(self) -> bool:
        """The next look can tell already."""
        return self._at is not None

    @property
    def starved(self) -> bool:
        """It waited for most of the time between the last two looks."""
        return self.share >= STARVED

    def look(self, at: float, waited: Mapping[Wait, Waited], *, barred: bool) -> None:
        """`waited`: by thread, or other kind of wait.  `barred`: it cannot run at present."""
        if self._at is not None and at > self._at:
            seconds = at - self._at
            longest, self.most = 0.0, None
            for key in self._waited.keys() & waited.keys():
                before, after = self._waited[key], waited[key]
                all_the_time = before.wants and after.wants and before.turns == after.turns
                lost = seconds if all_the_time else min(after.seconds - before.seconds, seconds)
                if lost > longest:
                    longest, self.most = lost, key
            if barred and self._barred:
                longest = seconds
            self.share = longest / seconds
            self.ran += seconds - longest
        self._at, self._waited, self._barred = at, waited, barred
