"""Reads logs by line, time or cursor, across rotated and compressed files, also while they are being written.

A cursor names a byte: the number of its file, which the file keeps through renames, and the offset in it. No daemon is
needed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from supervisor.adapters.logs.files import LogFile, LogFiles
from supervisor.adapters.logs.place import LINK, find
from supervisor.adapters.logs.rotation import log_name

MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines, the oldest first, each with its time of arrival (CLOCK_REALTIME seconds, None if unknown).

    `first_cursor` stands before the first line (for `before`), `last_cursor` behind the last (for `after`). `at_end`:
    there is nothing more in the direction of reading at present.
    """

    lines: list[tuple[float | None, str]]
    first_cursor: str
    last_cursor: str
    at_end: bool


@dataclass(frozen=True, slots=True)
class _Line:
    source: LogFile
    start: int
    end: int  # behind the newline
    text: bytes


def read(
    directory: str,
    instance: str,
    *,
    lines: int | None = None,
    since: float | None = None,
    before: str | None = None,
    after: str | None = None,
    max_bytes: int = MAX_BYTES,
    unfinished: bool = False,
) -> Chunk:
    """Read a part of the log of `instance`, at most `max_bytes` of text.

    With `after`, or with `since` alone: the first `lines` lines from there on. Otherwise the last `lines` lines, up to
    `before` if that is given, and none from before `since`. The last line counts only once it has its newline, unless
    `unfinished` asks for it too. An instance without output has no lines. Raises ValueError for a malformed cursor,
    OSError when a file cannot be read.
    """
    sources = LogFiles(*find(directory, instance))
    try:
        newest = sources[0]
        if newest is None:
            return Chunk([], "0:0", "0:0", True)
        if after is not None or (since is not None and before is None and lines is None):
            i, offset = sources.find(*_parse(after)) if after is not None else sources.find_time(since or 0.0)
            found, at_end = _forward(sources, i, offset, lines, max_bytes, unfinished)
            position = _Line(sources.at(i), offset, offset, b"")
        else:
            i, offset = sources.find(*_parse(before)) if before is not None else (0, newest.end_of_lines(unfinished))
            found, at_end = _backward(sources, i, offset, lines, max_bytes)
            position = _Line(sources.at(i), offset, offset, b"")
        dated = _dated(found)
        if since is not None and after is None:
            kept = [(line, at) for line, at in dated if at is None or at >= since]
            at_end = at_end or len(kept) < len(dated)
            dated = kept
        first, last = (dated[0][0], dated[-1][0]) if dated else (position, position)
        return Chunk(
            [(at, line.text.decode(errors="replace")) for line, at in dated],
            f"{first.source.sequence}:{first.start}",
            f"{last.source.sequence}:{last.end}",
            at_end,
        )
    finally:
        sources.close()


def instances(directory: str) -> list[str]:
    """The instances that have a log in `directory`, or a link there to their log elsewhere, by name.  OSError."""
    end = log_name("")
    entries = (entry.removesuffix(LINK) for entry in os.listdir(directory))  # noqa: PTH208
    return sorted({entry.removesuffix(end) for entry in entries if entry.endswith(end)})


def _forward(
    sources: LogFiles, i: int, offset: int, maximum: int | None, max_bytes: int, unfinished: bool
) -> tuple[list[_Line], bool]:
    found: list[_Line] = []
    while True:
        source = sources.at(i)
        end = source.end_of_lines(unfinished) if i == 0 else source.size
        block = source.read(min(max_bytes, end - offset), offset) if end > offset else b""
        if offset + len(block) < end:  # a line longer than `max_bytes` comes in pieces
            block = block[: block.rfind(b"\n") + 1] or (b"" if found else block)
        found += _split(source, offset, block)
        if maximum is not None and len(found) > maximum:
            return found[:maximum], False
        complete = offset + len(block) >= end
        if not complete or i == 0:
            return found, complete
        max_bytes -= len(block)
        i, offset = i - 1, 0


def _backward(sources: LogFiles, i: int, offset: int, maximum: int | None, max_bytes: int) -> tuple[list[_Line], bool]:
    found: list[_Line] = []
    while True:
        source = sources.at(i)
        start = max(offset - max_bytes, 0)
        block = source.read(offset - start, start)
        if start > 0 and source.read(1, start - 1) != b"\n":
            begun = block.find(b"\n", 0, -1) + 1
            if begun or found:
                cut = begun or len(block)
                start, block = start + cut, block[cut:]
        found[:0] = _split(source, start, block)
        if maximum is not None and len(found) > maximum:
            return found[len(found) - maximum :], False
        if start > 0:
            return found, False
        max_bytes -= len(block)
        older = sources[i + 1]
        if older is None:
            return found, True
        i, offset = i + 1, older.size


def _split(source: LogFile, offset: int, block: bytes) -> list[_Line]:
    found = []
    last_end = offset + len(block)
    for text in block.split(b"\n"):
        end = min(offset + len(text) + 1, last_end)
        if offset < end:
            found.append(_Line(source, offset, end, text))
        offset = end
    return found


def _dated(found: list[_Line]) -> list[tuple[_Line, float | None]]:
    dated: list[tuple[_Line, float | None]] = []
    first = 0
    while first < len(found):
        source = found[first].source
        last = first
        while last + 1 < len(found) and found[last + 1].source is source:
            last += 1
        records = source.times(found[first].start, found[last].start)
        at, following = None, next(records, None)
        for line in found[first : last + 1]:
            while following is not None and following[1] <= line.start:
                at, following = following[0], next(records, None)
            dated.append((line, at))
        first = last + 1
    return dated


def _parse(cursor: str) -> tuple[int, int]:
    sequence, _, offset = cursor.partition(":")
    if not (sequence.isascii() and sequence.isdigit() and offset.isascii() and offset.isdigit()):
        raise ValueError(f"not a cursor: {cursor!r}")
    return int(sequence), int(offset)
