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
from supervisor.adapters.logs.place import Place

_NICE = 10


class Compressor:
    """Compresses one file at a time, the oldest of an instance first."""

    def __init__(self, loop: EventLoop, on_problem: Callable[[str, str], None]) -> None:
        self._loop, self._on_problem = loop, on_problem
        self._waiting: dict[str, tuple[Place, int]] = {}  # instance → its log, number of rotated files that it keeps
        self._busy = False
        self._closing = False
        self._at_work = _thread.allocate_lock()

    def submit(self, instance: str, place: Place, keep: int) -> None:
        """Compress every rotated file of `instance` that is still plain."""
        self._waiting[instance] = place, keep
        if not self._busy:
            self._next()

    def close(self) -> None:
        """Stop as soon as possible; files that are not compressed stay plain."""
        self._closing = True
        with self._at_work:
            self._waiting.clear()

    def _next(self) -> None:
        while self._waiting:
            instance, (place, keep) = next(iter(self._waiting.items()))
            try:
                if self._begin(instance, place, keep):
                    return
                del self._waiting[instance]
            except OSError as error:
                self._give_up(instance, place, error)

    def _begin(self, instance: str, place: Place, keep: int) -> bool:
        """Start the thread on the oldest plain file; False when there is none."""
        dir_fd, log = place
        k = rotation.oldest_plain(dir_fd, log, keep)
        if k is None:
            return False
        source = os.open(f"{log}.{k}", rotation.READ, dir_fd=dir_fd)
        try:
            target = os.open(f"{log}.gz.new", rotation.CREATE | os.O_TRUNC, rotation.MODE, dir_fd=dir_fd)
        except OSError:
            os.close(source)
            raise
        rotation.like(source, target)
        self._busy = True
        _thread.start_new_thread(self._work, (instance, place, source, target))
        return True

    def _work(self, instance: str, place: Place, source: int, target: int) -> None:
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
                self._loop.call_from_thread(lambda: self._done(instance, place, source, failure))

    def _done(self, instance: str, place: Place, source: int, failure: OSError | None) -> None:
        """Replace the plain file by the compressed one, under its present name. Runs in the event loop."""
        self._busy = False
        try:
            now_at, keep = self._waiting.get(instance, (None, 0))
            if now_at == place and failure is None:
                rotation.adopt_compressed(*place, keep, os.fstat(source))
            else:
                rotation.remove(place.dir_fd, f"{place.log}.gz.new")
        except OSError as error:
            failure = error
        finally:
            os.close(source)
        if failure is not None and instance in self._waiting:
            self._give_up(instance, place, failure)
        self._next()

    def _give_up(self, instance: str, place: Place, error: OSError) -> None:
        """Report `error` and leave the files of `instance` plain until the next rotation."""
        del self._waiting[instance]
        with suppress(OSError):
            rotation.remove(place.dir_fd, f"{place.log}.gz.new")
        self._on_problem(instance, f"a rotated log stays uncompressed: {error.strerror}")


def _write_all(fd: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(fd, view) :]
