"""Writes one instance's output: opens its log file when there is output, adds timestamps, and rotates it."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from supervisor.adapters.logs.lines import stamp
from supervisor.adapters.logs.place import Place
from supervisor.adapters.logs.segment import Segment
from supervisor.core.model.spec import LogSpec

if TYPE_CHECKING:
    from supervisor.adapters.logs.timestamp_spool import TimestampSpool

WHOLE_PIPE = 1 << 20
"""Bytes in the largest pipe.  After as many, other instances have their turn."""
THROUGH_MEMORY = 1 << 18
"""Bytes that are moved at once through the daemon's memory.  Larger blocks would be fresh memory each time."""
_MARK_INTERVAL = 0.1  # seconds between two records of the time index
_FINE_INTERVAL = 0.001  # the same where two logs are read as one, in order of time


class WriterHost(Protocol):
    """What a writer needs from the store that holds it."""

    def place(self, instance: str) -> Place:
        """Where the log of `instance` is if its spec names no place, or one that cannot be used."""

    def open_segment(self, writer: Writer) -> Segment:
        """Open the current file. Raises OSError when it cannot be opened."""

    def open_spool(self, writer: Writer) -> TimestampSpool:
        """Open the spool for lines without timestamps. Raises OSError when it cannot be opened."""

    def rotated(self, writer: Writer) -> None:
        """Called when a file was rotated."""

    def problem(self, instance: str, message: str) -> None:
        """Report a problem of `instance`."""


class Writer:
    """The files of one instance. `cut` counts lines that were too long to be kept whole."""

    __slots__ = ("_fails", "_host", "_marked_at", "_place", "_segment", "_spool", "cut", "instance", "sequence", "spec")

    def __init__(self, host: WriterHost, instance: str, spec: LogSpec, place: Place | None) -> None:
        """`place`: where the log is, as the spec says; None: where the host keeps logs."""
        self.instance, self.spec, self._place = instance, spec, place
        self.cut = 0
        self.sequence = 0  # of the file that was written last
        self._host = host
        self._segment: Segment | None = None
        self._spool: TimestampSpool | None = None
        self._marked_at = 0.0
        self._fails = False

    @property
    def place(self) -> Place:
        """Where the log is."""
        return self._place or self._host.place(self.instance)

    @property
    def touched(self) -> bool:
        """Whether the file is open or was written to since the last `finish_line`."""
        return self._segment is not None or self._marked_at > 0.0

    @property
    def step(self) -> int:
        """How many bytes should be moved at once at most."""
        return THROUGH_MEMORY if self.spec.timestamps else WHOLE_PIPE

    @property
    def full(self) -> bool:
        """The file has reached its size; what is written next begins another one."""
        return self._segment is not None and self._segment.size >= self._segment.limit

    def splice(self, pipe: int, maximum: int, *, read_back: bool) -> tuple[int, bytes]:
        """Move at most `maximum` bytes from `pipe` into the files; returns their number, and the bytes if `read_back`.

        (0, b"") when the pipe is empty. Raises OSError, with the pipe untouched, when nothing can be written.
        """
        at = time.time()
        mark = abs(at - self._marked_at) >= (_MARK_INTERVAL if self.spec.stderr is None else _FINE_INTERVAL)
        segment = self.with_room(at, verify=mark or self.spec.path is not None)
        start = segment.size
        maximum = min(maximum, segment.limit - start)
        try:
            if self._spool is not None:
                n, chunk = self._splice_with_time(pipe, maximum, at, segment, self._spool)
            else:
                n = segment.splice(pipe, maximum)
                chunk = segment.read(start) if read_back else b""
        except BlockingIOError:
            return 0, b""
        if mark or start == 0:
            self.mark(segment, at, start)
        return n, chunk

    def _splice_with_time(
        self, pipe: int, maximum: int, at: float, segment: Segment, spool: TimestampSpool
    ) -> tuple[int, bytes]:
        n = spool.splice(pipe, maximum, at, segment.size)
        chunk = spool.read()[2]
        with suppress(OSError):  # a full disk: the bytes stay in the spool, and the next write fails and reports it
            self._date(segment, spool)
        return n, chunk

    def _date(self, segment: Segment, spool: TimestampSpool) -> None:
        """Write what the spool holds at its place, or at the end if others have changed the file."""
        at, offset, chunk = spool.read()
        if not segment.complete(offset, stamp(chunk, at, at_line_start=segment.at_line_start(offset))):
            segment.append(stamp(chunk, at, at_line_start=segment.at_line_start()))
        spool.clear()

    def recover(self) -> None:
        """Date the output that a killed daemon left in the spool. Raises OSError when it cannot be written; it then
        stays.
        """
        self._spool = self._spool or self._host.open_spool(self)
        self._empty_spool(self._segment or self._reopen())

    def write(self, text: bytes) -> None:
        """Put `text` on lines of its own; if that fails, write nothing and raise OSError."""
        at = time.time()
        segment = self.with_room(at, verify=True)
        if self.spec.timestamps:
            text = stamp(text, at, at_line_start=True)
        start = segment.size
        segment.append(text if segment.at_line_start() else b"\n" + text)
        self.mark(segment, at, start)

    def finish_line(self) -> None:
        """End an unfinished line; what is written next gets its own time. Raises OSError when it cannot be written."""
        self._marked_at = 0.0
        segment = self._segment or self._reopen()
        if not segment.at_line_start():
            segment.append(b"\n")

    def unfinished_line(self, maximum: int) -> bytes:
        """The end of the file after its last newline, at most `maximum` bytes. Raises OSError."""
        segment = self._segment or self._reopen()
        return segment.read(max(segment.size - maximum, 0)).rpartition(b"\n")[2]

    def settle(self) -> None:
        """Write what waits in the spool, before the log moves to another place. Raises OSError."""
        if self._spool is not None and self._spool.pending:
            self._date(self._segment or self._reopen(), self._spool)

    def close(self) -> None:
        """Close the files until there is more to write."""
        self._close_segment()
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _close_segment(self) -> None:
        if self._segment is not None:
            self.sequence = self._segment.sequence
            self._segment.close()
            self._segment = None

    def _reopen(self) -> Segment:
        self._close_segment()
        self._segment = segment = self._host.open_segment(self)
        return segment

    def with_room(self, at: float, *, verify: bool) -> Segment:
        """The open file, with room for more. `verify`: it is opened again where another program has moved it."""
        segment = self._segment or self._reopen()
        if verify and not segment.verify():
            segment = self._reopen()
        if self.spec.timestamps and self._spool is None:
            self._spool = self._host.open_spool(self)
        self._empty_spool(segment)
        while segment.size >= segment.limit:
            self._rotate(segment, at)
        return segment

    def _empty_spool(self, segment: Segment) -> None:
        """Write what waits in the spool, before anything else; close the spool if the spec no longer needs it."""
        if self._spool is None:
            return
        if self._spool.pending:
            self._date(segment, self._spool)
        if not self.spec.timestamps:
            self._spool.close()
            self._spool = None

    def _rotate(self, segment: Segment, at: float) -> None:
        maximum = self.spec.max_size
        try:
            whole = segment.rotate(self.spec.keep, at)
        except OSError as error:
            if segment.size >= 2 * maximum:
                raise
            segment.limit = min(segment.size + max(maximum // 8, 1), 2 * maximum)
            if not self._fails:
                self._host.problem(
                    self.instance, f"the log cannot be rotated and exceeds its size limit: {error.strerror}"
                )
            self._fails = True
            return
        if whole is None:
            return
        self._fails = False
        self.cut += not whole
        segment.limit = maximum
        self._host.rotated(self)

    def mark(self, segment: Segment, at: float, offset: int) -> None:
        """Record in the index that the bytes from `offset` on arrived at `at`."""
        self._marked_at = at
        segment.mark(at, offset)
