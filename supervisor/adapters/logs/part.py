"""Output of one stream that is not yet in the log it shares with others: X.log.part, in the state directory.

A shared log takes whole lines only, and output in the daemon's memory would be lost if the daemon is killed. So output
goes into this file first; its whole lines are then written to the log, and the unfinished one stays. The note at the
beginning says when the output came, where in the log its lines belong, and which bytes are done: a daemon that finds
the file completes what was begun, and writes nothing twice.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import time
from contextlib import suppress

from supervisor.adapters.logs import rotation
from supervisor.adapters.logs.place import PART

_NOTE = struct.Struct(
    "<dqq"
)  # CLOCK_REALTIME seconds, offset in the log, offset here of the first byte that is not done
_FAR_FUTURE = 1e11  # seconds; a later time, or none, means that the file is damaged
_LONG = 1 << 20  # bytes that are done, from which on the file is begun again
_WHOLE_PIPE = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


class Part:
    """The file of the stream `name`, open."""

    __slots__ = ("_at", "_begin", "_dir_fd", "_end", "_fd", "_name", "_offset")

    def __init__(self, dir_fd: int, name: str) -> None:
        """Open or create the file. Raises OSError when it cannot be opened or is not a plain file."""
        self._dir_fd, self._name = dir_fd, part_name(name)
        self._fd = os.open(self._name, rotation.CREATE, rotation.MODE, dir_fd=dir_fd)
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._fd)
            raise OSError(errno.EINVAL, "not a plain file", self._name)
        self._at, self._offset, self._begin = time.time(), 0, _NOTE.size
        self._end = max(status.st_size, _NOTE.size)
        if status.st_size > _NOTE.size:
            at, self._offset, begin = _NOTE.unpack(os.pread(self._fd, _NOTE.size, 0))
            self._at = at if 0.0 < at < _FAR_FUTURE else self._at
            self._begin = begin if _NOTE.size <= begin <= self._end else _NOTE.size

    @property
    def pending(self) -> int:
        """The number of bytes that are not done."""
        return self._end - self._begin

    @property
    def at(self) -> float:
        """When the last output came."""
        return self._at

    def note(self, at: float, offset: int) -> None:
        """What is pending, and comes next, came at `at`; its whole lines belong at `offset` of the log."""
        self._at, self._offset = at, offset
        self._write_note()

    def splice(self, pipe: int, maximum: int) -> int:
        """Move at most `maximum` bytes from `pipe` behind what is pending; returns their number.

        Raises BlockingIOError when the pipe is empty; OSError, with the pipe untouched, when the file cannot be
        written.
        """
        n = os.splice(pipe, self._fd, maximum, offset_dst=self._end, flags=_WHOLE_PIPE)
        self._end += n
        return n

    def append(self, text: bytes) -> None:
        """Put `text` behind what is pending; if that fails, nothing of it, and raise OSError."""
        if os.pwrite(self._fd, text, self._end) < len(text):
            os.ftruncate(self._fd, self._end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._name)
        self._end += len(text)

    def withdraw(self, length: int) -> None:
        """Take the last `length` bytes away again."""
        self._end -= length
        os.ftruncate(self._fd, self._end)

    def read(self, length: int | None = None) -> bytes:
        """What is pending, or its last `length` bytes."""
        begin = self._begin if length is None else max(self._end - length, self._begin)
        return os.pread(self._fd, self._end - begin, begin)

    @property
    def offset(self) -> int:
        """Where in the log its whole lines belong, unless others have changed the log."""
        return self._offset

    def done(self, length: int) -> None:
        """The first `length` bytes that are pending are in the log."""
        self._begin += length
        if self._begin >= self._end:
            os.ftruncate(self._fd, 0)
            self._begin = self._end = _NOTE.size
            return
        self._write_note()
        if self._begin > _LONG:
            with suppress(OSError):  # a full disk: the file goes on as it is
                self._begin_anew()

    def close(self) -> None:
        """Close the file, and remove it if nothing is pending."""
        os.close(self._fd)
        if not self.pending:
            rotation.remove(self._dir_fd, self._name)

    def _write_note(self) -> None:
        os.pwrite(self._fd, _NOTE.pack(self._at, self._offset, self._begin), 0)

    def _begin_anew(self) -> None:
        text = _NOTE.pack(self._at, self._offset, _NOTE.size) + self.read()
        name = f"{self._name}.new"
        fd = os.open(name, rotation.CREATE | os.O_TRUNC, rotation.MODE, dir_fd=self._dir_fd)
        try:
            if os.pwrite(fd, text, 0) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
            os.rename(name, self._name, src_dir_fd=self._dir_fd, dst_dir_fd=self._dir_fd)
        except OSError:
            os.close(fd)
            rotation.remove(self._dir_fd, name)
            raise
        os.close(self._fd)
        self._fd, self._begin, self._end = fd, _NOTE.size, len(text)


def part_name(name: str) -> str:
    """The name of the file for the stream `name`."""
    return f"{rotation.log_name(name)}{PART}"
