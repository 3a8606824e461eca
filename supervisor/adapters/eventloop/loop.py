"""The event loop of the daemon: one thread, one epoll, callbacks for descriptors, timers and signals.

It is level-triggered: what a callback leaves unread is reported again, so a callback may do bounded work and return.
Nothing polls: without an event and without a timer the loop sleeps in the kernel.
"""

from __future__ import annotations

import heapq
import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from types import FrameType
from typing import Any

EPOLLIN, EPOLLOUT = select.EPOLLIN, select.EPOLLOUT

_LONGEST_WAIT = 2_000_000.0  # seconds; epoll counts milliseconds in an int
_SHORT_WAIT = 0.01  # seconds; of a shorter wait, a millisecond is a large part
_COMPACT_FROM = 64  # cancelled timers that may be in the heap before it is rebuilt


class Timer:
    """A callback that is due at `when` (CLOCK_MONOTONIC seconds)."""

    __slots__ = ("_callback", "_loop", "when")

    def __init__(self, when: float, callback: Callable[[], None], loop: EventLoop) -> None:
        self.when = when
        self._callback: Callable[[], None] | None = callback
        self._loop = loop

    def cancel(self) -> None:
        """Prevent the call.  Does nothing where the timer has fired or was cancelled before."""
        if self._callback is not None:
            self._callback = None
            self._loop._forget()


class EventLoop:
    """The event loop.  All methods but `call_from_thread` belong to the thread that runs it.

    `before_wait` is called before every wait; it may add timers and `call_soon`.
    `on_wake(now, expected)` is called after every wait; `expected` is the time by which the wait should have ended
    (None: it was open-ended), so that the delay of this process can be measured.
    `on_error(error)` is called with what a callback raised; without it the exception leaves `run`.
    """

    def __init__(self) -> None:
        self.before_wait: Callable[[], None] | None = None
        self.on_wake: Callable[[float, float | None], None] | None = None
        self.on_error: Callable[[Exception], None] | None = None
        self._epoll = select.epoll()
        self._selectable = self._epoll.fileno() < 1024  # FD_SETSIZE
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._stale: set[int] = set()
        self._timers: list[tuple[float, int, Timer]] = []
        self._cancelled = 0
        self._serial = count()
        self._soon: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._signals: dict[int, Callable[[], None]] = {}
        self._previous_handlers: dict[int, Any] = {}
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.register(self._wake_reader, self._woken)

    @staticmethod
    def now() -> float:
        """CLOCK_MONOTONIC in seconds."""
        return time.monotonic()

    def register(self, fd: int, callback: Callable[[int], None], events: int = EPOLLIN) -> None:
        """Call `callback(events)` whenever `fd` is ready.  OSError where the kernel refuses (EEXIST, EPERM, ENOSPC)."""
        self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def modify(self, fd: int, events: int) -> None:
        """Wait for other events on a registered `fd`."""
        self._epoll.modify(fd, events)

    def redirect(self, fd: int, callback: Callable[[int], None]) -> None:
        """Call another `callback(events)` for a registered `fd`; costs no system call."""
        self._callbacks[fd] = callback

    def unregister(self, fd: int) -> None:
        """Stop watching `fd`, which may be closed already or was never registered."""
        if self._callbacks.pop(fd, None) is not None:
            # The number may be reused within this batch; its event is not one of the new descriptor.
            self._stale.add(fd)
            with suppress(OSError):
                self._epoll.unregister(fd)

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call `callback()` at `when` or as soon after as possible, never before.  ValueError for NaN."""
        if when != when:
            raise ValueError("a timer at NaN would never be in order")
        timer = Timer(when, callback, self)
        heapq.heappush(self._timers, (when, next(self._serial), timer))
        return timer

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call `callback()` at the end of the running turn or of the next one, which then does not wait."""
        self._soon.append(callback)

    def call_from_thread(self, callback: Callable[[], None]) -> None:
        """As `call_soon`, from any thread."""
        self._soon.append(callback)
        with suppress(BlockingIOError):  # a full pipe wakes the loop just as well
            os.write(self._wake_writer, b"\0")

    def on_signal(self, signum: int, callback: Callable[[], None]) -> None:
        """Call `callback()` from the loop after signal `signum`.  Main thread only."""
        if not self._signals:
            signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        self._signals[signum] = callback
        previous = signal.signal(signum, _handled_in_the_loop)
        self._previous_handlers.setdefault(signum, previous)

    def run(self) -> None:
        """Take turns until `stop`."""
        try:
            while not self._stopping:
                self.turn()
        finally:
            self._stopping = False

    def stop(self) -> None:
        """Make `run` return after the present turn, or at once where it has not begun."""
        self._stopping = True

    def turn(self) -> None:
        """Wait once, then call back for what is ready, for due timers, and for `call_soon`, in this order."""
        if self.before_wait is not None:
            self._call(self.before_wait)
        timers = self._timers
        while timers and timers[0][2]._callback is None:
            heapq.heappop(timers)
            self._cancelled -= 1
        began = time.monotonic()
        expected = timers[0][0] if timers else None
        if self._soon or self._stopping:
            expected = began if expected is None else min(began, expected)
        # Python rounds the wait of epoll up to milliseconds, and that of select up to microseconds: neither ends before
        # the deadline.  Therefore select waits where a millisecond counts.
        wait = None if expected is None else min(max(expected - began, 0.0), _LONGEST_WAIT)
        maximum = len(self._callbacks)  # one batch holds all that can be ready
        if wait and wait < _SHORT_WAIT and self._selectable:
            select.select((self._epoll,), (), (), wait)
            wait = 0.0
        ready = self._epoll.poll(wait, maximum)
        now = time.monotonic()
        if self.on_wake is not None:
            try:
                self.on_wake(now, expected)
            except Exception as error:  # noqa: BLE001 - as in _dispatch
                self._failed(error)
        if timers and timers[0][0] <= now:
            # This process may have been stalled since the wait ended.  What has arrived by `now` is handled before what
            # is due by `now`: a delay of the daemon must not look like a missed deadline of a service.
            ready = self._epoll.poll(0, maximum)
        self._dispatch(ready)
        self._fire(now)
        for _ in range(len(self._soon)):
            self._call(self._soon.popleft())

    def close(self) -> None:
        """Close the descriptors and restore the signal handlers.  The loop cannot be used afterwards."""
        if self._signals:
            signal.set_wakeup_fd(-1)
            for signum, handler in self._previous_handlers.items():
                signal.signal(signum, handler)
        self._callbacks.clear()
        self._timers.clear()
        self._soon.clear()
        self._epoll.close()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _dispatch(self, ready: list[tuple[int, int]]) -> None:
        stale, callbacks = self._stale, self._callbacks
        stale.clear()
        for fd, events in ready:
            if fd in stale:
                continue
            callback = callbacks.get(fd)
            if callback is None:
                continue
            try:
                callback(events)
            except Exception as error:  # noqa: BLE001 - one failing callback must not end the daemon
                self._failed(error)

    def _fire(self, now: float) -> None:
        timers = self._timers
        while timers and timers[0][0] <= now:
            timer = heapq.heappop(timers)[2]
            callback, timer._callback = timer._callback, None
            if callback is None:
                self._cancelled -= 1
            else:
                self._call(callback)

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - as in _dispatch
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        if self.on_error is None:
            raise error
        self.on_error(error)

    def _forget(self) -> None:
        self._cancelled += 1
        if self._cancelled > _COMPACT_FROM and self._cancelled * 2 > len(self._timers):
            # In place: `turn` and `_fire` keep a reference to the list.
            self._timers[:] = [entry for entry in self._timers if entry[2]._callback is not None]
            heapq.heapify(self._timers)
            self._cancelled = 0

    def _woken(self, _events: int) -> None:
        for signum in os.read(self._wake_reader, 4096):
            callback = self._signals.get(signum)
            if callback is not None:
                self._call(callback)


def _handled_in_the_loop(_signum: int, _frame: FrameType | None) -> None:
    """Do nothing.  Python needs a handler so that its C level writes the signal's number to the wake-up descriptor."""
