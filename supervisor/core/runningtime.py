"""How long could a suspect have run since it fell under suspicion?  Only that time is held against it.

Of a thread that wanted to run all the time, what it did not run was taken from it, for whatever reason.  Of one that
slept in between the kernel counts how long it waited for a CPU.  Which thread ought to beat nobody knows, so the one
that waited longest speaks for all.  While a process is stopped, traced or frozen it cannot run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

Wait = int | str
"""What is waited for, or which thread waits."""


class Waited(NamedTuple):
    """Until now: `seconds` waited ever; of a thread also the seconds that it `ran`, how often it went to sleep by
    itself, and whether it wants to run now."""

    seconds: float
    ran: float = 0.0
    sleeps: int = 0
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
                if before.wants and after.wants and before.sleeps == after.sleeps:
                    lost = seconds - (after.ran - before.ran)
                else:
                    lost = after.seconds - before.seconds
                lost = min(lost, seconds)
                if lost > longest:
                    longest, self.most = lost, key
            if barred and self._barred:
                longest = seconds
            self.share = longest / seconds
            self.ran += seconds - longest
        self._at, self._waited, self._barred = at, waited, barred
