"""The files of one log in reading order, the newest first, each opened only when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from supervisor.adapters.logs import time_index
from supervisor.adapters.logs.rotation import READ, next_sequence

if TYPE_CHECKING:
    from supervisor.adapters.logs.gzip_members import GzipText

_GAP = 3  # consecutive missing numbers after which the log is taken to end


class LogFile:
    """One file of a log. `size` is its length when it was opened; `sequence` is its number, which no rename changes."""

    def __init__(self, fd: int, index_fd: int, text: GzipText | None = None) -> None:
        self._fd, self._index_fd, self._text = fd, index_fd, text
        self.size = os.fstat(fd).st_size if text is None else text.size
        self.sequence = (time_index.sequence(index_fd) or 0) if index_fd >= 0 else 0

    def read(self, length: int, offset: int) -> bytes:
        """At most `length` bytes from `offset`."""
        return os.pread(self._fd, length, offset) if self._text is None else self._text.read(length, offset)

    def times(self, first: int, last: int) -> Iterator[tuple[float, int]]:
        """The index records (at, offset) that date the bytes from offset `first` to `last`."""
        return time_index.governing(self._index_fd, first, last) if self._index_fd >= 0 else iter(())

    def offset_since(self, at: float) -> int | None:
        """The offset of the first line that arrived at or after `at`, or None."""
        offset = time_index.offset_since(self._index_fd, at) if self._index_fd >= 0 else None
        if offset is None or offset >= self.size:
            return None
        if offset > 0 and self.read(1, offset - 1) != b"\n":
            return self._after_newline(offset)
        return offset

    def end_of_lines(self, unfinished: bool) -> int:
        """The offset behind the last whole line, or behind the unfinished one too if `unfinished`."""
        end = self.size
        while not unfinished and end > 0:
            start = max(end - 65536, 0)
            newline = self.read(end - start, start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
        return end

    def close(self) -> None:
        os.close(self._fd)
        if self._index_fd >= 0:
            os.close(self._index_fd)

    def _after_newline(self, offset: int) -> int:
        while block := self.read(65536, offset):
            newline = block.find(b"\n")
            if newline >= 0:
                return offset + newline + 1
            offset += len(block)
        return offset


class LogFiles:
    """The files of one log: `files[0]` is the newest, `files[1]` the one before it; None beyond the oldest."""

    def __init__(self, directory: str, log: str) -> None:
        self._log = log
        self._opened: list[LogFile] = []
        self._next = 0
        self._gap = 0
        try:
            self._dir_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._dir_fd, self._gap = -1, _GAP

    def __getitem__(self, i: int) -> LogFile | None:
        while i >= len(self._opened) and self._gap < _GAP:
            source = self._open(self._next)
            self._next += 1
            self._gap = self._gap + 1 if source is None else 0
            if source is not None:
                self._add(source)
        return self._opened[i] if i < len(self._opened) else None

    def at(self, i: int) -> LogFile:
        """The file of index `i`, which must exist."""
        source = self[i]
        assert source is not None
        return source

    def find(self, sequence: int, offset: int) -> tuple[int, int]:
        """The place (index of the file, offset) of a cursor; the oldest one left if that was rotated away."""
        i = 0
        while (source := self[i]) is not None and source.sequence > sequence:
            i += 1
        if source is None:
            return i - 1, 0
        if source.sequence < sequence:
            return i, source.size
        return i, min(offset, source.size)

    def find_time(self, at: float) -> tuple[int, int]:
        """The place of the first line that arrived at or after `at`; the end of the log when there is none."""
        best = 0, self.at(0).size
        i = 0
        while (source := self[i]) is not None:
            offset = source.offset_since(at)
            if offset is None and i > 0:
                break
            if offset is not None:
                best = i, offset
            if offset:
                break
            i += 1
        return best

    def close(self) -> None:
        for source in self._opened:
            source.close()
        if self._dir_fd >= 0:
            os.close(self._dir_fd)

    def _add(self, source: LogFile) -> None:
        if self._opened:
            newer = self._opened[-1]
            if source.sequence == 0:  # its index is lost; numbers have no gaps
                source.sequence = max(newer.sequence - 1, 0)
            elif source.sequence >= newer.sequence:  # a rotation has renamed a file that is open already
                source.close()
                return
        elif source.sequence == 0:
            source.sequence = next_sequence(self._dir_fd, self._log)
        self._opened.append(source)

    def _open(self, k: int) -> LogFile | None:
        name = f"{self._log}.{k}" if k else self._log
        fd = self._try(name)
        if fd >= 0:
            return LogFile(fd, self._try(f"{name}.idx"))
        fd = self._try(f"{name}.gz") if k else -1
        if fd < 0:
            return None
        from supervisor.adapters.logs.gzip_members import GzipText  # loads zlib, hence only for a compressed file

        return LogFile(fd, self._try(f"{name}.idx"), GzipText(fd))

    def _try(self, name: str) -> int:
        try:
            return os.open(name, READ, dir_fd=self._dir_fd)
        except FileNotFoundError:
            return -1
