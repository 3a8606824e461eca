"""The main process of one incarnation, with the tree of all processes that it started."""

from __future__ import annotations

from collections.abc import Callable

from supervisor.adapters.linux import procfs
from supervisor.adapters.linux.procfs import Stat
from supervisor.adapters.processes.cgroup_tree import CgroupTree
from supervisor.adapters.processes.tree import Tree

_UNREAD = -1


class Process:
    """One incarnation's main process and its tree.

    What tells the main process from others is read when it is needed first (`identify`): the kernel answers only when
    the process has executed its program, and many that are spawned together need not wait for each other.
    """

    __slots__ = (
        "_on_ready",
        "_start",
        "_tree",
        "incarnation",
        "instance",
        "main",
        "mark",
        "pid",
        "pidfd",
        "program",
        "settled",
    )

    def __init__(
        self,
        instance: str,
        incarnation: int,
        pid: int,
        pidfd: int,
        tree: Tree,
        mark: int,
        on_ready: Callable[[Process, int], None],
    ) -> None:
        self._on_ready = on_ready
        self.instance = instance
        self.incarnation = incarnation
        self.pid = self.main = pid
        self.pidfd = pidfd
        self._start: int | None = _UNREAD
        self.program = ""
        """The path of what it executes, known a moment after its start."""
        self._tree = tree
        self.mark = mark
        self.settled = not isinstance(tree, CgroupTree)
        """All that it forked before its move into its cgroup has been moved as well; always true without a cgroup."""

    @property
    def start(self) -> int | None:
        """When the main process began, in clock ticks since boot; None where that could not be read."""
        self.identify()
        return self._start

    @property
    def tree(self) -> Tree:
        """All that it started, which knows the main process."""
        self.identify()
        return self._tree

    def identify(self) -> None:
        """Read what tells the main process from others, unless it was read; before it is reaped, as another may have
        its pid then."""
        if self._start == _UNREAD:
            stat = procfs.stat(self.pid)
            self.known(stat)
            self._tree.follow(self.pid, stat)

    def known(self, stat: Stat | None) -> None:
        """Take what /proc told of the main process when its pidfd was open; None: it has ended."""
        self._start = stat.start if stat is not None else None

    def __call__(self, events: int) -> None:
        """Its pidfd is ready.  The event loop calls the process itself: a bound method would take 64 bytes more."""
        self._on_ready(self, events)

    @property
    def key(self) -> str:
        """What an examination of it is known by."""
        return self.instance
