"""Bytes still to be sent on a socket, and the deadline for the other side to take them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from supervisor.adapters.eventloop.loop import EventLoop, Timer


class Flushed(Enum):
    """How much of the queue a flush has sent."""

    ALL = "all"
    PART = "part"
    BROKEN = "broken"


class SendingSocket(Protocol):
    """A non-blocking socket, plain or with TLS. `send` raises BlockingIOError when it accepts nothing now."""

    def send(self, data: memoryview, /) -> int: ...


class SendBuffer:
    """Bytes queued for a non-blocking socket, piece by piece."""

    __slots__ = ("_pieces", "_sent", "_sock", "size")

    def __init__(self, sock: SendingSocket) -> None:
        self.size = 0
        self._sock = sock
        self._pieces: deque[bytes] = deque()
        self._sent = 0  # bytes of the first piece that are sent

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def put(self, data: bytes) -> None:
        self._pieces.append(data)
        self.size += len(data)

    def flush(self, on_progress: Callable[[], None]) -> Flushed:
        """Send what the socket accepts now. `on_progress()` is called for each piece that it accepts."""
        while self._pieces:
            first = self._pieces[0]
            try:
                count = self._sock.send(memoryview(first)[self._sent :])
            except (BlockingIOError, InterruptedError):
                return Flushed.PART
            except OSError:
                return Flushed.BROKEN
            on_progress()
            self._sent += count
            self.size -= count
            if self._sent == len(first):
                self._pieces.popleft()
                self._sent = 0
        return Flushed.ALL

    def forget_unsent(self) -> None:
        """Drop what is queued, except a piece that is partly sent."""
        kept = self._pieces[0] if self._sent else b""
        self._pieces.clear()
        self.size = len(kept) - self._sent
        if kept:
            self._pieces.append(kept)

    def clear(self) -> None:
        self._pieces.clear()
        self.size = self._sent = 0


class Deadline:
    """Calls `missed()` when its time has come. One lazy timer serves all deadlines of a connection."""

    __slots__ = ("_at", "_loop", "_missed", "_timer")

    def __init__(self, loop: EventLoop, missed: Callable[[], None]) -> None:
        self._loop = loop
        self._missed = missed
        self._at: float | None = None
        self._timer: Timer | None = None

    @property
    def running(self) -> bool:
        return self._at is not None

    def set(self, seconds: float) -> None:
        """Set the deadline, in place of an earlier one, which must not be later than this."""
        self._at = self._loop.now() + seconds
        if self._timer is None:
            self._timer = self._loop.call_at(self._at, self._on_timer)

    def clear(self) -> None:
        """Remove the deadline; another may be set."""
        self._at = None

    def cancel(self) -> None:
        """Remove the deadline and its timer."""
        self._at = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        if self._at is None:
            return
        if self._at <= self._loop.now():
            self._missed()
        else:
            self._timer = self._loop.call_at(self._at, self._on_timer)
