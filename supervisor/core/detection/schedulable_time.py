"""Measures for how long a suspect could have run since its suspicion began; only this schedulable time counts.

- A thread that was runnable at both readings and never slept in between lost all the time in which it did not run.
- For a thread that slept in between, or is new, the kernel counts how long it waited for a CPU.
- It is not known which thread sends the beats, so the thread that waited longest stands for the process.
- A sleeping thread (in a futex, in a read) waits for no CPU: its time counts.
- Uninterruptible sleep counts too, because a disk that does not answer has to be detected like a deadlock.  The memory
  pressure of the cgroup shows how much of it is for lack of memory.
- A process that is stopped, traced or frozen cannot run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Wait = int | str
"""The thread that waits (its id), or what a whole cgroup waits for (`MEMORY`, `QUOTA`)."""


class Waited(NamedTuple):
    """Totals until now: the `seconds` waited; for a thread also the seconds that it `ran`, how often it went to sleep
    by itself (`sleeps`), and whether it is runnable now (`wants`)."""

    seconds: float
    ran: float = 0.0
    sleeps: int = 0
    wants: bool = False


MEMORY, QUOTA = "memory", "quota"
"""What a whole cgroup may wait for, beside the threads that wait for a CPU."""
_REASONS: Mapping[Wait | None, str] = {MEMORY: "starved of memory", QUOTA: "at its CPU quota"}
CONTENDED = 10.0
"""Per cent of the last 10 s in which some task waited for a CPU; from here on a sleeping thread may have waited too."""
STARVED = 0.5
"""The share of time spent waiting from which on a process counts as starved rather than silent."""

_NEW_THREAD = Waited(0.0)


class SchedulableTime:
    """The schedulable time during one silence; it begins with the `ran` seconds that were counted before.

    `ran`: seconds in which the process could run.  `share`: the share of the time between the last two looks in which
    it waited, and `waited_for` for what.  `unsure`: a thread began to wait in between, which the kernel has not counted
    yet."""

    __slots__ = ("_at", "_blocked", "_waited", "ran", "share", "unsure", "waited_for")

    def __init__(self, ran: float = 0.0) -> None:
        self.ran = ran
        self.share = 0.0
        self.waited_for: Wait | None = None
        self.unsure = False
        self._at: float | None = None
        self._blocked = False
        self._waited: Mapping[Wait, Waited] = {}

    @property
    def looked(self) -> bool:
        """There was a first look, so that the next one can measure."""
        return self._at is not None

    @property
    def held(self) -> str | None:
        """The reason to hold the suspect: what it waited for during most of the time between the last two looks, or
        None."""
        return _REASONS.get(self.waited_for, "starved of CPU") if self.share >= STARVED else None

    def look(self, at: float, waited: Mapping[Wait, Waited], *, blocked: bool) -> None:
        """Measure the time since the last look.  `waited`: the totals of each thread and other kind of wait.
        `blocked`: the process is stopped, traced or frozen."""
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
    """CPUs are contended, by pressure or, without that, by the load of `host` (the host's figures of the evidence)."""
    pressure = host.get("psi", {}).get("cpu", {}).get("some")
    if pressure:
        return bool(pressure[0] >= CONTENDED)
    load, cpus = host.get("load"), host.get("cpus")
    return bool(load and cpus and load[0] > cpus)
