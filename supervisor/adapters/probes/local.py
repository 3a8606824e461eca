"""Probe targets on this host: the time of a file, the activity of a process tree."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux import procfs
from supervisor.adapters.probes.prober import NOTHING_NEW, Cancel, Done, error_text


class FileTarget:
    """A file: healthy when it was modified since the last look; the answer then has the file's modification time."""

    __slots__ = ("_looked", "_path", "_seen")

    def __init__(self, path: str) -> None:
        self._path = path
        self._looked = time.monotonic()
        try:
            self._seen = os.stat(path).st_mtime_ns  # noqa: PTH116
        except OSError:
            self._seen = 0

    def begin(self, loop: EventLoop, timeout: float, done: Done) -> Cancel:
        now = loop.now()
        before, self._looked = self._looked, now
        try:
            modified = os.stat(self._path).st_mtime_ns  # noqa: PTH116
        except OSError as error:
            done(error_text(error), now)
            return _nothing_to_cancel
        if modified == self._seen:
            done(NOTHING_NEW, now)
        else:
            self._seen = modified
            age = (time.time_ns() - modified) / 1e9
            # A time set by hand, or a stepped clock: then only the present moment is certain.
            done(None, now - age if 0 <= age <= now - before else now)
        return _nothing_to_cancel


class ActivityTarget:
    """A process tree: healthy when its CPU time, bytes moved or members have changed since the last look."""

    __slots__ = ("_members", "_seen")

    def __init__(self, members: Callable[[], Iterable[int]]) -> None:
        self._members = members
        self._seen = self._look()

    def begin(self, loop: EventLoop, timeout: float, done: Done) -> Cancel:
        before, self._seen = self._seen, self._look()
        done(NOTHING_NEW if self._seen == before else None, loop.now())
        return _nothing_to_cancel

    def _look(self) -> list[Footprint]:
        return sorted(footprint(pid) for pid in self._members())


Footprint = tuple[int, int, int, bytes]
"""See `footprint`."""


def footprint(pid: int) -> Footprint:
    """The counters that grow while a process works: (pid, CPU ticks, bytes read and written, main thread's CPU ns)."""
    stat = procfs.stat(pid)
    ticks = stat.utime + stat.stime if stat else 0
    # Clock ticks are too coarse for a process that wakes up only for moments; the scheduler's counter is not.
    schedule = procfs.read(f"/proc/{pid}/schedstat") or b""
    return pid, ticks, procfs.io_bytes(pid), schedule.partition(b" ")[0]


def _nothing_to_cancel() -> None:
    pass
