"""Moves new processes into their cgroups, shortly after they were spawned.

A move can take the kernel milliseconds, and a burst of restarts must not wait for it.  What a process forked before
its move is moved with it or searched for afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable

from supervisor.adapters.eventloop.loop import EventLoop, Timer
from supervisor.adapters.linux import procfs
from supervisor.adapters.processes import marks, own_children
from supervisor.adapters.processes.cgroup_tree import CgroupTree
from supervisor.adapters.processes.process import Process

JOIN_AFTER = 0.03
"""Seconds without a spawn after which new processes are moved into their cgroups."""

JOIN_WITHIN = 1.0
"""Seconds after its spawn at which a new process is moved at the latest, however often others are spawned.  While the
kernel moves one, it lets no process fork: with moves between its spawns a start of 1000 takes half as long again."""

MOVES_BUDGET = 0.001
"""Seconds of moves after which a turn of the loop begins no further one."""

BATCH_BUDGET = 0.01
"""The same while others are spawned all the time.  The first move after a fork costs the kernel a grace period of some
milliseconds, each one behind it 0.1 ms: single moves between spawns let a start of 5000 take twice as long."""

_MOST_LOOKS = 64  # searches for orphans in a row, should they fork for ever


class CgroupMigration:
    """Keeps the processes that still have to be moved.

    `mains` holds the pids of main processes; `owner(pid)` finds the main process to whose tree another one belongs.
    """

    def __init__(self, loop: EventLoop, mains: Container[int], owner: Callable[[int], Process | None]) -> None:
        self.waiting: dict[Process, float] = {}
        """Processes to be moved, in the order of their spawns, with the latest moment of the move."""
        self._loop = loop
        self._mains = mains
        self._owner = owner
        self._unsettled: list[Process] = []
        self._join_at = self._look_at = 0.0
        self._timer: Timer | None = None
        self._batch = 0
        """How many are moved now although they could wait, because one before them cannot."""

    def plan(self, process: Process) -> None:
        """Move it later, once nothing was spawned for JOIN_AFTER seconds; a few in each turn of the loop."""
        now = self._loop.now()
        self._join_at = now + JOIN_AFTER
        if self._timer is None:
            self._timer = self._loop.call_at(now + min(JOIN_AFTER, JOIN_WITHIN), self._move_next)
        self.waiting[process] = now + JOIN_WITHIN

    def move_now(self, process: Process) -> None:
        """Move it now, unless it has been moved."""
        if process in self.waiting:
            self._move(process)

    def members(self, process: Process) -> list[int]:
        """The pids of its tree, whether or not it was moved yet."""
        return _with_descendants(process.pid) if process in self.waiting else process.tree.members()

    def ended(self, processes: Iterable[Process]) -> None:
        """Note that these have ended, none of them settled, and move what they forked and is not moved yet."""
        for process in processes:
            self.waiting.pop(process, None)
            self._unsettled.append(process)
        self._move_orphans()

    def _move_next(self) -> None:
        self._timer = None
        now, late = self._loop.now(), False
        while self.waiting and self._loop.now() - now <= (BATCH_BUDGET if self._batch else MOVES_BUDGET):
            process, latest = next(iter(self.waiting.items()))
            if now >= latest and not self._batch:
                self._batch = len(self.waiting)
            elif not self._batch and now < self._join_at:
                break
            self._move(process)
            self._batch = max(0, self._batch - 1)
            late |= now >= latest
        if not self.waiting:
            self.waiting.clear()  # frees its table, which does not shrink when entries are deleted
            self._batch = 0
            return
        if late and now >= self._look_at:
            self._move_orphans()
            self._look_at = now + JOIN_WITHIN  # a look takes long where there are many children
        due = now if self._batch else max(now, min(self._join_at, next(iter(self.waiting.values()))))
        self._timer = self._loop.call_at(due, self._move_next)

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
            mine = own_children.all_children()
            theirs = [child for child in mine if child not in self._mains and child not in own_children.noted]
            moved = [self._move_orphan(pid) for child in theirs for pid in _with_descendants(child)]
            if mine == seen and not any(moved):
                break
            seen = mine
        for process in self._unsettled:
            process.settled = True
        self._unsettled.clear()

    def _move_orphan(self, pid: int) -> bool:
        """Move an orphan into the cgroup of its tree; whether that was necessary."""
        process = self._owner(pid) or self._by_elimination(pid)
        if process is None or not isinstance(process.tree, CgroupTree) or process.tree.holds(pid):
            return False
        process.tree.join(pid)
        return True

    def _by_elimination(self, pid: int) -> Process | None:
        """The owner of an orphan that shows none: it set RLIMIT_LOCKS, cleared its environment and left its session.

        It is still in the daemon's own cgroup, so a process forked it that is not in its cgroup yet.  None where that
        could be one of several, or where it is a child that the daemon started for itself.
        """
        stat = procfs.stat(pid)
        if stat is None or stat.ended or own_children.is_own(pid, stat) or marks.identity(pid) is not None:
            return None
        if procfs.cgroup_of(pid) != procfs.cgroup_of(os.getpid()):
            return None
        possible = {p for p in (*self.waiting, *self._unsettled) if p.start is not None and p.start <= stat.start}
        return possible.pop() if len(possible) == 1 else None


def _with_descendants(pid: int) -> list[int]:
    return [pid, *procfs.descendants(pid)]
