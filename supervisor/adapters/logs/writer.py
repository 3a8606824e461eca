"""Where one instance's output goes: into a file that is opened when there is something to write, dated and rotated."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Protocol

from supervisor.adapters.logs.lines import stamp
from supervisor.adapters.logs.segment import Segment
from supervisor.adapters.logs.timestamp_spool import TimestampSpool
from supervisor.core.model.spec import LogSpec

_MARK_INTERVAL = 0.1  # seconds between two records of the time index


class WriterHost(Protocol):
    """What a writer needs of the store that it belongs to."""

    def open_segment(self, writer: Writer) -> Segment:
        """The current file; OSError where it cannot be opened."""

    def open_draft(self, writer: Writer) -> TimestampSpool:
        """Where lines wait to be dated; OSError where it cannot be opened."""

    def rotated(self, writer: Writer) -> None:
        """There is one more rotated file."""

    def problem(self, instance: str, message: str) -> None:
        """Tell somebody."""


class Writer:
    """The files of one instance.  `cut` counts lines that were too long to be kept whole."""

    __slots__ = ("_draft", "_fails", "_home", "_marked_at", "_segment", "cut", "instance", "spec")

    def __init__(self, home: WriterHost, instance: str, spec: LogSpec) -> None:
        self.instance, self.spec = instance, spec
        self.cut = 0
        self._home = home
        self._segment: Segment | None = None
        self._draft: TimestampSpool | None = None
        self._marked_at = 0.0
        self._fails = False

    @property
    def touched(self) -> bool:
        """Something was written that nobody has ended yet, or the file is open."""
        return self._segment is not None or self._marked_at > 0.0

    def splice(self, pipe: int, maximum: int, *, read_back: bool) -> tuple[int, bytes]:
        """Move at most `maximum` bytes from `pipe` into the files; how many, and which where `read_back` asks for them.

        (0, b"") when the pipe is empty.  OSError when nothing can be written; the pipe is untouched then.
        """
        at = time.time()
        mark = abs(at - self._marked_at) >= _MARK_INTERVAL
        segment = self._with_room(at, verify=mark)
        start = segment.size
        maximum = min(maximum, segment.limit - start)
        try:
            if self._draft is not None:
                n, chunk = self._splice_dated(pipe, maximum, at, segment, self._draft)
            else:
                n = segment.splice(pipe, maximum)
                chunk = segment.read(start) if read_back else b""
        except BlockingIOError:
            return 0, b""
        if mark:
            self._mark(segment, at, start)
        return n, chunk

    def _splice_dated(
        self, pipe: int, maximum: int, at: float, segment: Segment, draft: TimestampSpool
    ) -> tuple[int, bytes]:
        n = draft.splice(pipe, maximum, at, segment.size)
        chunk = draft.read()[2]
        with suppress(OSError):  # a full disk: it waits in the draft, and who writes next finds out, and tells
            self._date(segment, draft)
        return n, chunk

    def _date(self, segment: Segment, draft: TimestampSpool) -> None:
        """Put what the draft holds where it belongs, or, where others have changed the file, at its end."""
        at, offset, chunk = draft.read()
        if not segment.complete(offset, stamp(chunk, at, at_line_start=segment.at_line_start(offset))):
            segment.append(stamp(chunk, at, at_line_start=segment.at_line_start()))
        draft.clear()

    def recover(self) -> None:
        """Date what an earlier daemon was killed with.  OSError where that cannot be written; it keeps waiting."""
        self._draft = self._draft or self._home.open_draft(self)
        self._settle(self._segment or self._reopen())

    def write(self, text: bytes) -> None:
        """Put `text` on lines of its own: all of it, or nothing and OSError."""
        at = time.time()
        segment = self._with_room(at, verify=True)
        if self.spec.timestamps:
            text = stamp(text, at, at_line_start=True)
        start = segment.size
        segment.append(text if segment.at_line_start() else b"\n" + text)
        self._mark(segment, at, start)

    def finish_line(self) -> None:
        """End an unfinished line; what is written next is dated anew.  OSError where that cannot be written."""
        self._marked_at = 0.0
        segment = self._segment or self._reopen()
        if not segment.at_line_start():
            segment.append(b"\n")

    def unfinished_line(self, maximum: int) -> bytes:
        """The end of the file after its last newline, at most `maximum` bytes.  OSError where it cannot be read."""
        segment = self._segment or self._reopen()
        return segment.read(max(segment.size - maximum, 0)).rpartition(b"\n")[2]

    def close(self) -> None:
        """Give the descriptors back until there is more to write."""
        self._close_segment()
        if self._draft is not None:
            self._draft.close()
            self._draft = None

    def _close_segment(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _reopen(self) -> Segment:
        self._close_segment()
        self._segment = segment = self._home.open_segment(self)
        return segment

    def _with_room(self, at: float, *, verify: bool) -> Segment:
        segment = self._segment or self._reopen()
        if verify and not segment.verify():
            segment = self._reopen()
        if self.spec.timestamps and self._draft is None:
            self._draft = self._home.open_draft(self)
        self._settle(segment)
        while segment.size >= segment.limit:
            self._rotate(segment, at)
        return segment

    def _settle(self, segment: Segment) -> None:
        """Before anything else is written: what waits in the draft, which goes where it is not needed."""
        if self._draft is None:
            return
        if self._draft.pending:
            self._date(segment, self._draft)
        if not self.spec.timestamps:
            self._draft.close()
            self._draft = None

    def _rotate(self, segment: Segment, at: float) -> None:
        maximum = self.spec.max_size
        try:
            whole = segment.rotate(self.spec.keep, at)
        except OSError as error:
            if segment.size >= 2 * maximum:
                raise
            segment.limit = min(segment.size + max(maximum // 8, 1), 2 * maximum)
            if not self._fails:
                self._home.problem(
                    self.instance, f"the log cannot be rotated and exceeds its size limit: {error.strerror}"
                )
            self._fails = True
            return
        if whole is None:
            return
        self._fails = False
        self.cut += not whole
        segment.limit = maximum
        self._home.rotated(self)

    def _mark(self, segment: Segment, at: float, offset: int) -> None:
        self._marked_at = at
        segment.mark(at, offset)
