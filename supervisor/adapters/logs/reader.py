"""Reads logs by line, time or cursor, across rotated and compressed files, also while they are being written.

A cursor names a byte: the number of its file, which the file keeps through renames, and the offset in it. No daemon is
needed.  Of a log that several instances share, the lines of one are read, without its name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from supervisor.adapters.logs.files import LogFile, LogFiles
from supervisor.adapters.logs.lines import prefix
from supervisor.adapters.logs.place import LINK, SHARED_LINK, find, is_shared
from supervisor.adapters.logs.rotation import log_name
from supervisor.core.model.output_names import instance_of, stderr_of

if TYPE_CHECKING:
    from supervisor.core.model.log_documents import LogLine, Logs

MAX_BYTES = 256 * 1024
STDERR = "stderr"
"""The `stream` that means the standard error alone."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines, the oldest first, each with its time of arrival (CLOCK_REALTIME seconds, None if unknown).

    `first_cursor` stands before the first line (for `before`), `last_cursor` behind the last (for `after`). `at_end`:
    there is nothing more in the direction of reading at present. Elsewhere a chunk of a shared log may have no line: it
    is behind those of others. `of_stderr`: the indexes of lines from a log of its own for the standard error.
    """

    lines: list[tuple[float | None, str]]
    first_cursor: str
    last_cursor: str
    at_end: bool
    of_stderr: frozenset[int] = frozenset()

    def page(self, instance: str) -> Logs:
        """As the API gives it."""
        lines: list[LogLine] = [{"at": at, "text": text} for at, text in self.lines]
        for i in self.of_stderr:
            lines[i]["stream"] = STDERR
        return {
            "instance": instance,
            "lines": lines,
            "first": self.first_cursor,
            "last": self.last_cursor,
            "at_end": self.at_end,
        }


@dataclass(frozen=True, slots=True)
class _Line:
    source: LogFile
    start: int
    end: int  # behind the newline
    text: bytes

    @property
    def begin(self) -> str:
        """The cursor before it."""
        return f"{self.source.sequence}:{self.start}"

    @property
    def behind(self) -> str:
        """The cursor behind it."""
        return f"{self.source.sequence}:{self.end}"


class _Part(NamedTuple):
    """What was read of one log.  `place`: the cursor where reading began or, in a shared log, where it ended."""

    dated: list[tuple[_Line, float | None]]
    place: str
    at_end: bool


def last_words(directory: str, instance: str, since: float | None, until: float | None, lines: int = 5) -> list[str]:
    """The last lines of its output from one time to another (seconds since the epoch), oldest first; none where it
    cannot be read."""
    try:
        end = None if until is None else read(directory, instance, since=until).first_cursor
        chunk = read(directory, instance, since=since, before=end, lines=lines)
    except OSError:
        return []
    return [text for _, text in chunk.lines]


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
    stream: str | None = None,
) -> Chunk:
    """Read a part of the log of `instance`, at most `max_bytes` of text.

    With `after`, or with `since` alone: the first `lines` lines from there on. Otherwise the last `lines` lines, up to
    `before` if that is given, and none from before `since`. The last line counts only once it has its newline, unless
    `unfinished` asks for it too. An instance without output has no lines. Raises ValueError for a malformed cursor,
    OSError when a file cannot be read.

    A standard error that has a log of its own is in it by time; its part of a cursor stands behind a comma. `stream`
    ("stdout", "stderr") asks for one log alone.
    """
    names = [instance, stderr_of(instance)]
    if stream is not None:
        names = names[1:] if stream == STDERR else names[:1]
    forward = after is not None or (since is not None and before is None and lines is None)
    logs = [LogFiles(*find(directory, name)) for name in names]
    own = [prefix(instance) if is_shared(directory, name) else b"" for name in names]
    try:
        if len(logs) > 1 and logs[1][0] is None:
            logs.pop().close()
            own.pop()
        cursor = after if after is not None else before
        given = [None] * len(logs) if cursor is None else _parts(cursor, len(logs))
        parts = [
            _read_one(files, name, place, lines, since, forward, max_bytes // len(logs), unfinished)
            for files, name, place in zip(logs, own, given, strict=True)
        ]
    finally:
        for files in logs:
            files.close()
    if len(parts) > 1:
        return _merged(parts, lines, forward=forward)
    part = parts[0]
    lines_of_stderr = frozenset(range(len(part.dated))) if stream == STDERR else frozenset[int]()
    return Chunk(
        [(at, line.text.decode(errors="replace")) for line, at in part.dated],
        part.dated[0][0].begin if part.dated else part.place,
        part.dated[-1][0].behind if part.dated else part.place,
        part.at_end,
        lines_of_stderr,
    )


def _read_one(
    sources: LogFiles,
    own: bytes,
    cursor: tuple[int, int] | None,
    lines: int | None,
    since: float | None,
    forward: bool,
    max_bytes: int,
    unfinished: bool,
) -> _Part:
    newest = sources[0]
    if newest is None:
        return _Part([], "0:0", True)
    most = None if own else lines
    if forward:
        i, offset = sources.find(*cursor) if cursor is not None else sources.find_time(since or 0.0)
        found, at_end = _forward(sources, i, offset, most, max_bytes, unfinished)
    else:
        i, offset = sources.find(*cursor) if cursor is not None else (0, newest.end_of_lines(unfinished))
        found, at_end = _backward(sources, i, offset, most, max_bytes)
    place = f"{sources.at(i).sequence}:{offset}"
    if own and found:
        place = found[-1].behind if forward else found[0].begin
        found = [replace(line, text=line.text.removeprefix(own)) for line in found if line.text.startswith(own)]
        if lines is not None and len(found) > lines:
            found, at_end = found[:lines] if forward else found[len(found) - lines :], False
    dated = _dated(found)
    if since is not None and not (forward and cursor is not None):
        kept = [(line, at) for line, at in dated if at is None or at >= since]
        at_end = at_end or len(kept) < len(dated)
        dated = kept
    return _Part(dated, place, at_end)


def _merged(parts: list[_Part], lines: int | None, *, forward: bool) -> Chunk:
    """The lines of both logs by time, as far as each was read: beyond that the other may have lines between them."""
    found = []
    for number, part in enumerate(parts):
        latest = 0.0
        for line, at in part.dated:
            latest = max(latest, at or 0.0)  # lines of one log keep their order
            found.append((latest, number, line, at))
    found.sort(key=lambda entry: entry[:2])
    begin, end = 0, len(found)
    for number, part in enumerate(parts):
        if not part.at_end and part.dated:
            own = [i for i, entry in enumerate(found) if entry[1] == number]
            begin, end = (0, min(end, own[-1] + 1)) if forward else (max(begin, own[0]), end)
    if lines is not None and end - begin > lines:
        begin, end = (begin, begin + lines) if forward else (end - lines, end)
    kept = found[begin:end]
    of_each = [[line for _, of, line, _ in kept if of == number] for number in range(len(parts))]
    return Chunk(
        [(at, line.text.decode(errors="replace")) for _, _, line, at in kept],
        ",".join(of[0].begin if of else part.place for of, part in zip(of_each, parts, strict=True)),
        ",".join(of[-1].behind if of else part.place for of, part in zip(of_each, parts, strict=True)),
        len(kept) == len(found) and all(part.at_end for part in parts),
        frozenset(i for i, entry in enumerate(kept) if entry[1] == 1),
    )


def instances(directory: str) -> list[str]:
    """The instances that have a log in `directory`, or a link there to their log elsewhere, by name.  OSError."""
    end = log_name("")
    listed = os.listdir(directory)  # noqa: PTH208
    entries = (entry.removesuffix(LINK).removesuffix(SHARED_LINK) for entry in listed)
    return sorted({instance_of(entry.removesuffix(end)) for entry in entries if entry.endswith(end)})


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


def _parts(cursor: str, count: int) -> list[tuple[int, int]]:
    """The place in each of `count` logs; a log that began after the cursor was given is read from its beginning."""
    first, comma, second = cursor.partition(",")
    places = [_parse(first), _parse(second) if comma else (0, 0)]
    return places[:count]


def _parse(cursor: str) -> tuple[int, int]:
    sequence, _, offset = cursor.partition(":")
    if not (sequence.isascii() and sequence.isdigit() and offset.isascii() and offset.isdigit()):
        raise ValueError(f"not a cursor: {cursor!r}")
    return int(sequence), int(offset)
