"""The log file that is being written: appends output, and starts a new file when the size limit is reached."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from supervisor.adapters.logs import rotation, time_index

LONGEST_LINE = 1 << 20  # bytes; a rotation may cut a longer line
_STEP = 1 << 16  # bytes by which the limit is raised for an unfinished line; few lines are longer
_WHOLE_PIPE = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


class Segment:
    """X.log and X.log.idx, open. `size` is the offset of the next byte, `limit` the size at which it is rotated."""

    __slots__ = ("_dir_fd", "_fd", "_index_end", "_index_fd", "_log", "limit", "sequence", "size")

    def __init__(self, dir_fd: int, log: str, limit: int, after: int = 0) -> None:
        """Open or create the file. Raises OSError when it cannot be opened or is not a plain file.

        `after`: the number of the file that was written before at another place; a new one gets a higher number.
        """
        self._dir_fd, self._log, self.limit = dir_fd, log, limit
        self._index_fd, self._index_end, self.sequence = -1, 0, 0
        new = not rotation.exists(dir_fd, log)
        self._fd = os.open(log, rotation.CREATE, rotation.MODE, dir_fd=dir_fd)
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._fd)
            raise OSError(errno.EINVAL, "not a plain file", log)
        self.size = status.st_size
        if self.size == 0:
            self._part_from_index(new)
        self._open_index(None, after)

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

    def give(self, mode: int | None, owner: int, group: int) -> None:
        """Set mode, owner and group (-1: unchanged) of the file. Raises OSError."""
        status = os.fstat(self._fd)
        if (owner, group) != (-1, -1) and (status.st_uid, status.st_gid) != (owner, group):
            os.fchown(self._fd, owner, group)
        if mode is not None and stat.S_IMODE(status.st_mode) != mode:
            os.fchmod(self._fd, mode)

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
        """Compare with the file on disk, which others may have truncated; False when it was renamed or removed, and
        must be opened anew.
        """
        status = os.fstat(self._fd)
        if not self._has_its_name(status):
            if not rotation.follow_move(self._dir_fd, self._log, status):
                self._begin_index_anew()
            return False
        if status.st_size < self.size:
            self._begin_index_anew()
        self.size = status.st_size
        return True

    def _has_its_name(self, status: os.stat_result) -> bool:
        try:
            return os.path.samestat(os.stat(self._log, dir_fd=self._dir_fd, follow_symlinks=False), status)
        except FileNotFoundError:
            return False

    def _begin_index_anew(self) -> None:
        """Number the content that comes from now on as another file: cursors to what was there lead to its end."""
        if self._index_fd >= 0:
            self.sequence += 1
            with suppress(OSError):
                self._index_end = time_index.begin(self._index_fd, self.sequence)

    def rotate(self, keep: int, at: float) -> bool | None:
        """Continue in a new file, and move the unfinished last line there, so that no line is torn.

        True: done. False: done, but a line longer than LONGEST_LINE was cut. None: not done, because the file is one
        unfinished line that may still end; the limit was raised. Raises OSError with the files unchanged.
        """
        tail, boundary = b"", 0
        for most in (_STEP, LONGEST_LINE):
            if not boundary and len(tail) < self.size:
                look = min(self.size, most)
                tail = os.pread(self._fd, look, self.size - look)
                boundary = tail.rfind(b"\n") + 1
        cut = boundary == 0
        if cut and len(tail) < LONGEST_LINE:
            self.limit = self.size + _STEP
            return None
        rotation.make_room(self._dir_fd, self._log, keep)
        self._supersede(b"" if cut else tail[boundary:])
        with suppress(OSError):
            rotation.forget_beyond(self._dir_fd, self._log, keep)
        self._open_index(self.sequence + 1)
        self.mark(at, 0)
        return not cut

    def _supersede(self, tail: bytes) -> None:
        boundary = self.size - len(tail)
        new = os.open(f"{self._log}.new", rotation.CREATE | os.O_TRUNC, rotation.MODE, dir_fd=self._dir_fd)
        try:
            rotation.like(self._fd, new)
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

    def _open_index(self, number: int | None, after: int = 0) -> None:
        """Open the index or begin a new one. Without an index output is still kept, but has no times.

        `number` is that of a new file; None means that it must be found out, and is higher than `after`.
        """
        if self._index_fd >= 0:
            os.close(self._index_fd)
        self._index_fd, self.sequence = -1, number or 0
        with suppress(OSError):
            self._index_fd = os.open(f"{self._log}.idx", rotation.CREATE, rotation.MODE, dir_fd=self._dir_fd)
            known = time_index.sequence(self._index_fd)
            if known is None:
                self.sequence = number or max(rotation.next_sequence(self._dir_fd, self._log), after + 1)
                self._index_end = time_index.begin(self._index_fd, self.sequence)
            else:
                self.sequence, self._index_end = known, time_index.end_of(self._index_fd)
                if time_index.last_offset(self._index_fd) > self.size:  # the file was truncated while it was not open
                    self._begin_index_anew()

    def _part_from_index(self, new: bool) -> None:
        """Let an index go with its file, if that was moved away while it was not open; this one is empty, or `new`."""
        with suppress(OSError):
            before = os.stat(f"{self._log}.1", dir_fd=self._dir_fd, follow_symlinks=False)
            left = rotation.exists(self._dir_fd, f"{self._log}.idx")
            if left and (new or not rotation.exists(self._dir_fd, f"{self._log}.1.idx")):
                rotation.follow_move(self._dir_fd, self._log, before)
