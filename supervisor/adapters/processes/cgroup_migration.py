"""Moves new processes into their cgroups, shortly after they were spawned.

A move can take the kernel milliseconds, and a burst of restarts must not wait for it.  What a process forked before
its move is moved with it or searched for afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux import procfs
from supervisor.adapters.processes.cgroup_tree import CgroupTree
from supervisor.adapters.processes.process import Process

JOIN_AFTER = 0.03
"""Seconds without a spawn after which new processes are moved into their cgroups."""

_MOST_LOOKS = 64  # searches for orphans in a row, should they fork for ever


class CgroupMigration:
    """Keeps the processes that still have to be moved.

    `mains` holds the pids of main processes; `owner(pid)` finds the main process to whose tree another one belongs.
    """

    def __init__(self, loop: EventLoop, mains: Container[int], owner: Callable[[int], Process | None]) -> None:
        self.waiting: dict[Process, None] = {}
        """Processes to be moved, in the order of their spawns."""
        self._loop = loop
        self._mains = mains
        self._owner = owner
        self._unsettled: list[Process] = []
        self._join_at = 0.0

    def plan(self, process: Process) -> None:
        """Move it later, once nothing was spawned for JOIN_AFTER seconds; one process in each turn of the loop."""
        self._join_at = self._loop.now() + JOIN_AFTER
        if not self.waiting:
            self._loop.call_at(self._join_at, self._move_next)
        self.waiting[process] = None

    def move_now(self, process: Process) -> None:
        """Move it now, unless it has been moved."""
        if process in self.waiting:
            self._move(process)

    def members(self, process: Process) -> list[int]:
        """The pids of its tree, whether or not it was moved yet."""
        return _with_descendants(process.pid) if process in self.waiting else process.tree.members()

    def ended(self, process: Process) -> None:
        """Note that it has ended, and move what it forked and is not moved yet."""
        self.waiting.pop(process, None)
        if not process.settled:
            self._move_orphans()

    def _move_next(self) -> None:
        if not self.waiting:
            return
        now = self._loop.now()
        if now >= self._join_at:
            self._move(next(iter(self.waiting)))
        self._loop.call_at(max(now, self._join_at), self._move_next)

    def _move(self, process: Process) -> None:
        self.waiting.pop(process, None)
        process.tree.join(process.pid)
        self._unsettled.append(process)
        if not self.waiting:
            self._move_orphans()

    def _move_orphans(self) -> None:
        """Move the orphans that were forked before their main process was moved.

        They became children of the daemon (the subreaper) when their parent died, and their mark tells where they
        belong.  The search ends when two looks see the same children and nothing to move, because a parent that dies
        between two reads hides its child from both.
        """
        seen: list[int] | None = None
        for _ in range(_MOST_LOOKS):
            mine = procfs.children(os.getpid())
            moved = [self._move_orphan(pid) for c in mine if c not in self._mains for pid in _with_descendants(c)]
            if mine == seen and not any(moved):
                break
            seen = mine
        for process in self._unsettled:
            process.settled = True
        self._unsettled.clear()

    def _move_orphan(self, pid: int) -> bool:
        """Move an orphan into the cgroup of its tree; whether that was necessary."""
        process = self._owner(pid)
        if process is None or not isinstance(process.tree, CgroupTree) or process.tree.belongs(pid):
            return False
        process.tree.join(pid)
        return True


def _with_descendants(pid: int) -> list[int]:
    return [pid, *procfs.descendants(pid)]
