"""Doubles of the outside world, for tests that set the clock themselves."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count

from supervisor.adapters.eventloop.loop import EPOLLIN, EventLoop


def run_until(loop: EventLoop, condition: Callable[[], object], timeout: float = 10.0) -> None:
    """Turn a real event loop until `condition()` holds; AssertionError after `timeout` seconds."""
    late: list[bool] = []
    timer = loop.call_at(loop.now() + timeout, lambda: late.append(True))
    while not condition():
        assert not late, f"not within {timeout} s"
        loop.turn()
    timer.cancel()


class FakeTimer:
    """A timer of FakeReactor."""

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeReactor:
    """The interface of the event loop, with a clock that the test sets.

    `advance(seconds)` fires what is due, each timer at its own moment.  Descriptors are never watched: a test calls
    `callbacks[fd](events)` itself, or `make_ready(fd)`.
    """

    def __init__(self, start: float = 1000.0) -> None:
        self.before_wait: Callable[[], None] | None = None
        self.on_wake: Callable[[float, float | None], None] | None = None
        self.on_error: Callable[[Exception], None] | None = None
        self.callbacks: dict[int, Callable[[int], None]] = {}
        self.events: dict[int, int] = {}
        self.signals: dict[int, Callable[[], None]] = {}
        self.stopped = False
        self._now = start
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._serial = count()
        self._soon: deque[Callable[[], None]] = deque()

    def now(self) -> float:
        return self._now

    def register(self, fd: int, callback: Callable[[int], None], events: int = EPOLLIN) -> None:
        self.callbacks[fd] = callback
        self.events[fd] = events

    def modify(self, fd: int, events: int) -> None:
        assert fd in self.callbacks
        self.events[fd] = events

    def unregister(self, fd: int) -> None:
        self.callbacks.pop(fd, None)
        self.events.pop(fd, None)

    def call_at(self, when: float, callback: Callable[[], None]) -> FakeTimer:
        assert when == when, "a timer at NaN"
        timer = FakeTimer(when, callback)
        heapq.heappush(self._timers, (when, next(self._serial), timer))
        return timer

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def call_from_thread(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def on_signal(self, signum: int, callback: Callable[[], None]) -> None:
        self.signals[signum] = callback

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        self.callbacks.clear()

    def make_ready(self, fd: int, events: int = EPOLLIN) -> None:
        """As if epoll had reported `fd`."""
        self.callbacks[fd](events)
        self.settle()

    def settle(self) -> None:
        """Run what is wanted soon and what is due now, until nothing more comes of it."""
        while True:
            if self.before_wait is not None:
                self.before_wait()
            if self._soon:
                self._call(self._soon.popleft())
            elif not self._fire_next(self._now):
                return

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        until = self._now + seconds
        self.settle()
        while self._fire_next(until):
            self.settle()
        self._now = until

    @property
    def next_deadline(self) -> float | None:
        """When the loop would wake by itself."""
        return min((when for when, _, timer in self._timers if timer.callback is not None), default=None)

    def _fire_next(self, until: float) -> bool:
        while self._timers and self._timers[0][0] <= until:
            when, _, timer = heapq.heappop(self._timers)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                self._now = max(self._now, when)
                if self.on_wake is not None:
                    self.on_wake(self._now, when)
                self._call(callback)
                return True
        return False

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception as error:
            if self.on_error is None:
                raise
            self.on_error(error)
