"""All processes of one incarnation: what the two kinds of tree (cgroup_tree.py, descendant_tree.py) have in common.

A tree is signalled only through pidfds, after a check that the process still belongs to it, or by the kernel itself
(`cgroup.kill`); never by a pid alone, which may have been reused.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux import procfs
from supervisor.adapters.linux.procfs import Stat

_MAY_BE_STOPPED = "TZ"  # Z is shown for one whose main thread has ended, whatever its others do
_MOST_ROUNDS = 32  # so that a tree that forks for ever does not hold up the daemon for ever


class Tree:
    """The base of both kinds.  `empty` and `members` ask the kernel each time."""

    __slots__ = ("_watched",)

    def __init__(self) -> None:
        self._watched: Callable[[], None] | None = None

    @property
    def accounts(self) -> str | None:
        """The directory of a cgroup whose memory and CPU the kernel counts; None: each process has to be read."""
        return None

    def join(self, pid: int) -> None:
        """Add a process and what it has forked already."""

    def follow(self, main: int, stat: Stat | None) -> None:
        """Take `main` for the main process, by which its relatives are known.  `stat`: what /proc tells of it."""

    def members(self) -> list[int]:
        """The members, cheaply: perhaps from a look a moment ago, and without those that left for another cgroup."""
        raise NotImplementedError

    def all_members(self) -> list[int]:
        """All members as they are now, from no earlier look."""
        return self.members()

    def nearly_all_members(self) -> list[int]:
        """The same, without an orphan whose parent has ended within the last moment."""
        return self.all_members()

    def belongs(self, pid: int) -> bool:
        raise NotImplementedError

    def empty(self) -> bool:
        return not self.members()

    def signal(self, number: int) -> None:
        """Send `number` to every member."""
        for pid in self.all_members():
            send(pid, number, self.belongs)

    def resume(self, resumed: int = 0) -> None:
        """Let every stopped member go on, so that it takes the signals that it was sent.  `resumed` has been let go on
        already."""
        for pid in self.nearly_all_members():
            if pid == resumed:
                continue
            stat = procfs.stat(pid)
            if stat is not None and stat.state in _MAY_BE_STOPPED:
                send(pid, signal.SIGCONT, self.belongs)

    def kill(self) -> None:
        """Send SIGKILL to every member, repeatedly until no new one is found.

        All are stopped before any is killed: a fork bomb whose processes die one by one goes on with the others, and a
        process that is a member only by its parent could not be recognised after that has ended.
        """
        for _ in range(_MOST_ROUNDS):
            held = self._hold_all()
            for fd in held.values():
                _signal(fd, signal.SIGKILL)
                os.close(fd)
            if set(self.all_members()) <= held.keys():
                return

    def _hold_all(self) -> dict[int, int]:
        """Stop every member; their pidfds by pid.  Members are missing where descriptors run out."""
        held: dict[int, int] = {}
        for _ in range(_MOST_ROUNDS):
            before = len(held)
            for pid in self.all_members():
                if pid not in held and (fd := _checked(pid, self.belongs)) is not None:
                    held[pid] = fd
                    _signal(fd, signal.SIGSTOP)
            if len(held) == before:
                break
        return held

    def when_empty(self, loop: EventLoop, callback: Callable[[], None]) -> None:
        """Call `callback()` once, when the last member has ended."""
        raise NotImplementedError

    def close(self) -> None:
        """Release what the tree holds open: it is empty, or the daemon no longer supervises it."""

    def _emptied(self) -> None:
        callback, self._watched = self._watched, None
        self.close()
        if callback is not None:
            callback()


class NoTree(Tree):
    """The tree of an instance of which nothing is left."""

    __slots__ = ()

    def members(self) -> list[int]:
        return []

    def belongs(self, pid: int) -> bool:
        return False


def send(pid: int, number: int, still: Callable[[int], bool]) -> None:
    """Signal `pid` through a pidfd, if `still(pid)` holds after the pidfd was opened."""
    fd = _checked(pid, still)
    if fd is not None:
        _signal(fd, number)
        os.close(fd)


def _checked(pid: int, still: Callable[[int], bool]) -> int | None:
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return None
    if still(pid):
        return fd
    os.close(fd)
    return None


def _signal(fd: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(fd, number)
