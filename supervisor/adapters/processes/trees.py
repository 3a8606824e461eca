"""Makes process trees and finds those that an earlier daemon made: cgroups where available, else by descent."""

from __future__ import annotations

import os
from collections.abc import Container
from contextlib import suppress

from supervisor.adapters.linux import procfs
from supervisor.adapters.processes import cgroup_tree as cgroup
from supervisor.adapters.processes import marks
from supervisor.adapters.processes.cgroup_tree import CgroupTree
from supervisor.adapters.processes.descendant_tree import DescendantTree, ProcessScan
from supervisor.adapters.processes.traces import Traces
from supervisor.adapters.processes.tree import NoTree, Tree
from supervisor.core.model.spec import ResourcesSpec


class Trees:
    """Makes trees of one kind, which is decided once at the start: `kind` is "cgroup" or "descent".

    `root` is the directory `phi-NAME`, or None without cgroups.  `name` contains the beginning of the supervisor's id,
    so that every daemon of that id uses the same directory.
    `controllers`: those that all instances have.  `parent`: make `root` there, and not below the daemon's own cgroup.
    """

    def __init__(
        self,
        name: str,
        supervisor_id: str,
        mains: Container[int],
        *,
        cgroups: bool = True,
        parent: str | None = None,
    ) -> None:
        self._directory = f"phi-{name}"
        self._id = supervisor_id
        self._mains = mains
        self._scan = ProcessScan()
        self._traces: Traces | None = None
        self._mount = cgroup.mount_point() if cgroups else None
        self._elsewhere: list[str] | None = None
        self.root: str | None = None
        self.controllers: frozenset[str] = frozenset()
        if self._mount is not None:
            parent = parent or cgroup.own_directory(self._mount)
            cgroup.enable(parent)
            self._make(f"{parent}/{self._directory}")
        self.kind = "cgroup" if self.root else "descent"

    def _make(self, root: str) -> None:
        with suppress(OSError):
            os.makedirs(root, 0o755, exist_ok=True)  # noqa: PTH103
            if os.access(f"{root}/cgroup.procs", os.W_OK):
                self.controllers = cgroup.enable(root)
                self.root = root

    def create(self, instance: str, resources: ResourcesSpec | None = None) -> Tree:
        """The tree for a new incarnation, with the limits that the kernel can enforce."""
        if self.root is not None:
            with suppress(OSError):
                outside = self._by_descent(instance)
                try:
                    tree = CgroupTree(self.root, instance, outside, thaw=True)
                except FileNotFoundError:  # the directory of all was removed by hand
                    self._make(self.root)
                    tree = CgroupTree(self.root, instance, outside)
                tree.limit(resources, self.controllers)
                return tree
        return self._by_descent(instance)

    def limit(self, tree: Tree, resources: ResourcesSpec | None) -> None:
        """Make the kernel enforce other limits for a tree that has members already."""
        if isinstance(tree, CgroupTree):
            tree.limit(resources, self.controllers)

    def find(self, instance: str, main: tuple[int, int] | None) -> Tree:
        """The tree that an earlier daemon left: `main` is the (pid, start time) that its main process has, or had.

        A cgroup stays where that daemon made it.  Processes that were never moved into a cgroup are moved now: the
        whole tree, or what escaped by a fork before that daemon had moved the main process.

        The looks at all processes that tell what is left of those without a main process serve for all, until `found`.
        """
        lives = main is not None and procfs.start_time(main[0]) == main[1]
        inside = self._cgroup_of(main[0], instance) if lives and main is not None else None
        found = inside or next(filter(cgroup.populated, self._directories(instance)), None)
        if found is not None:
            with suppress(OSError):
                outside = self._by_descent(instance)
                outside.search_by_mark(main)
                parent, name = os.path.split(found)
                tree = CgroupTree(parent, name, outside, passing=parent != self.root)
                tree.counted = os.path.exists(f"{found}/memory.current")  # noqa: PTH110
                if lives and main is not None and inside is None:
                    tree.join(main[0])
                for pid in set(self._scan.with_mark(marks.mark_for(self._id, instance), now=False)) - set(
                    tree.members()
                ):
                    tree.join(pid)
                return tree
        if not lives and not self._is_traced(instance, main):
            return NoTree()
        descent = self._by_descent(instance)
        descent.search_whole_host(main)
        if self.root is None or not (members := descent.members()):
            return descent
        planted = self.create(instance)
        if isinstance(planted, CgroupTree):
            planted.outside = descent
        for pid in members:
            planted.join(pid)
        return planted

    def found(self) -> None:
        """All that an earlier daemon left has been found."""
        self._traces = None

    def _is_traced(self, instance: str, main: tuple[int, int] | None) -> bool:
        if self._traces is None:
            self._traces = Traces(self._id)
        return self._traces.of(instance, main)

    def close(self) -> None:
        """Remove the daemon's directories; those that still have members stay."""
        if self.root is not None:
            cgroup.remove(self.root)

    def _by_descent(self, instance: str) -> DescendantTree:
        return DescendantTree((self._id, instance), self._mains, self._scan)

    def _cgroup_of(self, pid: int, instance: str) -> str | None:
        """The directory of `instance` that `pid` lives in or below; None if it is in none of this daemon's name."""
        path = procfs.cgroup_of(pid)
        suffix = f"/{self._directory}/{instance}"
        if self._mount is None or path is None or f"{suffix}/" not in f"{path}/":
            return None
        return f"{self._mount}{path[: path.index(suffix)]}{suffix}"

    def _directories(self, instance: str) -> list[str]:
        """All directories that may have the instance's processes, whichever cgroup an earlier daemon ran in."""
        if self._mount is None:
            return []
        if self._elsewhere is None:
            self._elsewhere = [d for d, _, _ in os.walk(self._mount) if d.endswith(f"/{self._directory}")]
        return [f"{directory}/{instance}" for directory in self._elsewhere]
