"""The log file that is being written: appends output, and starts a new file when the size limit is reached."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from supervisor.adapters.logs import rotation, time_index

LONGEST_LINE = 1 << 20  # bytes; a rotation may cut a longer line
_STEP = 1 << 16  # bytes by which the limit is raised for an unfinished line
_WHOLE_PIPE = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


class Segment:
    """X.log and X.log.idx, open. `size` is the offset of the next byte, `limit` the size at which it is rotated."""

    __slots__ = ("_dir_fd", "_fd", "_index_end", "_index_fd", "_log", "_sequence", "limit", "size")

    def __init__(self, dir_fd: int, log: str, limit: int) -> None:
        """Open or create the file. Raises OSError when it cannot be opened or is not a plain file."""
        self._dir_fd, self._log, self.limit = dir_fd, log, limit
        self._index_fd, self._index_end, self._sequence = -1, 0, 0
        self._fd = os.open(log, rotation.CREATE, rotation.MODE, dir_fd=dir_fd)
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._fd)
            raise OSError(errno.EINVAL, "not a plain file", log)
        self.size = status.st_size
        self._open_index(None)

    def close(self) -> None:
        os.close(self._fd)
        if self._index_fd >= 0:
            os.close(self._index_fd)

    def splice(self, pipe: int, maximum: int) -> int:
        """Move at most `maximum` bytes from `pipe` to the end of the file, inside the kernel; returns their number.

        A byte leaves the pipe only once it is in the file, so that a kill at this point loses nothing. Raises
        BlockingIOError when the pipe is empty, OSError when the file cannot be written.
        """
        n = os.splice(pipe, self._fd, maximum, offset_dst=self.size, flags=_WHOLE_PIPE)
        self.size += n
        return n

    def read(self, offset: int) -> bytes:
        """The content from `offset` to the end."""
        return os.pread(self._fd, self.size - offset, offset)

    def append(self, block: bytes) -> None:
        """Write all of `block`; if that fails, write nothing and raise OSError."""
        written = os.pwrite(self._fd, block, self.size)
        if written < len(block):
            os.ftruncate(self._fd, self.size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._log)
        self.size += written

    def complete(self, offset: int, text: bytes) -> bool:
        """Make the file end with `text` at `offset`, where a part of it or all of it may have been written already.

        False: the file has other content there. Raises OSError when it cannot be written; the content is then
        unchanged.
        """
        if not 0 <= offset <= self.size:
            return False
        there = os.pread(self._fd, len(text), offset)
        if not text.startswith(there):
            return False
        if len(there) < len(text):
            self.append(text[len(there) :])
        return True

    def at_line_start(self, offset: int | None = None) -> bool:
        """Whether the byte at `offset`, by default the next byte to be written, begins a line."""
        at = self.size if offset is None else offset
        return at == 0 or (at > 0 and os.pread(self._fd, 1, at - 1) == b"\n")

    def mark(self, at: float, offset: int) -> None:
        """Record that the bytes from `offset` on arrived at `at` (CLOCK_REALTIME seconds)."""
        if self._index_fd >= 0:
            with suppress(OSError):
                self._index_end = time_index.append(self._index_fd, self._index_end, at, offset)

    def verify(self) -> bool:
        """Compare with the file on disk, which others may have truncated; False when it was removed and must be
        reopened.
        """
        status = os.fstat(self._fd)
        if status.st_nlink == 0:
            return False
        if status.st_size < self.size and self._index_fd >= 0:
            self._index_end = time_index.begin(self._index_fd, self._sequence)
        self.size = status.st_size
        return True

    def rotate(self, keep: int, at: float) -> bool | None:
        """Continue in a new file, and move the unfinished last line there, so that no line is torn.

        True: done. False: done, but a line longer than LONGEST_LINE was cut. None: not done, because the file is one
        unfinished line that may still end; the limit was raised. Raises OSError with the files unchanged.
        """
        look = min(self.size, LONGEST_LINE)
        tail = os.pread(self._fd, look, self.size - look)
        boundary = tail.rfind(b"\n") + 1
        cut = boundary == 0
        if cut and look < LONGEST_LINE:
            self.limit = self.size + _STEP
            return None
        rotation.make_room(self._dir_fd, self._log, keep)
        self._supersede(b"" if cut else tail[boundary:])
        with suppress(OSError):
            rotation.forget_beyond(self._dir_fd, self._log, keep)
        self._open_index(self._sequence + 1)
        self.mark(at, 0)
        return not cut

    def _supersede(self, tail: bytes) -> None:
        boundary = self.size - len(tail)
        new = os.open(f"{self._log}.new", rotation.CREATE | os.O_TRUNC, rotation.MODE, dir_fd=self._dir_fd)
        try:
            if os.write(new, tail) < len(tail):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._log)
            os.ftruncate(self._fd, boundary)
            rotation.supersede(self._dir_fd, self._log)
        except OSError:
            os.close(new)
            os.pwrite(self._fd, tail, boundary)
            rotation.remove(self._dir_fd, f"{self._log}.new")
            raise
        os.close(self._fd)
        self._fd, self.size = new, len(tail)

    def _open_index(self, number: int | None) -> None:
        """Open the index or begin a new one. Without an index output is still kept, but has no times.

        `number` is that of a new file; None means that it must be found out.
        """
        if self._index_fd >= 0:
            os.close(self._index_fd)
        self._index_fd, self._sequence = -1, number or 0
        with suppress(OSError):
            self._index_fd = os.open(f"{self._log}.idx", rotation.CREATE, rotation.MODE, dir_fd=self._dir_fd)
            known = time_index.sequence(self._index_fd)
            if known is None:
                self._sequence = number or rotation.next_sequence(self._dir_fd, self._log)
                self._index_end = time_index.begin(self._index_fd, self._sequence)
            else:
                self._sequence, self._index_end = known, time_index.end_of(self._index_fd)
