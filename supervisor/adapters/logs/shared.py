"""A log that several streams write: each line is whole and has the name of its instance in front of it.

The file itself is written by one Writer, so rotation, owner, mode and index are those of any log. Each stream has a
SharedWriter in the place of its own Writer.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Protocol, TypeAlias

from supervisor.adapters.logs.lines import MAX_LINE, named, stamp
from supervisor.adapters.logs.part import Part
from supervisor.adapters.logs.place import Place
from supervisor.adapters.logs.segment import Segment
from supervisor.adapters.logs.writer import Writer
from supervisor.core.model.output_names import instance_of
from supervisor.core.model.spec import LogSpec

_STEP = 1 << 15  # bytes moved at once: with an unfinished line before them, and names, a reader has them in one page
_LEAST = 1 << 12  # bytes moved although the file has less room: its last lines may be longer than the rest of it


class PartHost(Protocol):
    """What a shared writer needs from the store that holds it."""

    def open_part(self, writer: SharedWriter) -> Part:
        """Open the output that is not in the log yet. Raises OSError when it cannot be opened."""


class SharedLog:
    """The file, and the names of the streams that write it."""

    __slots__ = ("members", "writer")

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.members: set[str] = set()


class SharedWriter:
    """Writes the lines of one stream into a log of several; to the stream it is like a Writer of its own."""

    __slots__ = ("_host", "_part", "cut", "instance", "log", "spec", "touched")

    def __init__(self, host: PartHost, instance: str, spec: LogSpec, log: SharedLog) -> None:
        self.instance, self.spec, self.log = instance, spec, log
        self.cut = 0
        self.touched = False
        """A line is unfinished, or could not be written yet."""
        self._host = host
        self._part: Part | None = None

    @property
    def place(self) -> Place:
        return self.log.writer.place

    @property
    def sequence(self) -> int:
        return self.log.writer.sequence

    @property
    def step(self) -> int:
        """See Writer.step."""
        return _STEP

    @property
    def full(self) -> bool:
        """See Writer.full."""
        return self.log.writer.full

    def splice(self, pipe: int, maximum: int, *, read_back: bool) -> tuple[int, bytes]:
        """See Writer.splice."""
        del read_back  # they are read in any case
        at = time.time()
        segment = self.log.writer.with_room(at, verify=True)
        part = self._opened()
        if self.touched:
            self._put(segment, part)  # what could not be written before
        part.note(at, segment.size)
        try:
            n = part.splice(pipe, min(maximum, self.step, max(segment.limit - segment.size, _LEAST)))
        except BlockingIOError:
            return 0, b""
        self.touched = True
        chunk = part.read(n)
        if b"\n" in chunk or part.pending >= MAX_LINE:
            with suppress(OSError):  # a full disk: the lines wait, and the next write fails and reports it
                self._put(segment, part)
        return n, chunk

    def write(self, text: bytes) -> None:
        """See Writer.write."""
        segment = self.log.writer.with_room(time.time(), verify=True)
        part = self._opened()
        text = b"\n" + text if _is_begun(part) else text
        part.note(time.time(), segment.size)
        part.append(text)
        try:
            self._put(segment, part)
        except OSError:
            part.withdraw(len(text))
            raise

    def finish_line(self) -> None:
        """See Writer.finish_line."""
        if not self.touched:
            return
        segment = self.log.writer.with_room(time.time(), verify=True)
        part = self._opened()
        if _is_begun(part):
            part.append(b"\n")
        self._put(segment, part)

    def unfinished_line(self, maximum: int) -> bytes:
        """See Writer.unfinished_line."""
        return self._opened().read(maximum).rpartition(b"\n")[2] if self.touched else b""

    def settle(self) -> None:
        """See Writer.settle."""
        self.finish_line()

    def recover(self) -> None:
        """Write the lines that a killed daemon left. Raises OSError when they cannot be written; they then stay."""
        part = self._opened()
        self.touched = part.pending > 0
        self._put(self.log.writer.with_room(time.time(), verify=True), part)

    def close(self) -> None:
        """See Writer.close."""
        if self._part is not None:
            self._part.close()
            self._part = None

    def left_at(self) -> float:
        """When the output came that a killed daemon left. Raises OSError."""
        return self._opened().at

    def _opened(self) -> Part:
        if self._part is None:
            self._part = self._host.open_part(self)
        return self._part

    def _put(self, segment: Segment, part: Part) -> None:
        """Write the whole lines of `part`: at their place, or at the end if others have changed the file."""
        text = part.read()
        end = text.rfind(b"\n") + 1
        if end or len(text) >= MAX_LINE:
            whole = text[:end] or text
            block, offset = self._formed(whole, part.at), part.offset
            if not segment.complete(offset, _on_its_own_line(block, segment, offset)):
                offset = segment.size
                part.note(part.at, offset)
                segment.append(_on_its_own_line(block, segment, offset))
            self.log.writer.mark(segment, part.at, offset)
            part.done(len(whole))
        self.touched = part.pending > 0

    def _formed(self, lines: bytes, at: float) -> bytes:
        if not lines.endswith(b"\n"):
            lines += b"\n"
        return named(
            stamp(lines, at, at_line_start=True) if self.spec.timestamps else lines, instance_of(self.instance)
        )


AnyWriter: TypeAlias = Writer | SharedWriter


def _is_begun(part: Part) -> bool:
    """The last line has no end yet."""
    return part.read(1) not in (b"", b"\n")


def _on_its_own_line(block: bytes, segment: Segment, offset: int) -> bytes:
    return block if segment.at_line_start(offset) else b"\n" + block
