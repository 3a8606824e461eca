"""Prints the lines of services on the daemon's stdout, for containers and journald.

Nothing waits for the reader of stdout: lines are kept until there is room, up to a limit, and left out beyond it. The
log of each service has them in any case. A line is written whole or not at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from supervisor.adapters.eventloop.loop import EPOLLOUT, EventLoop, Timer
from supervisor.adapters.eventloop.outlet import Outlet

_MOST_KEPT = 4 << 20  # bytes that wait for room
_PIECE = 1 << 16  # bytes of one write
_RETRY = 1.0  # seconds from an error to the next attempt
_QUIET, _LONGEST_QUIET = 10.0, 600.0  # seconds without a loss after which it is over; longer when losses recur


class Console:
    """The daemon's stdout, opened when the first line is printed. `on_problem(message)` tells when lines are left out,
    and when that is over."""

    def __init__(self, loop: EventLoop, outlet: Callable[[], Outlet], on_problem: Callable[[str], None]) -> None:
        self._loop, self._open, self._on_problem = loop, outlet, on_problem
        self._outlet: Outlet | None = None
        self._queue: deque[bytes] = deque()
        self._kept = 0  # bytes in the queue
        self._written = 0  # bytes of its first block
        self._full = False  # waiting for room
        self._torn = False  # a line was begun and could not be ended
        self._retry_at: float | None = None  # None: the last attempt has succeeded
        self._lost = 0  # lines, since the loss was told
        self._lost_at = 0.0
        self._quiet = _QUIET
        self._over_at = 0.0
        self._timer: Timer | None = None

    def printer(self, instance: str, *, raw: bool) -> Callable[[list[bytes]], None]:
        """A function that prints lines of `instance`, each behind its name unless `raw`."""
        prefix = b"" if raw else f"{instance} | ".encode()
        between = b"\n" + prefix
        return lambda lines: self.write(prefix + between.join(lines) + b"\n")

    def write(self, block: bytes) -> None:
        """Print whole lines, now or when there is room."""
        if self._retry_at is not None and self._loop.now() < self._retry_at:
            self._lose(block)
            return
        room = _MOST_KEPT - self._kept
        if len(block) > room:
            end = block.rfind(b"\n", 0, max(room, 0)) + 1
            self._lose(block[end:], "is not read fast enough")
            block = block[:end]
        if block:
            self._queue.append(block)
            self._kept += len(block)
            if not self._full:
                self._flush()

    def close(self, wait: float) -> None:
        """Print what is left; a reader that takes nothing has `wait` seconds."""
        deadline = self._loop.now() + (wait if not self._lost else 0.0)
        while self._queue and self._outlet is not None:
            if not self._outlet.wait(max(deadline - self._loop.now(), 0.0)):
                break
            self._flush()
        if self._outlet is not None:
            self._shut(max(deadline - self._loop.now(), 0.0))

    def _flush(self, _events: int = 0) -> None:
        try:
            if self._outlet is None:
                self._outlet = self._open()
            if self._torn:
                self._outlet.write(b"\n")
                self._torn = False
            while self._queue:
                block = self._queue[0]
                self._written += self._outlet.write(memoryview(block)[self._written : self._written + _PIECE])
                if self._written == len(block):
                    self._queue.popleft()
                    self._kept -= len(block)
                    self._written = 0
        except BlockingIOError:
            self._wait_for_room()
            return
        except OSError as error:
            self._fail(error)
            return
        self._retry_at = None
        if self._full and self._outlet is not None:
            self._full = False
            self._loop.unregister(self._outlet.fileno())
        if self._lost:
            self._perhaps_over()

    def _wait_for_room(self) -> None:
        if not self._full and self._outlet is not None:
            self._full = True
            self._loop.register(self._outlet.fileno(), self._flush, EPOLLOUT)

    def _fail(self, error: OSError) -> None:
        """Leave out what waits, and open stdout again at the next attempt."""
        self._retry_at = self._loop.now() + _RETRY
        waiting = b"".join(self._queue)
        self._torn = self._torn or (self._written > 0 and waiting[self._written - 1 : self._written] != b"\n")
        rest = waiting[waiting.rfind(b"\n", 0, self._written) + 1 :]
        self._queue.clear()
        self._kept = self._written = 0
        if self._outlet is not None:
            self._shut(0.0)
        self._lose(rest, f"cannot be written ({error.strerror})")

    def _shut(self, wait: float) -> None:
        assert self._outlet is not None
        self._loop.unregister(self._outlet.fileno())
        self._outlet.close(wait)
        self._outlet, self._full = None, False

    def _lose(self, block: bytes, reason: str = "") -> None:
        now = self._loop.now()
        if not self._lost:
            recurs = self._over_at > 0.0 and now - self._over_at < self._quiet
            self._quiet = min(self._quiet * 2, _LONGEST_QUIET) if recurs else _QUIET
            self._on_problem(f"stdout {reason}: lines of services are left out there, their logs have them")
        self._lost += block.count(b"\n")
        self._lost_at = now

    def _perhaps_over(self) -> None:
        """Tell that the loss is over, once nothing was left out for a while."""
        if not self._lost or self._queue or self._retry_at is not None:
            return  # asked again when all that waits is printed
        now = self._loop.now()
        if now < self._lost_at + self._quiet:
            self._timer = self._timer or self._loop.call_at(self._lost_at + self._quiet, self._review)
            return
        self._on_problem(f"stdout is written again; {self._lost} lines of services were left out there")
        self._lost, self._over_at = 0, now

    def _review(self) -> None:
        self._timer = None
        self._perhaps_over()
