"""One question to a socket of HAProxy, and its whole answer, on the event loop.

The worker's socket takes one line of commands and closes after their answers.  The master's socket stays open, so that
its writing side is shut down.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from supervisor.adapters.eventloop.loop import EPOLLIN, EPOLLOUT, EventLoop, Timer

MOST = 4 * 1024 * 1024
"""Bytes of an answer that are read at most."""
CHUNK = 65536


class Exchange:
    """Sends `text` and calls `done(answer)` once; None where no whole answer came within `timeout` seconds.

    `done` is never called before the constructor returns."""

    def __init__(
        self, loop: EventLoop, path: str, text: str, done: Callable[[str | None], None], *, timeout: float
    ) -> None:
        self._loop, self._done = loop, done
        self._rest = memoryview(f"{text}\n".encode())
        self._answer = bytearray()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self._timer: Timer | None = None
        self._over = False
        try:
            self._socket.connect(path)
            loop.register(self._socket.fileno(), self._ready, EPOLLIN | EPOLLOUT)
        except OSError:  # nothing listens, or its queue is full
            self._socket.close()
            self._over = True
            loop.call_soon(lambda: done(None))
            return
        self._timer = loop.call_at(loop.now() + timeout, lambda: self._end(None))
        self._send()  # what stops requests to a suspect does not wait for the next turn

    def cancel(self) -> None:
        """End it without an answer."""
        self._done = _nothing
        self._end(None)

    def _ready(self, events: int) -> None:
        if self._rest and events & EPOLLOUT:
            self._send()
        if events & ~EPOLLOUT and not self._over:
            self._receive()

    def _send(self) -> None:
        try:
            while self._rest:
                self._rest = self._rest[self._socket.send(self._rest) :]
            self._socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return
        except OSError:  # it has closed already; its answer may be there all the same
            self._rest = self._rest[:0]
        self._loop.modify(self._socket.fileno(), EPOLLIN)

    def _receive(self) -> None:
        try:
            chunk = os.read(self._socket.fileno(), CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self._end(None)
            return
        self._answer += chunk
        if not chunk:
            self._end(self._answer.decode(errors="replace"))
        elif len(self._answer) > MOST:
            self._end(None)

    def _end(self, answer: str | None) -> None:
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._loop.unregister(self._socket.fileno())
        self._socket.close()
        self._done(answer)


def _nothing(_answer: str | None) -> None:
    """The answer is not wanted any more."""
