"""All processes of one incarnation: what the two kinds of tree, cgroup.py and descent.py, have in common.

A tree is only ever signalled through pidfds whose process was checked, after opening, still to belong to it, or
by the kernel itself (`cgroup.kill`): never by a number alone.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress

from supervisor.adapters.eventloop.loop import EventLoop

_MOST_ROUNDS = 32


class Tree:
    """What both kinds share.  `empty` and `members` ask the kernel; nothing is remembered."""

    __slots__ = ("_watched",)

    accounts: str | None = None
    """The directory of a cgroup whose memory and CPU the kernel counts; None: its processes have to be asked."""

    def __init__(self) -> None:
        self._watched: Callable[[], None] | None = None

    def join(self, pid: int) -> None:
        """Take in a process, and what it has forked already."""

    def members(self) -> list[int]:
        raise NotImplementedError

    def _all(self) -> list[int]:
        """`members`, certainly as it is now."""
        return self.members()

    def belongs(self, pid: int) -> bool:
        raise NotImplementedError

    def empty(self) -> bool:
        return not self.members()

    def signal(self, number: int) -> None:
        """Send `number` to every member."""
        for pid in self.members():
            send(pid, number, self.belongs)

    def kill(self) -> None:
        """SIGKILL to every member, again until no new one turns up.

        They are stopped before any is killed: a fork bomb whose parts die one by one goes on with those that are left,
        and who belongs here by its parent alone could not be told any more once that is gone."""
        for _ in range(_MOST_ROUNDS):
            held = self._hold_all()
            for fd in held.values():
                _signal(fd, signal.SIGKILL)
                os.close(fd)
            if set(self._all()) <= held.keys():
                return

    def _hold_all(self) -> dict[int, int]:
        """Every member, stopped, by its pidfd; fewer where descriptors run out."""
        held: dict[int, int] = {}
        for _ in range(_MOST_ROUNDS):
            before = len(held)
            for pid in self._all():
                if pid not in held and (fd := _checked(pid, self.belongs)) is not None:
                    held[pid] = fd
                    _signal(fd, signal.SIGSTOP)
            if len(held) == before:
                break
        return held

    def when_empty(self, loop: EventLoop, callback: Callable[[], None]) -> None:
        """Call back once, when the last member is gone."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what is held; the tree is empty or not ours any more."""

    def _emptied(self) -> None:
        callback, self._watched = self._watched, None
        self.close()
        if callback is not None:
            callback()


def send(pid: int, number: int, still: Callable[[int], bool]) -> None:
    """Signal `pid` if, seen through a pidfd opened now, it is `still` the process that was meant."""
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
