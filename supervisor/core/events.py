"""Facts in (past tense) and commands in (imperative): everything that can happen to an instance.

`incarnation` names the run a fact is about; a fact about another run than the present one is dropped, so a late
datagram or exit can never be charged to a successor.  `at` and durations are CLOCK_MONOTONIC seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from supervisor.core.causes import Cause
from supervisor.core.spec import ServiceSpec


class Event:
    """Base of everything `step` takes."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Start(Event):
    """Wanted up."""

    cause: Cause = Cause.STARTED_BY_USER


@dataclass(frozen=True, slots=True)
class Stop(Event):
    """Wanted down.  `later`: the goal changes now, the process is stopped when its dependants are gone.
    `force`: kill the tree at once."""

    cause: Cause = Cause.STOPPED_BY_USER
    later: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class Restart(Event):
    """Stop, then start; never counted as a failure."""

    cause: Cause = Cause.RESTARTED_BY_USER


@dataclass(frozen=True, slots=True)
class Reset(Event):
    """Close the breaker, forget backoff and restart history; what waits for either starts now."""


@dataclass(frozen=True, slots=True)
class Reconfigure(Event):
    """The configuration changed.  `restart`: it only takes effect in a new incarnation."""

    spec: ServiceSpec
    restart: bool


@dataclass(frozen=True, slots=True)
class Granted(Event):
    """Dependencies are ready and a restart slot is free: spawn."""


@dataclass(frozen=True, slots=True)
class Spawned(Event):
    incarnation: int
    pid: int


@dataclass(frozen=True, slots=True)
class SpawnFailed(Event):
    incarnation: int
    error: str


@dataclass(frozen=True, slots=True)
class Adopted(Event):
    """An earlier supervisor started this process and it still runs.  `age` is its uptime in seconds."""

    incarnation: int
    pid: int
    ready: bool
    age: float


@dataclass(frozen=True, slots=True)
class Ready(Event):
    incarnation: int
    how: str


@dataclass(frozen=True, slots=True)
class Heartbeat(Event):
    """A sign of life that arrived at `at`; `sent` is the sender's own monotonic stamp where it gave one."""

    incarnation: int
    at: float
    sent: float | None = None


@dataclass(frozen=True, slots=True)
class ProbeFailed(Event):
    """A probe got no good answer.  Not yet a verdict: the detector judges the silence."""

    incarnation: int
    error: str


@dataclass(frozen=True, slots=True)
class Exited(Event):
    """The main process ended.  Both status fields are None where the kernel could not tell (an adopted process
    on an old kernel).  `tree_empty`: no descendant is left behind."""

    incarnation: int
    exit_code: int | None
    signal: int | None
    tree_empty: bool


@dataclass(frozen=True, slots=True)
class TreeEmpty(Event):
    """The last descendant is gone."""

    incarnation: int


@dataclass(frozen=True, slots=True)
class Lingering(Event):
    """Killed, and still there: `processes` says which, with pid and state."""

    incarnation: int
    processes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Examined(Event):
    """What a close look at a suspect found.  `alive`: it answered the confirming probe.  `held`: why its
    silence proves nothing (stopped, traced, frozen), or None."""

    incarnation: int
    alive: bool
    held: str | None
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LimitExceeded(Event):
    """A resource stayed over its ceiling for as long as the configuration tolerates."""

    incarnation: int
    resource: str
    value: float
    limit: float


@dataclass(frozen=True, slots=True)
class Triggered(Event):
    """The process itself asked to be treated as hung (`WATCHDOG=trigger`)."""

    incarnation: int


@dataclass(frozen=True, slots=True)
class Extended(Event):
    """`EXTEND_TIMEOUT_USEC`: start or stop takes longer; the deadline is now at least `seconds` away."""

    incarnation: int
    seconds: float


@dataclass(frozen=True, slots=True)
class StatusText(Event):
    incarnation: int
    text: str


@dataclass(frozen=True, slots=True)
class MainPid(Event):
    """`MAINPID=`: another process of the tree is the main one."""

    incarnation: int
    pid: int


@dataclass(frozen=True, slots=True)
class Stalled(Event):
    """We, or the host, did not run for `seconds`: that much silence is nobody's fault."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Timeout(Event):
    """The deadline that `step` returned has passed."""


COMMANDS = (Start, Stop, Restart, Reset, Reconfigure)
