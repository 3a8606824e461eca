"""Whose process is this?  From the pid that the kernel gives with a datagram to the instance it belongs to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol

from supervisor.adapters import procfs

_LONGEST_DESCENT = 32
_MOST_REMEMBERED = 1024


class Owned(Protocol):
    """What is known of a main process."""

    instance: str


class Attribution:
    """`resolve(pid)` names the instance that a process belongs to.

    `mains`: main processes by pid (looked at each time, never copied).  `cgroup_root`: the directory of which each
    instance has a sub-directory of its own name, or None.  `supervisor_id`: what SUPERVISOR_ID is in our children's
    environment.  `strangers` counts processes that belong to nobody, `vanished` those that were gone before they
    could be looked at.
    """

    def __init__(self, mains: Mapping[int, Owned], cgroup_root: str | None, supervisor_id: str) -> None:
        self.strangers = self.vanished = 0
        self._mains = mains
        self._cgroup_prefix = _path_in_hierarchy(cgroup_root) + "/" if cgroup_root else None
        self._id = supervisor_id
        self._known: dict[int, tuple[int, str]] = {}

    def resolve(self, pid: int) -> str | None:
        """The instance's name, or None for a stranger."""
        main = self._mains.get(pid)
        if main is not None:
            return main.instance
        start = procfs.start_time(pid)
        if start is None:
            self.vanished += 1
            return None
        known = self._known.get(pid)
        if known is not None and known[0] == start:
            return known[1]
        instance = self._by_cgroup(pid) or self._by_descent(pid) or self._by_marker(pid)
        if instance is None:
            self.strangers += 1
            return None
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[pid] = (start, instance)
        return instance

    def _by_cgroup(self, pid: int) -> str | None:
        if self._cgroup_prefix is None:
            return None
        path = procfs.cgroup_of(pid)
        if path is None or not path.startswith(self._cgroup_prefix):
            return None
        return path[len(self._cgroup_prefix) :].partition("/")[0]

    def _by_descent(self, pid: int) -> str | None:
        for _ in range(_LONGEST_DESCENT):
            stat = procfs.stat(pid)
            if stat is None or stat.ppid <= 1 or stat.ppid == os.getpid():
                return None
            pid = stat.ppid
            main = self._mains.get(pid)
            if main is not None:
                return main.instance
        return None

    def _by_marker(self, pid: int) -> str | None:
        """An orphan, or one that daemonised itself, still carries the environment it was started with."""
        if procfs.environment_value(pid, "SUPERVISOR_ID") != self._id:
            return None
        return procfs.environment_value(pid, "SUPERVISOR_INSTANCE") or None


def _path_in_hierarchy(directory: str) -> str:
    """A cgroup's path as /proc/PID/cgroup gives it, from its directory under the mount point."""
    mount = directory.rstrip("/")
    while mount and not os.path.ismount(mount):
        mount = mount.rpartition("/")[0]
    return directory.rstrip("/")[len(mount) :]
