"""Probes services once or periodically, without blocking the event loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from supervisor.adapters.eventloop.loop import EventLoop, Timer

Done = Callable[[str | None, float], None]
"""`done(error, at)`: None or a short text for a reader, and when the answer came (CLOCK_MONOTONIC seconds)."""


class Unasked(str):
    """The error of a probe that could not ask: the fault of the probe or of this host, which says nothing about the
    service.  `since`: when it was to be asked."""

    since: float = 0.0


class TooLate(str):
    """The error of a probe that was not answered in time, by this daemon's clock alone."""


NOTHING_NEW = ""
"""The error of a probe that found no failure, but no sign of life either."""
Cancel = Callable[[], None]

MOST_AT_ONCE = 64
"""Probes that run at the same time, of all services together."""
PATIENCE = 10.0
"""A starved command gets at most this many times its timeout; then it is killed without having asked."""
TURN_BUDGET = 0.02
"""Seconds of one turn of the loop in which probes are begun; the next ones wait for the next turn.  On a loaded host a
command takes 100 ms to start, and many are due at once when a daemon has taken up many services."""


Begin = Callable[[EventLoop, float, Done], Cancel]


class Target(Protocol):
    """What can be probed."""

    def begin(self, loop: EventLoop, timeout: float, done: Done) -> Cancel:
        """Probe once.  `done` is called once, within `timeout` seconds, perhaps before this returns, and never after
        the returned function was called.  OSError where the probe cannot begin."""


class Prober:
    """Runs probes, at most `MOST_AT_ONCE` at a time; the timeout of a probe begins when its turn comes."""

    def __init__(self, loop: EventLoop) -> None:
        self.loop = loop
        self._waiting: deque[_Probe] = deque()
        self._under_way: set[_Probe] = set()
        self._spent = 0.0
        """Seconds of this turn that were spent on beginning probes."""

    def probe(self, target: Target, timeout: float, done: Done, *, first: bool = False) -> Cancel:
        """Probe `target` once; returns the function that cancels it, which does nothing after the end.

        It waits for its turn for `timeout` seconds at most; `first`: before all others that wait."""
        probe = _Probe(self, target, timeout, done)
        if self._may_begin():
            self._begin(probe)
        else:
            probe.wait()
            self._waiting.insert(0 if first else len(self._waiting), probe)
        return probe.cancel

    def disturbed(self, seconds: float) -> None:
        """This daemon did not run for `seconds`: the probes under way may fail by that alone."""
        for probe in self._under_way:
            probe.disturbed = seconds

    def _may_begin(self) -> bool:
        return len(self._under_way) < MOST_AT_ONCE and self._spent < TURN_BUDGET

    def _begin(self, probe: _Probe) -> None:
        self._under_way.add(probe)
        before = self.loop.now()
        if not self._spent:
            self.loop.call_soon(self._next_turn)
        probe.begin()
        self._spent += self.loop.now() - before

    def _next_turn(self) -> None:
        self._spent = 0.0
        self._begin_waiting()

    def _ended(self, probe: _Probe) -> None:
        self._under_way.discard(probe)
        if self._waiting:
            self.loop.call_soon(self._begin_waiting)

    def _begin_waiting(self) -> None:
        while self._waiting and self._may_begin():
            probe = self._waiting.popleft()
            if not probe.over:
                self._begin(probe)


class _Probe:
    """One probe, from waiting for its turn to its answer."""

    __slots__ = ("_asked", "_cancel", "_done", "_prober", "_target", "_timeout", "_turn", "disturbed", "over")

    def __init__(self, prober: Prober, target: Target, timeout: float, done: Done) -> None:
        self.over = False
        self.disturbed = 0.0
        self._asked = prober.loop.now()
        self._turn: Timer | None = None
        self._prober, self._target, self._timeout, self._done = prober, target, timeout, done
        self._cancel: Cancel | None = None

    def wait(self) -> None:
        """Wait for its turn, but not for ever."""
        loop = self._prober.loop
        late = Unasked("other probes are under way")
        self._turn = loop.call_at(loop.now() + self._timeout, lambda: self._answered(late, loop.now()))

    def begin(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
        loop = self._prober.loop
        try:
            self._cancel = self._target.begin(loop, self._timeout, self._answered)
        except OSError as error:
            self._answered(Unasked(error_text(error)), loop.now())

    def _answered(self, error: str | None, at: float) -> None:
        if not self.over:
            self.over = True
            self._prober._ended(self)
            if isinstance(error, TooLate) and self.disturbed:
                error = Unasked(f"this daemon did not run for {self.disturbed:.1f} s meanwhile; {error}")
            if isinstance(error, Unasked):
                error.since = self._asked
            self._done(error, at)

    def cancel(self) -> None:
        if not self.over:
            self.over = True
            if self._cancel is not None:
                self._cancel()
            if self._turn is not None:
                self._turn.cancel()
            self._prober._ended(self)


class Poller:
    """Probes `target` at once (unless `at_once` is false) and then every `interval` seconds, without drift.

    While a probe takes longer than `interval`, no other one begins; the missed moments are skipped.  `phase` (0 to 1)
    shifts the grid, so that services started together are not probed in the same millisecond for ever.
    """

    __slots__ = ("_cancel", "_done", "_interval", "_next", "_prober", "_stopped", "_target", "_timeout", "_timer")

    def __init__(
        self,
        prober: Prober,
        target: Target,
        *,
        interval: float,
        timeout: float,
        phase: float,
        done: Done,
        at_once: bool = True,
    ) -> None:
        self._prober, self._target, self._done = prober, target, done
        self._interval, self._timeout = interval, timeout
        self._stopped = False
        self._timer: Timer | None = None
        self._next = prober.loop.now() + interval * (0.5 + phase / 2)
        self._cancel: Cancel | None = None
        if at_once:
            self._cancel = prober.probe(target, timeout, self._answered)
        else:
            self._timer = prober.loop.call_at(self._next, self._ask)

    def stop(self) -> None:
        """Stop probing; `done` is not called again."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._cancel is not None:
            self._cancel()

    def _ask(self) -> None:
        self._next += self._interval
        self._cancel = self._prober.probe(self._target, self._timeout, self._answered)

    def _answered(self, error: str | None, at: float) -> None:
        self._done(error, at)
        if self._stopped:
            return
        late = self._prober.loop.now() - self._next
        if late > 0:
            self._next += self._interval * -(-late // self._interval)
        self._timer = self._prober.loop.call_at(self._next, self._ask)


def error_text(error: OSError) -> str:
    """The system's text for an error, with a small first letter, for use inside a sentence."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


def too_late(timeout: float) -> TooLate:
    """The error of a probe that was not answered in time."""
    return TooLate(f"no answer within {timeout:g}s")
