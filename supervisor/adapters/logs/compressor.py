"""Compresses rotated logs in one background thread, which exists only while there is something to compress.

The thread reads one file and writes another and knows no names; those move while it works, so the loop puts its result
where the file stands by then.  Killed at any point, the plain file is still there, and is found at the next start.
"""

from __future__ import annotations

import _thread
import os
from collections.abc import Callable
from contextlib import suppress

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.logs import rotation as logfiles

_NICE = 10


class Compressor:
    """One file at a time, the oldest of an instance first."""

    def __init__(self, loop: EventLoop, dir_fd: int, on_problem: Callable[[str, str], None]) -> None:
        self._loop, self._dir_fd, self._on_problem = loop, dir_fd, on_problem
        self._waiting: dict[str, int] = {}  # instance → how many files it keeps
        self._busy = False
        self._closing = False
        self._at_work = _thread.allocate_lock()

    def submit(self, instance: str, keep: int) -> None:
        """Compress every rotated file of `instance` that is not compressed yet."""
        self._waiting[instance] = keep
        if not self._busy:
            self._next()

    def close(self) -> None:
        """Leave off as soon as possible; what is not done stays plain."""
        self._closing = True
        with self._at_work:
            self._waiting.clear()

    def _next(self) -> None:
        while self._waiting:
            instance, keep = next(iter(self._waiting.items()))
            try:
                if self._begin(instance, keep):
                    return
                del self._waiting[instance]
            except OSError as error:
                self._give_up(instance, error)

    def _begin(self, instance: str, keep: int) -> bool:
        """Set the thread to work on the oldest plain file; False when there is none."""
        log = logfiles.log_name(instance)
        k = logfiles.oldest_plain(self._dir_fd, log, keep)
        if k is None:
            return False
        source = os.open(f"{log}.{k}", logfiles.READ, dir_fd=self._dir_fd)
        try:
            target = os.open(f"{log}.gz.new", logfiles.CREATE | os.O_TRUNC, logfiles.MODE, dir_fd=self._dir_fd)
        except OSError:
            os.close(source)
            raise
        self._busy = True
        _thread.start_new_thread(self._work, (instance, source, target))
        return True

    def _work(self, instance: str, source: int, target: int) -> None:
        """In the thread."""
        failure: OSError | None = None
        with self._at_work:
            try:
                os.setpriority(os.PRIO_PROCESS, _thread.get_native_id(), _NICE)
                from supervisor.adapters.logs import (
                    gzip_members as loggzip,  # zlib is loaded where something is compressed
                )

                for member in loggzip.members(source):
                    if self._closing:
                        break
                    _write_all(target, member)
            except OSError as error:
                failure = error
            finally:
                os.close(target)
            if self._closing:
                os.close(source)
            else:
                self._loop.call_from_thread(lambda: self._done(instance, source, failure))

    def _done(self, instance: str, source: int, failure: OSError | None) -> None:
        """In the loop again: the compressed file takes the place of the plain one, wherever that is now."""
        self._busy = False
        try:
            keep = self._waiting.get(instance)
            if keep is not None and failure is None:
                logfiles.adopt_compressed(self._dir_fd, logfiles.log_name(instance), keep, os.fstat(source))
        except OSError as error:
            failure = error
        finally:
            os.close(source)
        if failure is not None and instance in self._waiting:
            self._give_up(instance, failure)
        self._next()

    def _give_up(self, instance: str, error: OSError) -> None:
        """Until the next rotation."""
        del self._waiting[instance]
        with suppress(OSError):
            logfiles.remove(self._dir_fd, f"{logfiles.log_name(instance)}.gz.new")
        self._on_problem(instance, f"a rotated log stays uncompressed: {error.strerror}")


def _write_all(fd: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(fd, view) :]
