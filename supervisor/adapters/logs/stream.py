"""One instance's output on its way from the pipe to the log files and to subscribers.

The file comes first: bytes are moved there inside the kernel, and are read back from the page cache only if there are
subscribers. The pipe is emptied even when the disk fails, so that the child never blocks.
"""

from __future__ import annotations

import fcntl
import os
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from supervisor.adapters.logs.lines import MAX_LINE, LineSplitter
from supervisor.adapters.logs.writer import THROUGH_MEMORY, WHOLE_PIPE

if TYPE_CHECKING:
    from supervisor.adapters.logs.shared import AnyWriter

Lines = Callable[[list[bytes]], None]

# bytes: the kernel's default, and the size for a pipe that is often full
_PIPE_SIZE, _BUSY_PIPE_SIZE = 1 << 16, WHOLE_PIPE
_FULL_BEFORE_GROWTH = 4
_LONGEST_COLLECTION, _SHORTEST_COLLECTION = 0.002, 0.0001  # seconds
_FOLLOWING = 8  # pieces, each at most _LONGEST_COLLECTION after the one before; then the next ones are collected
_ENOUGH = 0.4  # the share of a pipe that a collection should fill
_RETRY, _LONGEST_RETRY = 1.0, 60.0  # seconds between attempts to write again; longer when losses follow each other
_IN_A_ROW = 10.0  # a loss follows another if that ended less than this many of its intervals ago


class _Loss:
    """Output that is being dropped because it cannot be written."""

    __slots__ = ("amount", "ended_at", "interval", "mid_line", "reason", "retry_at")

    def __init__(self, error: OSError, last: _Loss | None) -> None:
        now = time.monotonic()
        self.reason = error.strerror or str(error)
        self.amount = 0
        self.mid_line = False
        self.interval: float = _RETRY
        if last is not None and now - last.ended_at < _IN_A_ROW * last.interval:
            self.interval = min(last.interval * 2, _LONGEST_RETRY)
        self.retry_at = now + self.interval
        self.ended_at: float = now


class StreamHost(Protocol):
    """What a stream needs from the store that holds it."""

    def open_for_child(self, stream: Stream) -> int:
        """Open a blocking descriptor of the stream's pipe."""

    def collect(self, stream: Stream, until: float) -> None:
        """Call `stream.collected` at that time (CLOCK_MONOTONIC seconds), and the stream itself no more."""

    def listen(self, stream: Stream) -> None:
        """Call the stream itself again."""

    def tail(self, instance: str, n: int) -> list[str]:
        """The last `n` lines in the log files of `instance`."""

    def problem(self, instance: str, message: str) -> None:
        """Report a problem of `instance`."""


class Stream:
    """Standard output and error of one instance, through all its incarnations.

    `fd` is the daemon's end of the pipe. `on_output()` is called whenever output arrives. `written` counts the bytes
    of output that are in the log, `lost` those that could not be kept; a loss is reported when it begins and when it
    ends. `errors`: the stream of the standard error, where that has a log of its own.
    """

    __slots__ = (
        "_following",
        "_full",
        "_host",
        "_last_loss",
        "_loss",
        "_of_progress",
        "_pipe_size",
        "_read_at",
        "_splitter",
        "_subscribers",
        "errors",
        "fd",
        "lost",
        "on_output",
        "writer",
        "written",
    )

    def __init__(self, host: StreamHost, fd: int, writer: AnyWriter) -> None:
        self.writer = writer
        self._host = host
        self.read_from(fd)
        self.on_output: Callable[[], None] | None = None
        self.written = self.lost = 0
        self.errors: Stream | None = None
        self._read_at, self._following = 0.0, 0
        self._loss: _Loss | None = None
        self._last_loss: _Loss | None = None
        self._subscribers: tuple[Lines, ...] = ()
        self._of_progress: tuple[Lines, ...] = ()
        self._splitter: LineSplitter | None = None

    def read_from(self, fd: int) -> None:
        """Use this pipe from now on.  It is small at first, unless an earlier daemon has made it larger, and smaller
        still where the user's share of pipe buffers is used up."""
        self.fd = fd
        size = fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
        self._pipe_size = _PIPE_SIZE if size == _PIPE_SIZE else size  # one object for all
        self._full = 0

    def child_fd(self) -> int:
        """A blocking descriptor for a child's stdout, and its stderr unless that is apart. The caller closes it after
        the spawn.

        Raises OperationFailed when the pipe cannot be opened.
        """
        return self._host.open_for_child(self)

    def join(self, errors: Stream) -> None:
        """Let what `errors` brings, a standard error that has a log of its own, be heard here."""
        self.errors = errors
        errors.subscribe(self._deliver)
        errors._of_progress += (self._deliver_progress,)
        errors.on_output = self._heard

    def totals(self) -> tuple[int, int]:
        """`written` and `lost` of both."""
        errors = self.errors
        return (self.written, self.lost) if errors is None else (self.written + errors.written, self.lost + errors.lost)

    def subscribe(self, callback: Lines, *, progress: bool = False) -> Callable[[], None]:
        """Call `callback(lines)` with the lines that are completed from now on. Returns a function that ends this.

        With `progress` it also gets what an unfinished line overwrites by carriage returns.
        """
        if self._splitter is None:
            begun = b""
            with suppress(OSError):
                begun = self.writer.unfinished_line(MAX_LINE)
            self._splitter = LineSplitter(begun)
        self._subscribers += (callback,)
        if progress:
            self._of_progress += (callback,)

        def unsubscribe() -> None:
            self._of_progress = tuple(s for s in self._of_progress if s is not callback)
            self._subscribers = tuple(s for s in self._subscribers if s is not callback)
            if not self._subscribers:
                self._splitter = None

        return unsubscribe

    def tail(self, n: int) -> list[str]:
        """The last `n` lines, including an unfinished one; at most 256 KiB."""
        self.drain()
        return self._host.tail(self.writer.instance, n)

    def drain(self) -> None:
        """Read all that is in the pipe at this moment, so that output written before an exit is not lost.

        An empty pipe costs one ioctl: no file is opened for it on the restart path.
        """
        fcntl.ioctl(self.fd, termios.FIONREAD, waiting := bytearray(4))
        if any(waiting):
            self._pump(1)
        if self.errors is not None:
            self.errors.drain()

    def finish_line(self) -> None:
        """End an unfinished line, when no process is left that could continue it."""
        self.drain()
        if self._splitter is not None:
            self._deliver(self._splitter.flush())
        if self._loss is None and self.writer.touched:
            with suppress(OSError):  # the next write fails too, and reports it
                self.writer.finish_line()
        if self.errors is not None:
            self.errors.finish_line()

    def __call__(self, _events: int) -> None:
        """The pipe is readable.  The event loop calls the stream itself: a bound method would take 64 bytes more.

        A program that writes without a pause would wake the daemon for each of its writes, or make it wait for the lock
        of the pipe, and both cost several times what moving the bytes does.  So what follows quickly is collected in
        the pipe until there is enough."""
        moved, took = self._look()
        if took > _LONGEST_COLLECTION:
            self._following = 0
            return
        self._following += 1
        if self._following >= _FOLLOWING:
            self._collect(moved, took)

    def collected(self) -> None:
        """Take what came, and collect again, until nothing comes or the pipe fills too fast for that."""
        collecting = False
        try:
            collecting = self._collect(*self._look())
        finally:  # whatever a subscriber raises: nothing else would read the pipe again
            if not collecting:
                self._following = 0
                self._host.listen(self)

    def _look(self) -> tuple[int, float]:
        """Move what is in the pipe: the number of bytes, and the seconds since the last look."""
        before, self._read_at = self._read_at, time.monotonic()
        moved = self._pump(self._step)
        if moved >= self._enough and self._pipe_size < _BUSY_PIPE_SIZE:
            self._full += 1
            if self._full == _FULL_BEFORE_GROWTH:
                with suppress(OSError):  # EPERM: the user's share of pipe buffers is used up
                    self._pipe_size = fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, _BUSY_PIPE_SIZE)
                    self._full = 0
        return moved, self._read_at - before

    def _collect(self, moved: int, took: float) -> bool:
        """Collect for as long as it takes until enough has come, at the rate of the last look.  False: nothing came, or
        that time is too short for a timer."""
        seconds = min(took * self._enough / moved, _LONGEST_COLLECTION) if moved else 0.0
        if seconds < _SHORTEST_COLLECTION:
            return False
        self._host.collect(self, self._read_at + seconds)
        return True

    @property
    def _enough(self) -> int:
        """Bytes that a collection should bring, and that the pipe holds without making the program wait."""
        return int(self._pipe_size * _ENOUGH)

    @property
    def _step(self) -> int:
        """Bytes that one call moves at most."""
        step = self.writer.step
        return step if self._loss is None and self._splitter is None else min(step, THROUGH_MEMORY)

    def _pump(self, worth: int) -> int:
        """Move bytes until the pipe gives less than `worth`, or other instances should have their turn; returns their
        number.  Where the log file had no room for `worth`, the pipe may have more."""
        moved = 0
        while moved < WHOLE_PIPE:
            n = self._take() if self._loss is None else self._drop(self._loss)
            moved += n
            if n < worth and not (n and self.writer.full):
                break
        if moved:
            self._heard()
        return moved

    def _heard(self) -> None:
        if self.on_output is not None:
            self.on_output()

    def _take(self) -> int:
        try:
            n, chunk = self.writer.splice(self.fd, self._step, read_back=self._splitter is not None)
        except OSError as error:
            return self._begin_loss(error)
        self.written += n
        self._publish(chunk)
        return n

    def _begin_loss(self, error: OSError) -> int:
        loss = _Loss(error, self._last_loss)
        n = self._drop(loss)
        if n:
            self._loss = loss
            self._host.problem(
                self.writer.instance, f"output is being dropped, because the log cannot be written: {loss.reason}"
            )
        return n

    def _drop(self, loss: _Loss) -> int:
        """Empty the pipe without writing, and try to write again at intervals. Subscribers still get the lines."""
        try:
            chunk = os.read(self.fd, THROUGH_MEMORY)
        except BlockingIOError:
            return 0
        now = time.monotonic()
        if now >= loss.retry_at:
            loss.retry_at = now + loss.interval
            if self._end_loss(loss, chunk):
                self._publish(chunk)
                return len(chunk)
        loss.amount += len(chunk)
        self.lost += len(chunk)
        loss.mid_line = not chunk.endswith(b"\n")
        self._publish(chunk)
        return len(chunk)

    def _end_loss(self, loss: _Loss, chunk: bytes) -> bool:
        """Write again: a note about the gap, then `chunk` from its first whole line on. False when that still fails."""
        skipped = chunk.find(b"\n") + 1 if loss.mid_line else 0
        amount = loss.amount + skipped
        note = f"[supervisor: {amount} bytes of output lost here: {loss.reason}]\n".encode()
        try:
            self.writer.write(note + chunk[skipped:])
        except OSError:
            return False
        loss.ended_at = time.monotonic()
        self._loss, self._last_loss = None, loss
        self.lost += skipped
        self.written += len(chunk) - skipped
        self._host.problem(
            self.writer.instance, f"output is written again; {amount} bytes of it were lost: {loss.reason}"
        )
        return True

    def _publish(self, chunk: bytes) -> None:
        if chunk and self._splitter is not None:
            self._deliver(self._splitter.feed(chunk))
        if self._of_progress and self._splitter is not None and (texts := self._splitter.overwritten()):
            self._deliver_progress(texts)

    def _deliver_progress(self, texts: list[bytes]) -> None:
        for callback in self._of_progress:
            callback(texts)

    def _deliver(self, lines: list[bytes]) -> None:
        if lines:
            for callback in self._subscribers:
                callback(lines)
