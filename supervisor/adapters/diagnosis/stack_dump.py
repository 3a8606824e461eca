"""Asks a process for its stacks by a signal, and collects the lines that it writes then.

The process must have a handler for the signal: Python's faulthandler is one, Java has one for SIGQUIT.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from supervisor.adapters.eventloop.loop import EventLoop, Timer
from supervisor.adapters.linux import procfs

QUIET = 0.2
"""Seconds without a line after which a dump counts as complete, because dumps have no mark at their end."""
LINES = 400
"""Lines of a dump at most."""
LINE = 200
"""Characters of a line at most."""
BYTES = 24 * 1024
"""Bytes of a dump at most."""


class Output(Protocol):
    """What is needed of an instance's output stream."""

    def subscribe(self, callback: Callable[[list[bytes]], None]) -> Callable[[], None]:
        """Call `callback(lines)` for lines from now on; returns the function that ends it."""


def catches(pid: int, number: int) -> bool:
    """Whether the process has a handler for the signal; without one the signal would usually end it."""
    for line in (procfs.read(f"/proc/{pid}/status") or b"").splitlines():
        if line.startswith(b"SigCgt:"):
            return bool(int(line[7:], 16) >> (number - 1) & 1)
    return False


class Dump:
    """Calls `ask()` and collects lines of `output` until QUIET seconds after the last one, the maximum length, or
    `until` (monotonic seconds).  Then it calls `done(lines)`, once and never before the constructor returns."""

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
        """Stop without calling `done`; does nothing after the end."""
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
    """The printable text of a line, shortened; leading blanks are kept, because they show the frames of a stack."""
    text = line.decode(errors="replace").replace("\t", "    ").rstrip()
    return "".join(c for c in text if c.isprintable())[:LINE]
