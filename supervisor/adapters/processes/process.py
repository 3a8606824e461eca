"""The main process of one incarnation, with the tree of all processes that it started."""

from __future__ import annotations

from collections.abc import Callable

from supervisor.adapters.linux.procfs import Stat
from supervisor.adapters.processes.cgroup_tree import CgroupTree
from supervisor.adapters.processes.tree import Tree


class Process:
    """One incarnation's main process and its tree.

    `stat`: what /proc told of the main process when its pidfd was open; None where it has ended."""

    __slots__ = (
        "_on_ready",
        "incarnation",
        "instance",
        "main",
        "mark",
        "pid",
        "pidfd",
        "program",
        "settled",
        "start",
        "tree",
    )

    def __init__(
        self,
        instance: str,
        incarnation: int,
        pid: int,
        pidfd: int,
        stat: Stat | None,
        tree: Tree,
        mark: int,
        on_ready: Callable[[Process, int], None],
    ) -> None:
        self._on_ready = on_ready
        self.instance = instance
        self.incarnation = incarnation
        self.pid = self.main = pid
        self.pidfd = pidfd
        self.start = stat.start if stat is not None else None
        self.program = ""
        """The path of what it executes, known a moment after its start."""
        self.tree = tree
        self.mark = mark
        self.settled = not isinstance(tree, CgroupTree)
        """All that it forked before its move into its cgroup has been moved as well; always true without a cgroup."""

    def ready(self, events: int) -> None:
        """Its pidfd is ready.  A method takes a quarter of the memory of a function that knows the process."""
        self._on_ready(self, events)

    @property
    def key(self) -> str:
        """What an examination of it is known by."""
        return self.instance
