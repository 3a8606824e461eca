"""Moves new processes into their cgroups, some time after they were spawned.

A move can take the kernel milliseconds, which a burst of restarts must not wait for.  What a process forked before it
was moved is moved with it or looked for afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux import procfs
from supervisor.adapters.processes.cgroup_tree import CgroupTree
from supervisor.adapters.processes.process import Process

JOIN_AFTER = 0.03
"""Seconds without a spawn after which newcomers are moved into their cgroups."""

_MOST_LOOKS = 64


class CgroupMigration:
    """The processes that still have to be moved.  `mains` holds the pids of main processes, `owner(pid)` finds the
    process from which another one is descended."""

    def __init__(self, loop: EventLoop, mains: Container[int], owner: Callable[[int], Process | None]) -> None:
        self.waiting: dict[Process, None] = {}
        """To be moved, in the order of their spawns."""
        self._loop = loop
        self._mains = mains
        self._owner = owner
        self._unsettled: list[Process] = []
        self._join_at = 0.0

    def plan(self, process: Process) -> None:
        """Move it one of the next turns of the loop: one process a turn, and not before nothing was spawned for a
        moment."""
        self._join_at = self._loop.now() + JOIN_AFTER
        if not self.waiting:
            self._loop.call_at(self._join_at, self._move_next)
        self.waiting[process] = None

    def move_now(self, process: Process) -> None:
        """Move it now, if it still has to be."""
        if process in self.waiting:
            self._move(process)

    def members(self, process: Process) -> list[int]:
        """The pids of its tree, whether or not that was moved yet."""
        return _with_descendants(process.pid) if process in self.waiting else process.tree.members()

    def ended(self, process: Process) -> None:
        """It has ended.  If that was before all that it forked was moved, the rest is moved now."""
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
        """What forked away before its main process was moved came to us, the subreaper, when its parent died; its
        marker tells where it belongs.  Looked for until two looks see the same children and nothing to move, for a
        parent that dies between two reads hides its child from both."""
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
        """Whether it had to be moved."""
        process = self._owner(pid)
        if process is None or not isinstance(process.tree, CgroupTree) or process.tree.belongs(pid):
            return False
        process.tree.join(pid)
        return True


def _with_descendants(pid: int) -> list[int]:
    return [pid, *procfs.descendants(pid)]
