"""Where output waits to be dated: X.log.raw.

Lines that get the time put before them cannot be moved into X.log inside the kernel as they are, and what a daemon
holds in its memory is lost when it is killed.  So they are moved into X.log.raw, with a note of when they came and
where in X.log they are to stand; then they are written there, dated; then X.log.raw is emptied.  Whoever finds it not
empty does the last two steps again: the note says what must stand where, so nothing is written twice.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import time

from supervisor.adapters.logs import rotation as logfiles

_NOTE = struct.Struct("<dq")  # CLOCK_REALTIME seconds, offset in X.log
_FAR_FUTURE = 1e11  # seconds; a later time, or none, is what a damaged file says
_WHOLE_PIPE = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


class TimestampSpool:
    """X.log.raw, open.  `pending` bytes have left the pipe and may not stand in X.log yet."""

    __slots__ = ("_dir_fd", "_fd", "_name", "pending")

    def __init__(self, dir_fd: int, log: str) -> None:
        """OSError where the file cannot be opened or is not a plain file."""
        self._dir_fd, self._name = dir_fd, draft_name(log)
        self._fd = os.open(self._name, logfiles.CREATE, logfiles.MODE, dir_fd=dir_fd)
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._fd)
            raise OSError(errno.EINVAL, "not a plain file", self._name)
        self.pending = max(status.st_size - _NOTE.size, 0)

    def splice(self, pipe: int, maximum: int, at: float, offset: int) -> int:
        """Move at most `maximum` bytes from `pipe` here, which came at `at` and are to stand at `offset`; how many.

        BlockingIOError when the pipe is empty; OSError when the file cannot be written; the pipe is untouched then.
        """
        os.pwrite(self._fd, _NOTE.pack(at, offset), 0)
        self.pending = os.splice(pipe, self._fd, maximum, offset_dst=_NOTE.size, flags=_WHOLE_PIPE)
        return self.pending

    def read(self) -> tuple[float, int, bytes]:
        """When the bytes came, where they are to stand, and they themselves."""
        at, offset = _NOTE.unpack(os.pread(self._fd, _NOTE.size, 0))
        return at if 0.0 < at < _FAR_FUTURE else time.time(), offset, os.pread(self._fd, self.pending, _NOTE.size)

    def clear(self) -> None:
        """They stand in X.log."""
        os.ftruncate(self._fd, 0)
        self.pending = 0

    def close(self) -> None:
        """An empty file goes."""
        os.close(self._fd)
        if not self.pending:
            logfiles.remove(self._dir_fd, self._name)


def draft_name(log: str) -> str:
    return f"{log}.raw"
