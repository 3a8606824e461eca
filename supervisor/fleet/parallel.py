"""Works on all hosts at once, a thread each, and watches them from outside.

A thread that waits for a dead peer may never return: neither a time limit of Fabric nor keep-alive ends all of its
waits.  So each step has a deadline here; a host that misses it is reported and left behind, and the others go on.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from supervisor.core.model.fleet_spec import FleetHost
from supervisor.fleet.problems import HostProblem, Kind

T = TypeVar("T")
MOST_CONNECTING = 8
"""Hosts that are being connected to at once: sshd drops connections that have not logged in beyond MaxStartups (10)."""


class Abandoned(BaseException):
    """The host was given up while the thread waited; its result is not needed any more."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What became of one host: `value`, or the problem and the step in which it occurred."""

    value: T | None
    problem: HostProblem | None = None
    step: str = ""
    seconds: float = 0.0


class Work:
    """The work on one host, as its thread sees it."""

    def __init__(self, host: FleetHost, tell: Callable[[Work, str], None], connecting: threading.Semaphore) -> None:
        self.host = host
        self.step_name = "waiting to connect"
        self.deadline = float("inf")
        self.abandoned = False
        self._tell, self._connecting = tell, connecting
        self._holds = False
        self._lock = threading.Lock()

    @contextmanager
    def step(self, name: str, within: float) -> Iterator[None]:
        """Something that takes at most `within` seconds; it is given up after that."""
        with self._lock:
            if self.abandoned:
                raise Abandoned
            self.step_name, self.deadline = name, time.monotonic() + within
        self._tell(self, name)
        yield
        with self._lock:
            if self.abandoned:
                raise Abandoned
            self.deadline = float("inf")

    @contextmanager
    def connecting(self) -> Iterator[None]:
        """One of the few that connect at once."""
        self._connecting.acquire()
        self._holds = True
        try:
            yield
        finally:
            self.let_others_connect()

    def let_others_connect(self) -> None:
        """Give the place back, once."""
        with self._lock:
            if self._holds:
                self._holds = False
                self._connecting.release()

    def overdue(self, now: float) -> bool:
        """Whether the step is given up; from then on the thread does nothing more."""
        with self._lock:
            self.abandoned = now >= self.deadline
            return self.abandoned


def on_all(
    hosts: Sequence[FleetHost],
    work: Callable[[Work], T],
    tell: Callable[[FleetHost, str], None],
    done: Callable[[FleetHost, Outcome[T]], None],
) -> dict[str, Outcome[T]]:
    """The outcome for each host, by its name.  `tell` and `done` are called in this thread, as it happens."""
    news: queue.SimpleQueue[tuple[Work, str, Any]] = queue.SimpleQueue()
    connecting = threading.Semaphore(MOST_CONNECTING)
    began = time.monotonic()
    going: dict[str, Work] = {}
    outcomes: dict[str, Outcome[T]] = {}

    def carry_out(one: Work) -> None:
        try:
            news.put((one, "done", work(one)))
        except HostProblem as problem:
            news.put((one, "problem", problem))
        except Abandoned:
            return
        except Exception as error:  # noqa: BLE001 - a fault of ours on one host must not hold the others
            news.put((one, "problem", HostProblem(Kind.FAILED, f"{type(error).__name__}: {error}")))

    def finish(one: Work, outcome: Outcome[T]) -> None:
        del going[one.host.name]
        outcomes[one.host.name] = outcome
        done(one.host, outcome)

    for host in hosts:
        one = Work(host, lambda one, step: news.put((one, "step", step)), connecting)
        going[host.name] = one
        threading.Thread(target=carry_out, args=(one,), name=f"fleet {host.name}", daemon=True).start()
    while going:
        wait = min(one.deadline for one in going.values()) - time.monotonic()
        try:
            one, what, value = news.get(timeout=min(max(wait, 0.0), 1.0))
        except queue.Empty:
            for one in [one for one in going.values() if one.overdue(time.monotonic())]:
                one.let_others_connect()
                problem = HostProblem(
                    Kind.TIMEOUT, "no answer in time", "The host or the way to it may be dead; try again."
                )
                finish(one, Outcome(None, problem, one.step_name, time.monotonic() - began))
            continue
        if one.host.name not in going:
            continue
        if what == "step":
            tell(one.host, value)
        elif what == "problem":
            finish(one, Outcome(None, value, one.step_name, time.monotonic() - began))
        else:
            finish(one, Outcome(value, None, "", time.monotonic() - began))
    return {host.name: outcomes[host.name] for host in hosts}
