"""Searches lines of output for a pattern, within bounds: no pattern and no amount of output stops the event loop.

A regular expression that backtracks can need hours for one line.  Python's `re` looks for signals while it searches,
so a timer of CPU time ends a search that takes too long; time in which this process did not run does not count.
"""

from __future__ import annotations

import re
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from types import FrameType

from supervisor.adapters.eventloop.loop import EventLoop

LONGEST_SEARCH = 0.01
"""Seconds of CPU time after which the search in one line is given up."""
_SLICE = 0.005  # seconds of searching before other descriptors have their turn
_PAUSE = 20  # after a search that was given up, nothing is searched for as many times the time that it took
_MOST_WAITING = 10_000  # lines
_SEARCHED = 4096  # bytes of a line
_ESCAPE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?")
_REPEATS = re.compile(r"[*+?{]")


class _TimeIsUp(Exception):
    """The search in one line took too long."""


class LinePattern:
    """Calls `matched()` where lines hold the pattern, and `unjudged()` where the search in a line was given up."""

    def __init__(
        self, loop: EventLoop, pattern: str, matched: Callable[[], None], unjudged: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._search = re.compile(pattern.encode()).search
        self._repeats = _REPEATS.search(pattern) is not None  # only then a search can take long
        self._matched, self._unjudged = matched, unjudged
        self._waiting: deque[bytes] = deque()
        self._scheduled = self._closed = False
        self._paused_until = 0.0

    def lines(self, found: Iterable[bytes]) -> None:
        """Search these lines, now or as soon as other descriptors have had their turn."""
        self._waiting.extend(found)
        lost = len(self._waiting) - _MOST_WAITING
        for _ in range(lost):
            self._waiting.popleft()
        if lost > 0:
            self._unjudged()
        if not self._scheduled:
            self._work()

    def close(self) -> None:
        """Call nothing any more."""
        self._closed = True
        self._waiting.clear()

    def _work(self) -> None:
        self._scheduled = False
        began = time.monotonic()
        if began < self._paused_until and self._waiting:
            self._waiting.clear()
            self._unjudged()
            return
        hit = gave_up = False
        try:
            if self._repeats:
                _time_limit(LONGEST_SEARCH)
            hit = self._hit(began + _SLICE)
        except _TimeIsUp:
            gave_up = True
        finally:
            if self._repeats:
                _time_limit(0.0)
        if hit:
            self._waiting.clear()  # the others say no more
            self._matched()
        if gave_up:
            now = time.monotonic()
            self._paused_until = now + _PAUSE * (now - began)
            self._unjudged()
        if self._waiting and not self._closed:
            self._scheduled = True
            self._loop.call_soon(self._work)

    def _hit(self, until: float) -> bool:
        """Search the lines that wait, until one matches or the time `until` is reached."""
        search, waiting, now = self._search, self._waiting, time.monotonic
        while waiting:
            line = waiting.popleft()
            if b"\r" in line or b"\x1b" in line or b"\b" in line:
                if any(search(text, 0, _SEARCHED) for text in readings(line)):
                    return True
            elif search(line, 0, _SEARCHED):
                return True
            if now() > until:
                break
        return False


def readings(line: bytes) -> Sequence[bytes]:
    """The line as it was written, and what was to be read of it on a terminal.

    There a carriage return begins the line again, colours are not text, and a backspace takes a character away.
    """
    shown = _ESCAPE.sub(b"", line).split(b"\r")
    return (line, *(_without_backspaces(text) for text in shown if text))


def _without_backspaces(text: bytes) -> bytes:
    if b"\b" not in text:
        return text
    kept = bytearray()
    for byte in text:
        if byte != 8:
            kept.append(byte)
        elif kept:
            kept.pop()
    return bytes(kept)


def _time_limit(seconds: float) -> None:
    """Raise `_TimeIsUp` in this thread after so much CPU time of this process; 0: no longer."""
    if seconds:
        _handle_signal()
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)


@cache
def _handle_signal() -> None:
    signal.signal(signal.SIGVTALRM, _time_is_up)


def _time_is_up(_number: int, _frame: FrameType | None) -> None:
    raise _TimeIsUp
