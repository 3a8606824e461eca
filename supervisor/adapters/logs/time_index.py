"""The times of a log's bytes: a file of fixed-size records beside each log file.

`X.log.idx` is a header (magic, sequence number of the file it describes) followed by records (CLOCK_REALTIME seconds,
offset of the first byte that arrived then), in order of offset. It serves `--since`, dates lines, and numbers the files
through their renames, without reading the log itself. Losing an index loses times, never output.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

_MAGIC = b"LOGIDX1\n"
_HEADER = struct.Struct("<8sQ")
_RECORD = struct.Struct("<dQ")
_SIZE = 16  # bytes of the header and of each record


def sequence(fd: int) -> int | None:
    """The number of the log file that the index describes, or None if this is no index."""
    header = os.pread(fd, _SIZE, 0)
    if len(header) < _SIZE:
        return None
    magic, number = _HEADER.unpack(header)
    return int(number) if magic == _MAGIC else None


def begin(fd: int, number: int) -> int:
    """Make `fd` an empty index of file `number`; returns its size."""
    os.ftruncate(fd, 0)
    return os.pwrite(fd, _HEADER.pack(_MAGIC, number), 0)


def append(fd: int, end: int, at: float, offset: int) -> int:
    """Record that the bytes from `offset` on arrived at `at`. Returns the new end of the index.

    A record that did not fit is overwritten by the next one, so that all stay aligned.
    """
    return end + _SIZE if os.pwrite(fd, _RECORD.pack(at, offset), end) == _SIZE else end


def end_of(fd: int) -> int:
    """The offset of the next record."""
    return os.fstat(fd).st_size // _SIZE * _SIZE


def last_offset(fd: int) -> int:
    """The offset in the last record; 0 when there is none."""
    count = end_of(fd) // _SIZE - 1
    return _record(fd, count - 1)[1] if count > 0 else 0


def governing(fd: int, first: int, last: int) -> Iterator[tuple[float, int]]:
    """The records (at, offset) that date the bytes from offset `first` to `last`, in order."""
    records = range(end_of(fd) // _SIZE - 1)
    begin_at = max(bisect_right(records, first, key=lambda i: _record(fd, i)[1]) - 1, 0)
    end_at = bisect_right(records, last, lo=begin_at, key=lambda i: _record(fd, i)[1])
    block = os.pread(fd, (end_at - begin_at) * _SIZE, (begin_at + 1) * _SIZE)
    return _RECORD.iter_unpack(block[: len(block) // _SIZE * _SIZE])


def offset_since(fd: int, at: float) -> int | None:
    """The offset of the first bytes that arrived at or after `at`, or None when there are none."""
    records = range(end_of(fd) // _SIZE - 1)
    found = bisect_left(records, at, key=lambda i: _record(fd, i)[0])
    return _record(fd, found)[1] if found < len(records) else None


def _record(fd: int, i: int) -> tuple[float, int]:
    at, offset = _RECORD.unpack(os.pread(fd, _SIZE, (i + 1) * _SIZE))
    return at, offset
