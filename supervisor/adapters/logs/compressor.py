"""Compresses rotated logs in one background thread, which exists only while there is something to compress.

The thread reads one descriptor and writes another. Files may be renamed while it works, so the event loop puts the
result beside the name that the plain file has by then. If the daemon is killed at any point, the plain file is still
there and is found at the next start.
"""

from __future__ import annotations

import _thread
import os
from collections.abc import Callable
from contextlib import suppress

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.logs import rotation

_NICE = 10


class Compressor:
    """Compresses one file at a time, the oldest of an instance first."""

    def __init__(self, loop: EventLoop, dir_fd: int, on_problem: Callable[[str, str], None]) -> None:
        self._loop, self._dir_fd, self._on_problem = loop, dir_fd, on_problem
        self._waiting: dict[str, int] = {}  # instance → number of rotated files that it keeps
        self._busy = False
        self._closing = False
        self._at_work = _thread.allocate_lock()

    def submit(self, instance: str, keep: int) -> None:
        """Compress every rotated file of `instance` that is still plain."""
        self._waiting[instance] = keep
        if not self._busy:
            self._next()

    def close(self) -> None:
        """Stop as soon as possible; files that are not compressed stay plain."""
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
        """Start the thread on the oldest plain file; False when there is none."""
        log = rotation.log_name(instance)
        k = rotation.oldest_plain(self._dir_fd, log, keep)
        if k is None:
            return False
        source = os.open(f"{log}.{k}", rotation.READ, dir_fd=self._dir_fd)
        try:
            target = os.open(f"{log}.gz.new", rotation.CREATE | os.O_TRUNC, rotation.MODE, dir_fd=self._dir_fd)
        except OSError:
            os.close(source)
            raise
        self._busy = True
        _thread.start_new_thread(self._work, (instance, source, target))
        return True

    def _work(self, instance: str, source: int, target: int) -> None:
        """Compress `source` into `target`. Runs in the thread."""
        failure: OSError | None = None
        with self._at_work:
            try:
                os.setpriority(os.PRIO_PROCESS, _thread.get_native_id(), _NICE)
                from supervisor.adapters.logs import (
                    gzip_members,  # loads zlib, hence only when something is compressed
                )

                for member in gzip_members.members(source):
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
        """Replace the plain file by the compressed one, under its present name. Runs in the event loop."""
        self._busy = False
        try:
            keep = self._waiting.get(instance)
            if keep is not None and failure is None:
                rotation.adopt_compressed(self._dir_fd, rotation.log_name(instance), keep, os.fstat(source))
        except OSError as error:
            failure = error
        finally:
            os.close(source)
        if failure is not None and instance in self._waiting:
            self._give_up(instance, failure)
        self._next()

    def _give_up(self, instance: str, error: OSError) -> None:
        """Report `error` and leave the files of `instance` plain until the next rotation."""
        del self._waiting[instance]
        with suppress(OSError):
            rotation.remove(self._dir_fd, f"{rotation.log_name(instance)}.gz.new")
        self._on_problem(instance, f"a rotated log stays uncompressed: {error.strerror}")


def _write_all(fd: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(fd, view) :]
