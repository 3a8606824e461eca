"""Holds output until it has its timestamps: X.log.raw.

Lines that get a timestamp cannot be moved into X.log inside the kernel, and output in the daemon's memory would be lost
if the daemon is killed. So output goes into X.log.raw first, with a note of its time of arrival and of its place in
X.log; then it is written there with timestamps; then X.log.raw is emptied. A daemon that finds the file not empty
repeats the last two steps: the note says what must stand where, so nothing is written twice.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import time

from supervisor.adapters.logs import rotation
from supervisor.adapters.logs.place import SPOOL

_NOTE = struct.Struct("<dq")  # CLOCK_REALTIME seconds, offset in X.log
_FAR_FUTURE = 1e11  # seconds; a later time, or none, means that the file is damaged
_WHOLE_PIPE = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


class TimestampSpool:
    """X.log.raw, open. `pending` is the number of bytes that have left the pipe and may not be in X.log yet."""

    __slots__ = ("_dir_fd", "_fd", "_name", "pending")

    def __init__(self, dir_fd: int, log: str) -> None:
        """Open or create the file. Raises OSError when it cannot be opened or is not a plain file."""
        self._dir_fd, self._name = dir_fd, f"{log}{SPOOL}"
        self._fd = os.open(self._name, rotation.CREATE, rotation.MODE, dir_fd=dir_fd)
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._fd)
            raise OSError(errno.EINVAL, "not a plain file", self._name)
        self.pending = max(status.st_size - _NOTE.size, 0)

    def splice(self, pipe: int, maximum: int, at: float, offset: int) -> int:
        """Move at most `maximum` bytes from `pipe` into the file; returns their number.

        They arrived at `at` and belong at `offset` of X.log. Raises BlockingIOError when the pipe is empty; OSError,
        with the pipe untouched, when the file cannot be written.
        """
        os.pwrite(self._fd, _NOTE.pack(at, offset), 0)
        self.pending = os.splice(pipe, self._fd, maximum, offset_dst=_NOTE.size, flags=_WHOLE_PIPE)
        return self.pending

    def read(self) -> tuple[float, int, bytes]:
        """The time of arrival, the offset in X.log, and the bytes."""
        at, offset = _NOTE.unpack(os.pread(self._fd, _NOTE.size, 0))
        return at if 0.0 < at < _FAR_FUTURE else time.time(), offset, os.pread(self._fd, self.pending, _NOTE.size)

    def clear(self) -> None:
        """Empty the file, once its bytes are in X.log."""
        os.ftruncate(self._fd, 0)
        self.pending = 0

    def close(self) -> None:
        """Close the file, and remove it if it is empty."""
        os.close(self._fd)
        if not self.pending:
            rotation.remove(self._dir_fd, self._name)
