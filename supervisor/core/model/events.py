"""Events: everything that can happen to an instance.  Facts are in the past tense, commands imperative.

`incarnation` is the one that a fact is about; facts about another incarnation are dropped, so that a late datagram or
exit is never charged to a successor.  `at` and durations are CLOCK_MONOTONIC seconds.  `by` of a command: its giver
(documents.OrderedBy); empty where the daemon gave it.  Events are named tuples because two dozen frozen
dataclasses would cost 15 ms at the start of a daemon.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import ServiceSpec

NOTHING: Mapping[str, Any] = {}


class Start(NamedTuple):
    """Set the goal to UP."""

    cause: Cause = Cause.STARTED_BY_USER
    by: Mapping[str, Any] = NOTHING


class Stop(NamedTuple):
    """Set the goal to DOWN and stop the process.  `later`: change only the goal now; another `Stop` follows when the
    dependants are gone.  `force`: kill the tree at once."""

    cause: Cause = Cause.STOPPED_BY_USER
    later: bool = False
    force: bool = False
    by: Mapping[str, Any] = NOTHING


class Restart(NamedTuple):
    """Stop, then start; never counted as a failure."""

    cause: Cause = Cause.RESTARTED_BY_USER
    by: Mapping[str, Any] = NOTHING


class Reset(NamedTuple):
    """Close the breaker and forget backoff and restart history; an instance that waits for either starts now."""

    by: Mapping[str, Any] = NOTHING


class SendSignal(NamedTuple):
    """Send signal `number` to the main process, as a user ordered.  `resume`: a stopped one is let go on to take it."""

    number: int
    by: Mapping[str, Any] = NOTHING
    resume: bool = False


class Reconfigure(NamedTuple):
    """The configuration changed.  `restart`: the change takes effect only in a new incarnation."""

    spec: ServiceSpec
    restart: bool
    by: Mapping[str, Any] = NOTHING


class StartPermitted(NamedTuple):
    """Dependencies are ready and a restart slot is free: spawn."""


class Spawned(NamedTuple):
    incarnation: int
    pid: int


class SpawnFailed(NamedTuple):
    """The program was not executed.  `pid`: the process that tried to, where SIGKILL did not end it."""

    incarnation: int
    error: str
    pid: int | None = None


class Adopted(NamedTuple):
    """The process that an earlier daemon started still runs.  `age`: its uptime in seconds."""

    incarnation: int
    pid: int
    age: float


class NotFoundOnAdoption(NamedTuple):
    """The main process that an earlier daemon started, or was about to start, is gone; its exit status is not known.
    `tree_empty`: no descendant is left either."""

    incarnation: int
    tree_empty: bool


class Ready(NamedTuple):
    incarnation: int
    how: str


class Heartbeat(NamedTuple):
    """A heartbeat that arrived at `at`.  `sent`: the sender's own monotonic time, if it was given."""

    incarnation: int
    at: float
    sent: float | None = None


class ProbeFailed(NamedTuple):
    """A probe failed.  That alone is no suspicion: the detector evaluates the silence."""

    incarnation: int
    error: str


class ProbeUnknown(NamedTuple):
    """A probe could not ask, by its own fault or that of this host; `since`: when it was to ask.  Whether the process
    would have answered is not known."""

    incarnation: int
    error: str
    since: float


class ProbeDelayed(NamedTuple):
    """A probe that was begun at `since` waits for a CPU and has not asked yet; its answer follows."""

    incarnation: int
    since: float


class Exited(NamedTuple):
    """The main process ended.  Both status fields are None where the kernel does not give the status (of an adopted
    process on an old kernel).  `tree_empty`: no descendant is left.  `out_of_memory`: the limit for which the kernel
    killed it, empty where that is not known; None where memory was not the reason."""

    incarnation: int
    exit_code: int | None
    signal: int | None
    tree_empty: bool
    out_of_memory: str | None = None


class TreeEmpty(NamedTuple):
    """The last descendant is gone."""

    incarnation: int


class KillIncomplete(NamedTuple):
    """Processes of the tree are still there although they were killed; `processes` names them with pid and state."""

    incarnation: int
    processes: tuple[str, ...]


class SuspectExamined(NamedTuple):
    """The result of the examination of a suspect.

    `alive`: it answered the confirming probe.  `held`: why its silence proves nothing (stopped, traced, frozen,
    starved), or None.  `ran`: its schedulable time in this silence, in seconds: since the suspicion began, and what was
    counted in earlier suspicions of the same silence.  `unasked`: why the confirming probe could not ask, or None."""

    incarnation: int
    alive: bool
    held: str | None
    evidence: Mapping[str, Any] = NOTHING
    ran: float = 0.0
    unasked: str | None = None


class LimitExceeded(NamedTuple):
    """Usage of a resource stayed above its limit for the time that the configuration tolerates."""

    incarnation: int
    resource: str
    value: float
    limit: float


class Triggered(NamedTuple):
    """The process asked to be treated as hung (`WATCHDOG=trigger`)."""

    incarnation: int


class Extended(NamedTuple):
    """`EXTEND_TIMEOUT_USEC`: start or stop takes longer; the deadline is now at least `seconds` away."""

    incarnation: int
    seconds: float


class Notified(NamedTuple):
    """The process sent an sd_notify datagram, of whatever content."""

    incarnation: int


class StatusText(NamedTuple):
    incarnation: int
    text: str


class MainPid(NamedTuple):
    """`MAINPID=`: another process of the tree is the main one."""

    incarnation: int
    pid: int


class DaemonStalled(NamedTuple):
    """The daemon, or the host, did not run for `seconds`: silence in that time is not counted."""

    seconds: float


class Timeout(NamedTuple):
    """The deadline that `step` returned has passed.  `patience`: the factor by which a silence may last longer than
    usual, because this daemon has run late."""

    patience: float = 1.0


Event = (
    Start
    | Stop
    | Restart
    | Reset
    | SendSignal
    | Reconfigure
    | StartPermitted
    | Spawned
    | SpawnFailed
    | Adopted
    | NotFoundOnAdoption
    | Ready
    | Heartbeat
    | ProbeFailed
    | ProbeUnknown
    | ProbeDelayed
    | Exited
    | TreeEmpty
    | KillIncomplete
    | SuspectExamined
    | LimitExceeded
    | Triggered
    | Extended
    | Notified
    | StatusText
    | MainPid
    | DaemonStalled
    | Timeout
)
"""Every event that `step` takes."""
