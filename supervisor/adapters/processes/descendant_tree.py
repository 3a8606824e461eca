"""A process tree without cgroups: processes with the instance's mark, its main process's descendants and its session.

Members are searched among the daemon's descendants; orphans are among them, because the daemon is the subreaper.  What
an earlier daemon started is a child of PID 1 or of another subreaper when that daemon is dead; all of /proc is searched
for it.

A process escapes if it does all of this: set RLIMIT_LOCKS (which removes the mark), clear its environment, begin a
session and lose its parent.  While the daemon lives it is still its child, but in no tree.  A process that only clears
its environment, renames itself, forks twice and calls `setsid` does not escape, whether a daemon lives or not, except
where the hard limit was lowered before the daemon started, so that no mark can be set.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Container
from contextlib import suppress

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux import procfs
from supervisor.adapters.linux.procfs import Stat
from supervisor.adapters.processes import look_pace, marks, own_children
from supervisor.adapters.processes.marks import Identity
from supervisor.adapters.processes.tree import Tree

_MOST_LOOKS = 4
"""Looks for members in a row, while none is found and other processes come and go."""
_LOOK_AGAIN = 0.1
"""Seconds until the next look where no member could be watched."""


class ProcessScan:
    """Finds processes by their mark.  One look at /proc serves every tree."""

    GOOD_FOR = 0.05
    """Seconds for which a look may be reused where only the usage of an instance is measured."""

    def __init__(self) -> None:
        self._at = float("-inf")
        self._pids: dict[int, list[int]] = {}
        self._block = 0
        self._twice: set[int] = set()
        """The marks that one of two looks saw, both in this block of `own_children.one_look`."""

    def with_mark(self, mark: int, *, now: bool) -> list[int]:
        """The pids with this mark, without the daemon's own, zombies included.  `now`: look again, reuse nothing.

        Inside `own_children.one_look` two looks tell which marks no process has: only one that has the mark can make
        another one, so none appears later."""
        block = own_children.block() if now else 0
        if block:
            if self._block != block:
                self._look()
                seen = set(self._pids)
                self._look()
                self._block, self._twice = block, seen | set(self._pids)
            if mark not in self._twice:
                return []
        if now or time.monotonic() - self._at > self.GOOD_FOR:
            self._look()
        return self._pids.get(mark, [])

    def _look(self) -> None:
        self._at = time.monotonic()
        self._pids = {}
        own = os.getpid()
        with look_pace.timed():
            for pid in procfs.pids():
                mark = marks.mark_of(pid)
                if mark is not None and mark > 0 and pid != own:
                    self._pids.setdefault(mark, []).append(pid)


class DescendantTree(Tree):
    """The tree of one incarnation.  `mains`: the main processes of all instances; other trees skip them."""

    __slots__ = (
        "_host_wide",
        "_id",
        "_instance",
        "_loop",
        "_mains",
        "_marked",
        "_pidfds",
        "_scan",
        "_start",
        "leader",
        "mark",
    )

    def __init__(self, identity: Identity, mains: Container[int], scan: ProcessScan) -> None:
        super().__init__()
        self.leader = 0
        self._start = 0
        self._id, self._instance = identity
        self.mark = marks.mark_for(*identity)
        self._marked = False
        """The main process has the mark, so all of its descendants inherit it."""
        self._host_wide = False
        """Not all members are descendants of this daemon, so all of /proc is searched."""
        self._mains = mains
        self._scan = scan
        self._pidfds: tuple[int, ...] = ()
        self._loop: EventLoop | None = None

    def join(self, pid: int) -> None:
        if not self.leader:
            self.follow(pid, procfs.stat(pid))

    def follow(self, main: int, stat: Stat | None) -> None:
        if stat is not None:
            self.leader, self._start = main, stat.start
            self._marked = marks.mark_of(main) == self.mark

    def search_whole_host(self, main: tuple[int, int] | None) -> None:
        """Search an earlier daemon's tree; `main` is the (pid, start time) of its main process, perhaps ended."""
        if main is not None:
            self.leader, self._start = main
            stat = procfs.stat(main[0])
            if stat is not None and stat.start == main[1]:
                self._marked = marks.mark_of(main[0]) == self.mark
                self._host_wide = stat.ppid != os.getpid()
                return
        self._host_wide = True

    def search_by_mark(self, main: tuple[int, int] | None) -> None:
        """The same beside a cgroup, which holds nearly all: the mark has to suffice for the rest where `main` is gone,
        because reading the environment of every process takes long."""
        self.search_whole_host(main)
        if main is None or procfs.start_time(main[0]) != main[1]:
            self._marked = True

    def belongs(self, pid: int) -> bool:
        """By what the process itself shows, or its nearest ancestor that shows anything."""
        for _ in range(32):
            stat = procfs.stat(pid)
            if stat is None or stat.ended or pid == os.getpid():
                return False
            shown = self._shown(pid, stat)
            if shown is not None:
                return shown
            pid = stat.ppid
            if pid <= 1:
                return False
        return False

    def _shown(self, pid: int, stat: Stat) -> bool | None:
        """Whether the process itself shows that it is a member; None: it shows nothing, so its parent decides."""
        if pid == self.leader and stat.start == self._start:
            return True
        if marks.mark_of(pid) == self.mark:
            return True
        named = marks.identity(pid)
        if named is not None and named[0] == self._id:
            return named[1] == self._instance
        return True if self._in_main_session(stat) else None

    def _in_main_session(self, stat: Stat) -> bool:
        """Whether it is in the main process's session or process group, and not older.

        A process of another pid namespace has 0 for both.  The main process's pid may have been reused by now.
        """
        if self.leader <= 1 or self.leader not in (stat.session, stat.pgrp) or stat.start < self._start:
            return False
        return procfs.start_time(self.leader) in (None, self._start)

    def members(self) -> list[int]:
        if self._mark_suffices:
            found = self._alive(self._scan.with_mark(self.mark, now=False))
            if found:
                return found
        return self.all_members()

    def empty(self) -> bool:
        return not self.all_members()

    def all_members(self) -> list[int]:
        """An empty result is trusted only when a second look saw no other process than the first: a parent that dies
        between two reads hides its child from both.  On a busy host there are always others, so the looks are bounded.
        Inside `own_children.one_look` there is such a second look already.
        """
        seen = set[int]() if own_children.block() and not self._host_wide else None
        for _ in range(_MOST_LOOKS):
            if self._mark_suffices:
                candidates = self._scan.with_mark(self.mark, now=True)
                found = self._alive(candidates)
            else:
                candidates = procfs.pids() if self._host_wide else self._candidates()
                found = self._members_among(candidates)
            if found or seen == set(candidates):
                return found
            seen = set(candidates)
        return []

    @property
    def _mark_suffices(self) -> bool:
        """The mark alone tells all members, and reading it is much cheaper than reading environments."""
        return self._host_wide and self._marked

    @staticmethod
    def _alive(pids: list[int]) -> list[int]:
        return [pid for pid in pids if (stat := procfs.stat(pid)) is not None and not stat.ended]

    def nearly_all_members(self) -> list[int]:
        if self._mark_suffices:  # not `members`, which would look twice more for one that has just ended
            return self._alive(self._scan.with_mark(self.mark, now=False))
        if self._host_wide:
            return self.all_members()
        return self._members_among(self._candidates(recent=True))

    def _candidates(self, *, recent: bool = False) -> list[int]:
        """The daemon's descendants, without other instances' main processes and their descendants."""
        others = own_children.strangers(self._mains, recent=recent)
        mine = [self.leader, *others] if self.leader in self._mains else others
        return [pid for child in mine for pid in (child, *procfs.descendants(child))]

    def _members_among(self, pids: list[int]) -> list[int]:
        """Those of `pids` that show that they are members, and their descendants unless these show the contrary."""
        if not pids:
            return []
        stats = {p: s for p in pids if p != os.getpid() and (s := procfs.stat(p)) is not None and not s.ended}
        shown = {pid: self._shown(pid, stat) for pid, stat in stats.items()}
        members = {pid for pid, member in shown.items() if member}
        while new := {p for p, s in stats.items() if s.ppid in members and shown[p] is None and p not in members}:
            members |= new
        return [pid for pid in pids if pid in members]

    def when_empty(self, loop: EventLoop, callback: Callable[[], None]) -> None:
        self._watched, self._loop = callback, loop
        loop.call_soon(self._look)

    def _look(self) -> None:
        """Watch each member's pidfd, and look again when one ends, because it may have forked."""
        if self._watched is None or self._loop is None:
            return
        self.close()
        members = self.all_members()
        if not members:
            self._emptied()
            return
        for pid in members:
            with suppress(OSError):
                fd = os.pidfd_open(pid)
                self._pidfds += (fd,)
                self._loop.register(fd, lambda _events: self._look())
        if not self._pidfds:
            self._loop.call_at(self._loop.now() + _LOOK_AGAIN, self._look)

    def close(self) -> None:
        for fd in self._pidfds:
            if self._loop is not None:
                self._loop.unregister(fd)
            os.close(fd)
        self._pidfds = ()
