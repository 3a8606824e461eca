"""A process tree as a cgroup v2 directory: what a member forks is a member, and the kernel can kill all of it at once.

A process can still get out: it moves itself into another cgroup, or the directory is emptied and removed by hand.  It
is then known as without cgroups (descendant_tree.py), and the tree is not empty before it has ended.

This needs no controller.  Where controllers are delegated to the daemon, the kernel also enforces the instance's limits
and counts its usage (the kernel's Documentation/admin-guide/cgroup-v2.rst).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from select import EPOLLERR, EPOLLPRI

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux import procfs
from supervisor.adapters.linux.procfs import Stat
from supervisor.adapters.processes.descendant_tree import DescendantTree
from supervisor.adapters.processes.tree import Tree, send
from supervisor.core.model.spec import Enforce, ResourcesSpec

CONTROLLERS = ("pids", "memory", "cpu")
"""The controllers that are enabled where they are available."""
_CPU_PERIOD = 100_000  # µs
_POPULATED = b"populated 1"
_LOOK_AGAIN = 1.0  # seconds until another attempt to watch a directory


class CgroupTree(Tree):
    """The tree in the cgroup `name` below `parent`, which is made if it is missing.  `passing`: `close` removes it when
    it is empty.  The attribute `counted`: whether the kernel counts its memory.

    `outside` finds the members that are not in the cgroup.  `thaw`: undo a freeze if the cgroup is there already.
    """

    __slots__ = ("_events_fd", "_loop", "_name", "_parent", "_passing", "counted", "outside")

    def __init__(
        self, parent: str, name: str, outside: DescendantTree, *, passing: bool = False, thaw: bool = False
    ) -> None:
        super().__init__()
        self._parent, self._name = parent, name
        self.outside = outside
        self.counted = False
        self._passing = passing
        self._events_fd = -1
        self._loop: EventLoop | None = None
        try:
            os.mkdir(self.path, 0o755)  # noqa: PTH102 - on the restart path
        except FileExistsError:
            if thaw:
                self.thaw()

    @property
    def path(self) -> str:
        """The directory of the cgroup."""
        return f"{self._parent}/{self._name}"

    @property
    def accounts(self) -> str | None:
        """See Tree."""
        return self.path if self.counted else None

    def limit(self, resources: ResourcesSpec | None, controllers: frozenset[str]) -> None:
        """Make the kernel enforce these limits, and reset all others: an earlier incarnation may have left some."""
        if not controllers:
            return
        if "memory" in controllers:
            self.counted = True
        for name, value in kernel_limits(resources).items():
            if name.partition(".")[0] in controllers:
                write(f"{self.path}/{name}", value)

    def thaw(self) -> None:
        """Undo a freeze of the cgroup or of those below it, which outlives the frozen processes and holds new ones."""
        for directory in self._directories():
            if (procfs.read(f"{directory}/cgroup.freeze", procfs.IN_ONE_PIECE) or b"").startswith(b"1"):
                write(f"{directory}/cgroup.freeze", "0")

    def join(self, pid: int) -> None:
        self.outside.join(pid)
        with suppress(OSError):  # it may have ended
            if not (self._has_children() and self.holds(pid)):  # it may have moved itself to one below
                self._move(pid)
            for child in self._forked_before(pid):
                self._move(child)

    def follow(self, main: int, stat: Stat | None) -> None:
        self.outside.follow(main, stat)

    def _forked_before(self, pid: int) -> Iterator[int]:
        """Descendants that were forked before the move.  What they fork later is inside from the start."""
        for _ in range(64):
            descendants = procfs.descendants(pid)
            inside = set(self._inside()) if descendants else ()
            outside = [child for child in descendants if child not in inside]
            if not outside:
                return
            yield from outside

    def _move(self, pid: int) -> None:
        fd = os.open(f"{self.path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"%d" % pid)
        finally:
            os.close(fd)

    def members(self) -> list[int]:
        return self._inside() or self.outside.nearly_all_members()

    def all_members(self) -> list[int]:
        inside = self._inside()  # first: a member may be on its way out
        return self._and(inside, self.outside.all_members())

    def nearly_all_members(self) -> list[int]:
        inside = self._inside()
        return self._and(inside, self.outside.nearly_all_members())

    @staticmethod
    def _and(inside: list[int], outside: list[int]) -> list[int]:
        known = set(inside)
        return inside + [pid for pid in outside if pid not in known]

    def _inside(self) -> list[int]:
        return [pid for directory in self._directories() for pid in procfs.cgroup_members(directory)]

    def _directories(self) -> list[str]:
        """The cgroup and those below it; none where it was removed."""
        try:
            with_children = self._has_children()
        except OSError:
            return []
        return [directory for directory, _, _ in os.walk(self.path)] if with_children else [self.path]

    def _has_children(self) -> bool:
        """Whether there are cgroups below it.  OSError where it was removed."""
        return os.stat(self.path).st_nlink != 2  # noqa: PTH116 - the kernel counts them there

    def belongs(self, pid: int) -> bool:
        return self.holds(pid) or self.outside.belongs(pid)

    def holds(self, pid: int) -> bool:
        """Whether the process is in the cgroup, or in one below it."""
        path = procfs.cgroup_of(pid)
        if path is None:
            return pid in self._inside()
        return f"/{'/'.join(self.path.split('/')[-2:])}/" in f"{path}/"

    def empty(self) -> bool:
        return self._only_kernel_threads() and self.outside.empty()

    def _only_kernel_threads(self) -> bool:
        """The cgroup has no member, or none but threads of the kernel, which were put there and which nothing ends."""
        if not populated(self.path):
            return True
        inside = [procfs.stat(pid) for pid in self._inside()]
        return bool(inside) and all(stat is not None and stat.kernel_thread for stat in inside)

    def kill(self) -> None:
        """Kill everything by the kernel, then what it spares: processes without main thread, and those outside."""
        if write(f"{self.path}/cgroup.kill", "1"):
            for pid in self._inside():
                stat = procfs.stat(pid)
                if stat is not None and stat.state == "Z":
                    send(pid, signal.SIGKILL, self.holds)
            self.outside.kill()
        else:  # before Linux 5.14, not writable, or removed
            super().kill()

    def resume(self, resumed: int = 0) -> None:
        self.thaw()
        super().resume(resumed)

    def when_empty(self, loop: EventLoop, callback: Callable[[], None]) -> None:
        self._watched, self._loop = callback, loop
        loop.call_soon(self._watch)

    def _watch(self) -> None:
        if self._watched is None or self._loop is None:
            return
        if self._events_fd < 0:
            try:
                self._events_fd = os.open(f"{self.path}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
                self._loop.register(self._events_fd, self._changed, EPOLLPRI | EPOLLERR)
            except FileNotFoundError:
                self._look_outside()
                return
            except OSError:
                self._unwatch()
                self._loop.call_at(self._loop.now() + _LOOK_AGAIN, self._watch)
                return
        self._changed(0)  # it may have become empty before it was watched

    def _changed(self, _events: int) -> None:
        """Read the state of the cgroup.  Reading acknowledges the event; a later change is another event."""
        content = b""
        with suppress(OSError):  # the directory is gone
            content = os.pread(self._events_fd, 256, 0)
        if self._watched is not None and _POPULATED not in content:
            self._look_outside()

    def _look_outside(self) -> None:
        """The cgroup is empty, or is gone: wait for those that are in another one."""
        self._unwatch()
        if self.empty():
            self._emptied()
        elif self._loop is not None:
            self.outside.when_empty(self._loop, self._watch)

    def _unwatch(self) -> None:
        if self._events_fd >= 0:
            if self._loop is not None:
                self._loop.unregister(self._events_fd)
            os.close(self._events_fd)
            self._events_fd = -1

    def close(self) -> None:
        self._unwatch()
        self.outside.close()
        if self._passing and self.empty():
            remove(self.path)
            with suppress(OSError):
                os.rmdir(os.path.dirname(self.path))  # noqa: PTH106, PTH120


def kernel_limits(resources: ResourcesSpec | None) -> dict[str, str]:
    """The content of a cgroup's limit files by name; "max" means no limit."""
    spec = resources or ResourcesSpec()
    hard = spec.enforce is Enforce.KERNEL
    memory = spec.max_memory if hard else None
    cpu = spec.max_cpu if hard else None
    return {
        "pids.max": _number(spec.max_tasks),
        "memory.max": _number(memory),
        "memory.oom.group": "0" if memory is None else "1",  # half of an instance is of no use
        "cpu.max": f"{_number(None if cpu is None else round(cpu * _CPU_PERIOD))} {_CPU_PERIOD}",
    }


def _number(limit: int | None) -> str:
    return "max" if limit is None else str(limit)


def populated(directory: str) -> bool:
    """Whether any process lives in the cgroup or below it."""
    return _POPULATED in (procfs.read(f"{directory}/cgroup.events", procfs.IN_ONE_PIECE) or b"")


def remove(directory: str) -> None:
    """Remove the cgroup and those below it; populated ones stay.

    The kernel refuses one that has others below it, and takes the files of one that has none: so only those are listed
    that have some."""
    with suppress(OSError):
        os.rmdir(directory)  # noqa: PTH106
        return
    with suppress(OSError), os.scandir(directory) as found:
        below = [entry.path for entry in found if entry.is_dir(follow_symlinks=False)]
        for path in below:
            remove(path)
        if below:
            os.rmdir(directory)  # noqa: PTH106


def write(path: str, text: str) -> bool:
    """Write to an existing file.  False: refused."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, text.encode())
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def enable(directory: str) -> frozenset[str]:
    """Enable the controllers of `directory` for the cgroups below it, and return those that are enabled.

    The kernel refuses where processes live in `directory` itself or where it is not delegated to this user.
    """
    offered = (procfs.read(f"{directory}/cgroup.controllers") or b"").decode().split()
    switch = f"{directory}/cgroup.subtree_control"
    return frozenset(name for name in CONTROLLERS if name in offered and write(switch, f"+{name}"))


def mount_point() -> str | None:
    """Where the cgroup v2 hierarchy is mounted."""
    for line in (procfs.read("/proc/self/mountinfo") or b"").decode(errors="surrogateescape").splitlines():
        fields = line.split()
        if "-" in fields and fields[fields.index("-") + 1 :][:1] == ["cgroup2"]:
            return fields[4]
    return None


def own_directory(mount: str) -> str:
    """The cgroup below which the daemon makes its own.

    It is the one that the daemon runs in, or its parent where that was delegated and the daemon was put into a subgroup
    of it (systemd: Delegate=yes with DelegateSubgroup=).
    """
    own = f"{mount}{(procfs.cgroup_of(os.getpid()) or '/').rstrip('/')}"
    above = os.path.dirname(own)  # noqa: PTH120
    return above if own != mount and _is_delegated(above) else own


def _is_delegated(directory: str) -> bool:
    for name in ("user.delegate", "trusted.delegate"):
        with suppress(OSError):
            if os.getxattr(directory, name) == b"1":
                return True
    return False
