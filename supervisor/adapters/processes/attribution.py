"""Finds the instance to which the sender of a datagram belongs, by the pid that the kernel gives with it.

It looks at the cgroup, the ancestors and the environment of the process, in this order.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from supervisor.adapters.linux import procfs
from supervisor.adapters.processes import marks
from supervisor.core.model.group_names import EXEC_GROUP

_LONGEST_DESCENT = 32  # ancestors that are looked at
_MOST_REMEMBERED = 1024  # processes
_STRANGER_SECONDS = 1.0  # until an unknown process is looked at again, so that a flood of it costs no more than beats


class Owned(Protocol):
    """What is needed of a main process."""

    instance: str


class Attribution:
    """`resolve(pid)` names the instance that a process belongs to.

    `mains`: main processes by pid (looked at each time, never copied).  `cgroup_root`: the directory in which each
    instance has a sub-directory of its own name, or None.  `supervisor_id`: the value of SUPERVISOR_ID in the
    environment of children.  `user_of(instance)`: the user that it was started as, None for the daemon's own.
    `strangers` counts processes that belong to no instance, `vanished` those that ended before they were looked at.
    """

    def __init__(
        self,
        mains: Mapping[int, Owned],
        cgroup_root: str | None,
        supervisor_id: str,
        user_of: Callable[[str], int | None] = lambda _instance: None,
    ) -> None:
        self.strangers = self.vanished = 0
        self._mains = mains
        self._cgroup_prefix = _path_in_hierarchy(cgroup_root) + "/" if cgroup_root else None
        self._id = supervisor_id
        self._user_of = user_of
        self._known: dict[int, tuple[int, str]] = {}
        self._strangers: dict[int, tuple[int, float]] = {}

    def resolve(self, pid: int) -> str | None:
        """The instance's name, or None for a process that belongs to none."""
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
        stranger = self._strangers.get(pid)
        if stranger is not None and stranger[0] == start and time.monotonic() < stranger[1]:
            return None
        instance = self._by_cgroup(pid) or self._by_descent(pid) or self._by_marker(pid)
        if instance is None:
            self.strangers += 1
            if len(self._strangers) >= _MOST_REMEMBERED:
                self._strangers.clear()
            self._strangers[pid] = start, time.monotonic() + _STRANGER_SECONDS
            return None
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[pid] = (start, instance)
        return instance

    def identity(self, pid: int) -> tuple[int, int] | None:
        """The process that was resolved last with this pid: with its start time, because the pid may be reused."""
        known = self._known.get(pid)
        return (pid, known[0]) if known is not None else None

    def _by_cgroup(self, pid: int) -> str | None:
        if self._cgroup_prefix is None:
            return None
        path = procfs.cgroup_of(pid)
        if path is None or not path.startswith(self._cgroup_prefix):
            return None
        name = path[len(self._cgroup_prefix) :].partition("/")[0]
        return None if name.startswith(EXEC_GROUP) else name

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
        """By the environment, which an orphan or a process that daemonised itself still has.

        An environment can be forged, so it counts only where the process has the user of the instance's service:
        processes of one user could harm each other more directly.
        """
        found, instance = marks.identity(pid) or ("", "")
        if found != self._id or not instance:
            return None
        user = self._user_of(instance)
        return instance if procfs.user_of(pid) == (os.geteuid() if user is None else user) else None


def _path_in_hierarchy(directory: str) -> str:
    """A cgroup's path as in /proc/PID/cgroup, from its directory under the mount point."""
    mount = directory.rstrip("/")
    while mount and not os.path.ismount(mount):
        mount = mount.rpartition("/")[0]
    return directory.rstrip("/")[len(mount) :]
