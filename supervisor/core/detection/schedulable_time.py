"""How long could a suspect have run since it fell under suspicion?  Only that time is held against it.

Of a thread that wanted to run all the time (it spins, or works), what it did not run was taken from it, for whatever
reason.  Of one that slept in between, or was born, the kernel counts how long it waited for a CPU.  Which thread ought
to beat nobody knows, so the one that waited longest speaks for all.  One that sleeps (in a futex, in a read) waits for
no CPU: its time counts.  So does time in uninterruptible sleep, for a disk that does not answer is as good a reason
to be found as a lock; where it is for want of memory, the pressure of its cgroup tells.  While a process is stopped,
traced or frozen it cannot run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Wait = int | str
"""What is waited for, or which thread waits."""


class Waited(NamedTuple):
    """Until now: `seconds` waited ever; of a thread also the seconds that it `ran`, how often it went to sleep by
    itself, and whether it wants to run now."""

    seconds: float
    ran: float = 0.0
    sleeps: int = 0
    wants: bool = False


MEMORY, QUOTA = "memory", "quota"
"""What a whole cgroup waits for, beside threads for a CPU."""
_REASONS: Mapping[Wait | None, str] = {MEMORY: "starved of memory", QUOTA: "at its CPU quota"}
CONTENDED = 10.0
"""Per cent of the last 10 s in which somebody had to wait for a CPU: from here on a sleeper may have, too."""
STARVED = 0.5
"""The share of the time, from which on it counts as starved rather than silent."""


_NEW_THREAD = Waited(0.0)


class SchedulableTime:
    """One suspicion's.  `ran` is in seconds; `share` is how much of the time between the last two looks it waited,
    and `waited_for` for what.  `unsure`: a thread began to wait in between, and the kernel has not counted that yet."""

    __slots__ = ("_at", "_blocked", "_waited", "ran", "share", "unsure", "waited_for")

    def __init__(self) -> None:
        self.ran = 0.0
        self.share = 0.0
        self.waited_for: Wait | None = None
        self.unsure = False
        self._at: float | None = None
        self._blocked = False
        self._waited: Mapping[Wait, Waited] = {}

    @property
    def looked(self) -> bool:
        """The next look can tell already."""
        return self._at is not None

    @property
    def held(self) -> str | None:
        """What it waited for during most of the time between the last two looks."""
        return _REASONS.get(self.waited_for, "starved of CPU") if self.share >= STARVED else None

    def look(self, at: float, waited: Mapping[Wait, Waited], *, blocked: bool) -> None:
        """`waited`: by thread, or other kind of wait.  `blocked`: it cannot run at present."""
        if self._at is not None and at > self._at:
            seconds = at - self._at
            longest, self.waited_for, self.unsure = 0.0, None, False
            for key, after in waited.items():
                before = self._waited.get(key, _NEW_THREAD if isinstance(key, int) else after)
                if before.wants and after.wants and before.sleeps == after.sleeps:
                    lost = seconds - (after.ran - before.ran)
                else:
                    lost = after.seconds - before.seconds
                    self.unsure |= after.wants
                lost = min(lost, seconds)
                if lost > longest:
                    longest, self.waited_for = lost, key
            if blocked and self._blocked:
                longest = seconds
            self.share = longest / seconds
            self.ran += seconds - longest
        self._at, self._waited, self._blocked = at, waited, blocked


def contended(host: Mapping[str, Any]) -> bool:
    """CPUs are short, as far as pressure (or, without that, the load) tells: see `evidence.host`."""
    pressure = host.get("psi", {}).get("cpu", {}).get("some")
    if pressure:
        return bool(pressure[0] >= CONTENDED)
    load, cpus = host.get("load"), host.get("cpus")
    return bool(load and cpus and load[0] > cpus)
