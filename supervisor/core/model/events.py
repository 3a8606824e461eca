"""Facts in (past tense) and commands in (imperative): everything that can happen to an instance.

`incarnation` names the run a fact is about; a fact about another run than the present one is dropped, so a late
datagram or exit can never be charged to a successor.  `at` and durations are CLOCK_MONOTONIC seconds.  (Named tuples:
two dozen frozen dataclasses would cost a daemon's start 15 ms.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import ServiceSpec

NOTHING: Mapping[str, Any] = {}


class Start(NamedTuple):
    """Wanted up."""

    cause: Cause = Cause.STARTED_BY_USER


class Stop(NamedTuple):
    """Wanted down.  `later`: the goal changes now, the process is stopped when its dependants are gone.
    `force`: kill the tree at once."""

    cause: Cause = Cause.STOPPED_BY_USER
    later: bool = False
    force: bool = False


class Restart(NamedTuple):
    """Stop, then start; never counted as a failure."""

    cause: Cause = Cause.RESTARTED_BY_USER


class Reset(NamedTuple):
    """Close the breaker, forget backoff and restart history; what waits for either starts now."""


class Reconfigure(NamedTuple):
    """The configuration changed.  `restart`: it only takes effect in a new incarnation."""

    spec: ServiceSpec
    restart: bool


class StartPermitted(NamedTuple):
    """Dependencies are ready and a restart slot is free: spawn."""


class Spawned(NamedTuple):
    incarnation: int
    pid: int


class SpawnFailed(NamedTuple):
    incarnation: int
    error: str


class Adopted(NamedTuple):
    """An earlier supervisor started this process and it still runs.  `age` is its uptime in seconds."""

    incarnation: int
    pid: int
    age: float


class NotFoundOnAdoption(NamedTuple):
    """The main process that an earlier supervisor started, or was about to start, is not there any more; how it
    ended nobody saw.  `tree_empty`: no descendant is left behind either."""

    incarnation: int
    tree_empty: bool


class Ready(NamedTuple):
    incarnation: int
    how: str


class Heartbeat(NamedTuple):
    """A sign of life that arrived at `at`; `sent` is the sender's own monotonic stamp where it gave one."""

    incarnation: int
    at: float
    sent: float | None = None


class ProbeFailed(NamedTuple):
    """A probe got no good answer.  Not yet a verdict: the detector judges the silence."""

    incarnation: int
    error: str


class Exited(NamedTuple):
    """The main process ended.  Both status fields are None where the kernel could not tell (an adopted process
    on an old kernel).  `tree_empty`: no descendant is left behind."""

    incarnation: int
    exit_code: int | None
    signal: int | None
    tree_empty: bool


class TreeEmpty(NamedTuple):
    """The last descendant is gone."""

    incarnation: int


class KillIncomplete(NamedTuple):
    """Killed, and still there: `processes` says which, with pid and state."""

    incarnation: int
    processes: tuple[str, ...]


class SuspectExamined(NamedTuple):
    """What a close look at a suspect found.  `alive`: it answered the confirming probe.  `held`: why its
    silence proves nothing (stopped, traced, frozen, starved), or None.  `ran`: the seconds since it fell under
    suspicion in which it could run."""

    incarnation: int
    alive: bool
    held: str | None
    evidence: Mapping[str, Any] = NOTHING
    ran: float = 0.0


class LimitExceeded(NamedTuple):
    """A resource stayed over its ceiling for as long as the configuration tolerates."""

    incarnation: int
    resource: str
    value: float
    limit: float


class Triggered(NamedTuple):
    """The process itself asked to be treated as hung (`WATCHDOG=trigger`)."""

    incarnation: int


class Extended(NamedTuple):
    """`EXTEND_TIMEOUT_USEC`: start or stop takes longer; the deadline is now at least `seconds` away."""

    incarnation: int
    seconds: float


class StatusText(NamedTuple):
    incarnation: int
    text: str


class MainPid(NamedTuple):
    """`MAINPID=`: another process of the tree is the main one."""

    incarnation: int
    pid: int


class DaemonStalled(NamedTuple):
    """We, or the host, did not run for `seconds`: that much silence is nobody's fault."""

    seconds: float


class Timeout(NamedTuple):
    """The deadline that `step` returned has passed.  `patience`: how many times as long as usual a silence may last,
    because we ourselves have run late."""

    patience: float = 1.0


Event = (
    Start
    | Stop
    | Restart
    | Reset
    | Reconfigure
    | StartPermitted
    | Spawned
    | SpawnFailed
    | Adopted
    | NotFoundOnAdoption
    | Ready
    | Heartbeat
    | ProbeFailed
    | Exited
    | TreeEmpty
    | KillIncomplete
    | SuspectExamined
    | LimitExceeded
    | Triggered
    | Extended
    | StatusText
    | MainPid
    | DaemonStalled
    | Timeout
)
"""Everything that `step` takes."""
