"""All processes of one incarnation: in a cgroup of their own where one can be made, else found by descent.

A tree is only ever signalled through pidfds whose process was checked, after opening, still to belong to it, or
by the kernel itself (`cgroup.kill`): never by a number alone.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from select import EPOLLERR, EPOLLPRI

from supervisor.adapters import procfs
from supervisor.adapters.reactor import Reactor

MARKER = "SUPERVISOR_ID"
"""The environment variable by which a later supervisor, or one without cgroups, knows what is ours."""

Identity = tuple[str, str]
"""The supervisor's id and the instance's name, as a child's environment carries them."""


class Tree:
    """What both kinds share.  `empty` and `members` ask the kernel; nothing is remembered."""

    __slots__ = ("_watched",)

    def __init__(self) -> None:
        self._watched: Callable[[], None] | None = None

    def join(self, pid: int) -> None:
        """Take in a process that was just spawned, and what it has forked already."""

    def members(self) -> list[int]:
        raise NotImplementedError

    def belongs(self, pid: int) -> bool:
        raise NotImplementedError

    def empty(self) -> bool:
        return not self.members()

    def signal(self, number: int) -> None:
        """Send `number` to every member."""
        for pid in self.members():
            send(pid, number, self.belongs)

    def kill(self) -> None:
        """SIGKILL to every member, again until no new one turns up (a fork can outrun one round)."""
        for _ in range(16):
            members = self.members()
            for pid in members:
                send(pid, signal.SIGKILL, self.belongs)
            if set(self.members()) <= set(members):
                return

    def when_empty(self, reactor: Reactor, callback: Callable[[], None]) -> None:
        """Call back once, when the last member is gone."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what is held; the tree is empty or not ours any more."""


class CgroupTree(Tree):
    """A cgroup v2 directory.  Works without any controller enabled."""

    __slots__ = ("_events_fd", "_reactor", "path")

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self._events_fd = -1
        self._reactor: Reactor | None = None
        with suppress(FileExistsError):
            os.mkdir(path, 0o755)  # noqa: PTH102 - on the restart path

    def join(self, pid: int) -> None:
        with suppress(OSError):  # it may be gone already
            self._move(pid)
            for child in self._outside(pid):
                self._move(child)

    def _outside(self, pid: int) -> Iterator[int]:
        """Descendants forked before the move; what they fork after theirs is inside by birth."""
        for _ in range(64):
            inside = set(self.members())
            strays = [child for child in procfs.descendants(pid) if child not in inside]
            if not strays:
                return
            yield from strays

    def _move(self, pid: int) -> None:
        with open(f"{self.path}/cgroup.procs", "w") as file:
            file.write(str(pid))

    def members(self) -> list[int]:
        found: list[int] = []
        for directory, _, _ in os.walk(self.path):
            with suppress(OSError), open(f"{directory}/cgroup.procs") as file:
                found += map(int, file.read().split())
        return found

    def belongs(self, pid: int) -> bool:
        return pid in self.members()

    def empty(self) -> bool:
        try:
            fd = os.open(f"{self.path}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            return b"populated 0" in os.read(fd, 256)
        finally:
            os.close(fd)

    def kill(self) -> None:
        try:
            with open(f"{self.path}/cgroup.kill", "w") as file:
                file.write("1")
        except FileNotFoundError:  # before Linux 5.14
            super().kill()

    def when_empty(self, reactor: Reactor, callback: Callable[[], None]) -> None:
        self._watched, self._reactor = callback, reactor
        if self._events_fd < 0:
            self._events_fd = os.open(f"{self.path}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
            reactor.register(self._events_fd, self._changed, EPOLLPRI | EPOLLERR)
        reactor.call_soon(lambda: self._changed(0))  # it may have emptied before we looked

    def _changed(self, _events: int) -> None:
        if self._events_fd < 0:
            return
        os.lseek(self._events_fd, 0, os.SEEK_SET)
        if b"populated 0" in os.read(self._events_fd, 256) and self._watched is not None:
            callback, self._watched = self._watched, None
            self._unwatch()
            callback()

    def _unwatch(self) -> None:
        if self._events_fd >= 0 and self._reactor is not None:
            self._reactor.unregister(self._events_fd)
            os.close(self._events_fd)
            self._events_fd = -1

    def close(self) -> None:
        self._unwatch()

    def remove(self) -> None:
        """Delete the directory, and what its members have made below it."""
        for directory, _, _ in os.walk(self.path, topdown=False):
            with suppress(OSError):
                os.rmdir(directory)  # noqa: PTH106


class DescentTree(Tree):
    """Where no cgroup can be made: what descends from the main process or belongs to its session, and orphans that
    came to us as the subreaper.  Who carries a marker in the environment belongs to the instance that it names."""

    __slots__ = ("_identity", "_mains", "_pidfds", "_reactor", "leader")

    def __init__(self, identity: Identity, mains: Container[int]) -> None:
        super().__init__()
        self.leader = 0
        self._identity = identity
        self._mains = mains
        self._pidfds: list[int] = []
        self._reactor: Reactor | None = None

    def join(self, pid: int) -> None:
        self.leader = pid

    def belongs(self, pid: int) -> bool:
        stat = procfs.stat(pid)
        if stat is None or stat.state in "ZX":
            return False
        marker = identity(pid)
        if marker is not None:
            return marker == self._identity
        return self.leader in (pid, stat.session, stat.pgrp)

    def members(self) -> list[int]:
        """Other services' main processes, and what hangs below them, are not even looked at.

        An empty result is believed only when two looks saw the same children: a parent that dies between two reads
        hides its child from both."""
        seen: list[int] | None = None
        while True:
            mine = procfs.children(os.getpid())
            candidates = (c for c in mine if c == self.leader or c not in self._mains)
            found = [p for c in candidates for p in (c, *procfs.descendants(c)) if self.belongs(p)]
            if found or mine == seen:
                return found
            seen = mine

    def when_empty(self, reactor: Reactor, callback: Callable[[], None]) -> None:
        self._watched, self._reactor = callback, reactor
        reactor.call_soon(self._look)

    def _look(self) -> None:
        """Wait for each member's pidfd; look again when one fires, for it may have forked."""
        self.close()
        members = self.members()
        if not members:
            callback, self._watched = self._watched, None
            if callback is not None:
                callback()
            return
        assert self._reactor is not None
        for pid in members:
            with suppress(OSError):
                fd = os.pidfd_open(pid)
                self._pidfds.append(fd)
                self._reactor.register(fd, lambda _events: self._look())
        if not self._pidfds:
            self._reactor.call_soon(self._look)

    def close(self) -> None:
        for fd in self._pidfds:
            if self._reactor is not None:
                self._reactor.unregister(fd)
            os.close(fd)
        self._pidfds.clear()


def identity(pid: int) -> Identity | None:
    """(supervisor's id, instance) by the environment that a process was started with, or None where it says nothing."""
    supervisor, instance = procfs.environment_values(pid, MARKER, "SUPERVISOR_INSTANCE")
    return None if supervisor is None or instance is None else (supervisor, instance)


def send(pid: int, number: int, still: Callable[[int], bool]) -> None:
    """Signal `pid` if, seen through a pidfd opened now, it is `still` the process that was meant."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if still(pid):
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(fd, number)
    finally:
        os.close(fd)


class Forest:
    """Makes trees: finds out once whether cgroups can be had, and says which way it went in `kind`."""

    def __init__(self, name: str, supervisor_id: str, mains: Container[int], *, cgroups: bool = True) -> None:
        self.root = _cgroup_root(name) if cgroups else None
        self.kind = "cgroup" if self.root else "descent"
        self._id = supervisor_id
        self._mains = mains

    def plant(self, instance: str) -> Tree:
        """The tree for a new incarnation (or, for an adopted one, the tree that it already has)."""
        if self.root is not None:
            with suppress(OSError):
                return CgroupTree(f"{self.root}/{instance}")
        return DescentTree((self._id, instance), self._mains)

    def close(self) -> None:
        """Remove our directories; those that still have members stay."""
        if self.root is not None:
            for directory, _, _ in os.walk(self.root, topdown=False):
                with suppress(OSError):
                    os.rmdir(directory)  # noqa: PTH106


def _cgroup_root(name: str) -> str | None:
    """A directory of our own below the cgroup we are in, or None where the system gives none."""
    try:
        with open("/proc/self/mountinfo") as file:
            mount = next(f[4] for f in map(str.split, file) if f[f.index("-") + 1] == "cgroup2")
        with open("/proc/self/cgroup") as file:
            own = next(line[3:].strip() for line in file if line.startswith("0::"))
        root = f"{mount}{own.rstrip('/')}/phi-{name}"
        os.makedirs(root, 0o755, exist_ok=True)  # noqa: PTH103
        if os.access(f"{root}/cgroup.procs", os.W_OK):
            return root
    except (OSError, StopIteration, ValueError):
        pass
    return None
