"""What is still to be sent on a socket, and how long the other side may take for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from supervisor.adapters.eventloop.loop import EventLoop, Timer


class Flushed(Enum):
    """How far a flush came."""

    ALL = "all"
    PART = "part"
    BROKEN = "broken"


class SendingSocket(Protocol):
    """A non-blocking socket, plain or with TLS: BlockingIOError where it takes nothing now."""

    def send(self, data: memoryview, /) -> int: ...


class SendBuffer:
    """Bytes queued for a non-blocking socket, piece by piece."""

    __slots__ = ("_pieces", "_sent", "_sock", "size")

    def __init__(self, sock: SendingSocket) -> None:
        self.size = 0
        self._sock = sock
        self._pieces: deque[bytes] = deque()
        self._sent = 0  # of the first piece

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def put(self, data: bytes) -> None:
        self._pieces.append(data)
        self.size += len(data)

    def flush(self, on_progress: Callable[[], None]) -> Flushed:
        """Send what the socket takes now."""
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
        """Drop what is queued, but for a piece that is halfway out."""
        kept = self._pieces[0] if self._sent else b""
        self._pieces.clear()
        self.size = len(kept) - self._sent
        if kept:
            self._pieces.append(kept)

    def clear(self) -> None:
        self._pieces.clear()
        self.size = self._sent = 0


class Deadline:
    """Calls `missed()` once its time has come; one lazy timer serves all the deadlines of a connection."""

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
        """From now on, and in place of the one before, which must not have been longer."""
        self._at = self._loop.now() + seconds
        if self._timer is None:
            self._timer = self._loop.call_at(self._at, self._on_timer)

    def clear(self) -> None:
        """None for the time being."""
        self._at = None

    def cancel(self) -> None:
        """None any more."""
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
