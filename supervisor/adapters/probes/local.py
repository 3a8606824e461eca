"""Probe targets on this host: the time of a file, the activity of a process tree."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux import procfs
from supervisor.adapters.linux.mounts import mounts
from supervisor.adapters.probes.prober import NOTHING_NEW, Cancel, Done, error_text
from supervisor.adapters.processes.apart import FileSystemSilent
from supervisor.adapters.processes.remote_files import RemoteFiles


class FileTarget:
    """A file: healthy when it was modified since the last look; the answer then has the file's modification time.

    Where its file system may not answer, another process looks (`files`).
    """

    __slots__ = ("_files", "_looked", "_path", "_seen")

    def __init__(self, path: str, files: RemoteFiles) -> None:
        self._path, self._files = path, files
        self._looked = time.monotonic()
        self._seen: int | None = None  # not known yet
        if mounts().remote(path) is None:
            try:
                self._seen = os.stat(path).st_mtime_ns  # noqa: PTH116
            except OSError:
                self._seen = 0

    def begin(self, loop: EventLoop, timeout: float, done: Done) -> Cancel:
        before, self._looked = self._looked, loop.now()

        def answer(error: OSError | None, modified: int) -> None:
            now = loop.now()
            if error is not None:
                if self._seen is None and not isinstance(error, FileSystemSilent):
                    self._seen = 0
                done(error_text(error), now)
                return
            known, self._seen = self._seen, modified
            if known in (modified, None):
                done(NOTHING_NEW, now)
                return
            age = (time.time_ns() - modified) / 1e9
            # A time set by hand, or a stepped clock: then only the present moment is certain.
            done(None, now - age if 0 <= age <= now - before else now)

        mount = mounts().remote(self._path)
        if mount is not None:
            return self._files.modified(self._path, mount, timeout, answer)
        try:
            modified = os.stat(self._path).st_mtime_ns  # noqa: PTH116
        except OSError as error:
            answer(error, 0)
        else:
            answer(None, modified)
        return _nothing_to_cancel


class ActivityTarget:
    """A process tree: healthy when its CPU time, bytes moved or members have changed since the last look."""

    __slots__ = ("_disturbed", "_members", "_seen")

    def __init__(self, members: Callable[[], Iterable[int]]) -> None:
        self._members = members
        self._seen = self._look()
        self._disturbed: float | None = None

    def disturb(self, until: float) -> None:
        """Until then the processes are made to run from outside: the first look after that only sees where they are."""
        self._disturbed = until

    def begin(self, loop: EventLoop, timeout: float, done: Done) -> Cancel:
        now = loop.now()
        before, self._seen = self._seen, self._look()
        done(NOTHING_NEW if self._seen == before or self._disturbed is not None else None, now)
        if self._disturbed is not None and now >= self._disturbed:
            self._disturbed = None
        return _nothing_to_cancel

    def _look(self) -> list[Footprint]:
        return sorted(footprint(pid) for pid in self._members())


class EachActivity:
    """A process tree as `ActivityTarget`, and each of its processes: `ran(process)` is called for those that have run
    since the last look or are new, `gone(process)` for those that have ended."""

    __slots__ = ("_gone", "_members", "_ran", "_seen")

    def __init__(
        self,
        members: Callable[[], Iterable[int]],
        ran: Callable[[tuple[int, int]], None],
        gone: Callable[[tuple[int, int]], None],
    ) -> None:
        self._members, self._ran, self._gone = members, ran, gone
        self._seen: dict[tuple[int, int], Footprint] = {}

    def begin(self, loop: EventLoop, timeout: float, done: Done) -> Cancel:
        before, self._seen = self._seen, self._look()
        for process in before.keys() - self._seen.keys():
            self._gone(process)
        for process, marks in self._seen.items():
            if before.get(process) != marks:
                self._ran(process)
        done(NOTHING_NEW if self._seen == before else None, loop.now())
        return _nothing_to_cancel

    def _look(self) -> dict[tuple[int, int], Footprint]:
        starts = ((pid, procfs.start_time(pid)) for pid in self._members())
        return {(pid, start): footprint(pid) for pid, start in starts if start is not None}


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
