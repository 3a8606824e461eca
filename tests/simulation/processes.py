"""Simulated processes, which run, beat, hang and end."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import NamedTuple

FEW = 48
"""Numbers there are for processes: so few that they come again."""


class Seen(NamedTuple):
    """A process in /proc."""

    start: int
    state: str


@dataclass(slots=True, eq=False)
class Process:
    """A main process with its descendants.  `left`: descendants that outlive the main process."""

    pid: int
    start: int
    instance: str
    incarnation: int
    began: float
    alive: bool = True
    ready: bool = False
    hung: bool = False
    stopped: bool = False
    behind: bool = False
    """It was stopped, and has not beaten since: its silence is real, though it is well again."""
    stubborn: bool = False
    """Does not heed SIGTERM."""
    immortal_until: float = 0.0
    """State D: not even SIGKILL ends it before."""
    dying: tuple[int | None, int | None] | None = None
    left: bool = False
    status: tuple[int | None, int | None] = (None, None)
    zombie_of: object | None = None
    """The daemon whose child it is, as long as that has not read its status."""
    asked_for_readiness: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    """That of the definition by which it was spawned."""

    def seen_by(self, daemon: object) -> Seen | None:
        """What /proc shows of its main process: a zombie, if it has ended and this daemon is its parent; init reaps the
        others at once."""
        if self.alive:
            return Seen(self.start, "T" if self.stopped else "S")
        return Seen(self.start, "Z") if self.zombie_of is daemon else None

    @property
    def tree_alive(self) -> bool:
        return self.alive or self.left

    @property
    def healthy(self) -> bool:
        return self.alive and not (self.hung or self.stopped) and self.dying is None

    @property
    def blameless(self) -> bool:
        """Nothing can be held against it: neither its start, nor its readiness, nor a silence."""
        return self.healthy and self.ready_or_needs_not and not self.behind

    @property
    def ready_or_needs_not(self) -> bool:
        """Neither its start nor its readiness can be held against it."""
        return self.ready or not self.asked_for_readiness


class ProcessTable:
    """All that there ever were of use."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._starts = 0
        self.by_pid: dict[int, Process] = {}
        self.by_instance: dict[str, Process] = {}

    def spawn(self, instance: str, incarnation: int, now: float, parent: object) -> Process:
        self._starts += 1
        free = [n for n in range(2, FEW) if n not in self.by_pid] or [FEW + self._starts]
        process = Process(self._dice.choice(free), self._starts, instance, incarnation, now, zombie_of=parent)
        self.by_pid[process.pid] = process
        self.by_instance[instance] = process
        return process

    def forget(self, process: Process) -> None:
        """Nothing of it is there any more: its number may come again."""
        if not process.tree_alive and self.by_pid.get(process.pid) is process:
            del self.by_pid[process.pid]
            if self.by_instance.get(process.instance) is process:
                del self.by_instance[process.instance]

    def living(self) -> list[Process]:
        return [p for p in self.by_pid.values() if p.tree_alive]
