"""Splits a stream of bytes into lines, and puts timestamps before lines."""

from __future__ import annotations

from supervisor.core.text.timestamps import to_iso

MAX_LINE = 64 * 1024  # bytes; a longer line is passed on in pieces


class LineSplitter:
    """Splits chunks into lines, and keeps the beginning of a line until its end arrives."""

    __slots__ = ("_overwritten", "_rest")

    def __init__(self, rest: bytes = b"") -> None:
        self._rest = rest
        self._overwritten = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes, without their newlines, none longer than MAX_LINE."""
        lines = (self._rest + chunk).split(b"\n")
        if max(map(len, lines)) > MAX_LINE:
            lines = [piece for line in lines for piece in _pieces(line)]
        self._rest = lines.pop()
        if lines:
            self._overwritten = 0
        return lines

    def overwritten(self) -> list[bytes]:
        """What the unfinished line said before its last carriage returns, once each: a progress that overwrites
        itself is read although its line never ends."""
        end = self._rest.rfind(b"\r")
        if end < self._overwritten:
            return []
        begin, self._overwritten = self._overwritten, end + 1
        return [text for text in self._rest[begin:end].split(b"\r") if text]

    def flush(self) -> list[bytes]:
        """The line that has no newline yet, if any."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


def stamp(chunk: bytes, at: float, *, at_line_start: bool) -> bytes:
    """Put `at` (CLOCK_REALTIME seconds) before each line that begins in `chunk`: ISO 8601, UTC, milliseconds."""
    prefix = f"{to_iso(int(at * 1000) / 1000)} ".encode()  # rounded down, so that no line carries a future time
    ended = chunk.endswith(b"\n")
    stamped = (chunk[:-1] if ended else chunk).replace(b"\n", b"\n" + prefix)
    return (prefix if at_line_start else b"") + stamped + (b"\n" if ended else b"")


def prefix(name: str) -> bytes:
    """What stands before each line of an instance in a log that it shares with others."""
    return f"{name} | ".encode()


def named(lines: bytes, name: str) -> bytes:
    """Put the name of an instance before each of its whole `lines`."""
    before = prefix(name)
    return before + lines[:-1].replace(b"\n", b"\n" + before) + lines[-1:]


def _pieces(line: bytes) -> list[bytes]:
    return [line[i : i + MAX_LINE] for i in range(0, len(line), MAX_LINE)] or [line]
