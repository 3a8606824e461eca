"""Asking a process for its stacks: a signal that it has a handler for, and the lines that it writes then.

Python's faulthandler answers that way, Java does to SIGQUIT.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from supervisor.adapters.eventloop.loop import EventLoop, Timer
from supervisor.adapters.linux import procfs

QUIET = 0.2
"""Seconds without another line after which a dump counts as complete: none of them says where it ends."""
LINES = 400
LINE = 200
BYTES = 24 * 1024


class Output(Protocol):
    """What is used of a Stream."""

    def subscribe(self, callback: Callable[[list[bytes]], None]) -> Callable[[], None]:
        """Lines from now on; returns what ends this."""


def catches(pid: int, number: int) -> bool:
    """The process has a handler of its own for the signal: the default would be to end it."""
    for line in (procfs.read(f"/proc/{pid}/status") or b"").splitlines():
        if line.startswith(b"SigCgt:"):
            return bool(int(line[7:], 16) >> (number - 1) & 1)
    return False


class Dump:
    """Calls `ask()`, then gathers what comes out of `output` until it is quiet, there is enough, or it is `until`
    (monotonic seconds); then `done(lines)`, once and never before this returns."""

    def __init__(
        self,
        loop: EventLoop,
        output: Output,
        ask: Callable[[], None],
        until: float,
        done: Callable[[list[str]], None],
    ) -> None:
        self._loop, self._done = loop, done
        self._lines: list[str] = []
        self._size = 0
        self._over = False
        self._unsubscribe = output.subscribe(self._heard)
        self._end = loop.call_at(until, self._finish)
        self._quiet: Timer | None = None
        ask()

    def cancel(self) -> None:
        """Nobody wants to know any more; harmless when it is over."""
        self._over = True
        self._unsubscribe()
        self._end.cancel()
        if self._quiet is not None:
            self._quiet.cancel()

    def _heard(self, lines: list[bytes]) -> None:
        for line in lines:
            text = clean(line)
            self._size += len(text) + 1
            if len(self._lines) < LINES and self._size <= BYTES:
                self._lines.append(text)
        if self._quiet is not None:
            self._quiet.cancel()
        if len(self._lines) >= LINES or self._size > BYTES:
            self._unsubscribe()
            self._loop.call_soon(self._finish)
        else:
            self._quiet = self._loop.call_at(self._loop.now() + QUIET, self._finish)

    def _finish(self) -> None:
        if not self._over:
            self.cancel()
            self._done(self._lines)


def clean(line: bytes) -> str:
    """Printable and short; leading blanks, which show the frames of a stack, are kept."""
    text = line.decode(errors="replace").replace("\t", "    ").rstrip()
    return "".join(c for c in text if c.isprintable())[:LINE]
