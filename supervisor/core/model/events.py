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
    """Set the goal to UP.  `lazy`: it is not asked for by name, so that what starts on demand waits for
    a connection."""

    cause: Cause = Cause.STARTED_BY_USER
    by: Mapping[str, Any] = NOTHING
    lazy: bool = False


class Stop(NamedTuple):
    """Set the goal to DOWN and stop the process.  `later`: change only the goal now; another `Stop` follows when the
    dependants are gone.  `force`: kill the tree at once."""

    cause: Cause = Cause.STOPPED_BY_USER
    later: bool = False
    force: bool = False
    by: Mapping[str, Any] = NOTHING


class Restart(NamedTuple):
    """Stop, then start; never counted as a failure.  `service`: the other service for whose sake that is done, where
    the record names it."""

    cause: Cause = Cause.RESTARTED_BY_USER
    by: Mapping[str, Any] = NOTHING
    service: str = ""


class Reset(NamedTuple):
    """Close the breaker and forget backoff and restart history; an instance that waits for either starts now."""

    by: Mapping[str, Any] = NOTHING


class SendSignal(NamedTuple):
    """Send signal `number` to the main process, as a user ordered.  `resume`: a stopped one is let go on to take it."""

    number: int
    by: Mapping[str, Any] = NOTHING
    resume: bool = False


class ReloadRefused(NamedTuple):
    """`reload_check` did not pass, so that a reload signal which a user ordered was not sent.  `number`: that signal.
    `why`: how the check ended.  `output`: its last lines."""

    number: int
    why: str
    output: tuple[str, ...] = ()
    by: Mapping[str, Any] = NOTHING


class Reconfigure(NamedTuple):
    """The configuration changed.  `restart`: the change takes effect only in a new incarnation.  `number_alone`: only
    the number of instances of its service did, which is no event in the life of this one."""

    spec: ServiceSpec
    restart: bool
    by: Mapping[str, Any] = NOTHING
    number_alone: bool = False


class BeginMaintenance(NamedTuple):
    """Leave the instance alone, for `lasts` seconds or until it is told otherwise.  `at`: now, in seconds since the
    epoch."""

    at: float
    lasts: float | None = None
    reason: str = ""
    by: Mapping[str, Any] = NOTHING


class EndMaintenance(NamedTuple):
    """Supervise the instance again.  `by` is empty where its time was over."""

    by: Mapping[str, Any] = NOTHING


class Replace(NamedTuple):
    """A rollout replaces the process by one of `spec`, with nothing held against it that the last one did."""

    spec: ServiceSpec
    revision: str
    cause: Cause
    by: Mapping[str, Any] = NOTHING


class StartPermitted(NamedTuple):
    """Dependencies are ready and a restart slot is free: spawn."""


class Connected(NamedTuple):
    """A connection waits on the socket `url` of an instance that starts on demand."""

    url: str


class Idle(NamedTuple):
    """An instance that starts on demand had no connection, open or new, for `seconds`."""

    incarnation: int
    seconds: float


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
    """A heartbeat that arrived at `at`.  `sent`: the sender's own monotonic time, if it was given.

    `process`: the process that beats for itself, by pid and start time; None: the main process, or the whole tree.
    `busy`: it begins work that may take so many seconds, in which it does not beat; `doing`: what that is."""

    incarnation: int
    at: float
    sent: float | None = None
    process: tuple[int, int] | None = None
    busy: float | None = None
    doing: str = ""


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


class Drained(NamedTuple):
    """The requests of a balanced instance that is to be stopped are answered, as far as the balancer knows."""

    incarnation: int


class KillIncomplete(NamedTuple):
    """Processes of the tree are still there although they were killed; `processes` names them with pid and state."""

    incarnation: int
    processes: tuple[str, ...]


class SuspectExamined(NamedTuple):
    """The result of the examination of a suspect.

    `alive`: it answered the confirming probe.  `held`: why its silence proves nothing (stopped, traced, frozen,
    starved), or None.  `ran`: its schedulable time in this silence, in seconds: since the suspicion began, and what was
    counted in earlier suspicions of the same silence.  `unasked`: why the confirming probe could not ask, or None.
    `shared`: `held` names what the process needs and what does not answer."""

    incarnation: int
    alive: bool
    held: str | None
    evidence: Mapping[str, Any] = NOTHING
    ran: float = 0.0
    unasked: str | None = None
    shared: bool = False


class MemberExamined(NamedTuple):
    """What was found of a silent process that beats for itself.

    `gone`: it has ended.  `stopped`: it is stopped while its main process is not.  `held`, `evidence` and `ran` as in
    `SuspectExamined`.  `shared`: `held` names what all processes need and what does not answer."""

    incarnation: int
    process: tuple[int, int]
    gone: bool = False
    stopped: bool = False
    held: str | None = None
    evidence: Mapping[str, Any] = NOTHING
    ran: float = 0.0
    shared: bool = False


class MemberLookedAt(NamedTuple):
    """What a look at a process that is at work has shown.

    `gone` and `stopped` as in `MemberExamined`.  `ran`: the CPU seconds that it has used since it began."""

    incarnation: int
    process: tuple[int, int]
    gone: bool = False
    stopped: bool = False
    ran: float = 0.0


class Stopping(NamedTuple):
    """`STOPPING=1`: the process ends by itself, and silence from here on is no hang."""

    incarnation: int


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
    """`EXTEND_TIMEOUT_USEC`: start, reload or stop takes longer; the deadline is now at least `seconds` away."""

    incarnation: int
    seconds: float


class Notified(NamedTuple):
    """The process sent an sd_notify datagram, of whatever content."""

    incarnation: int


class StatusText(NamedTuple):
    incarnation: int
    text: str


class NotifyRefused(NamedTuple):
    """Process `pid` of the tree sent a notification, and only those of the main process count."""

    incarnation: int
    pid: int


class ReloadBegun(NamedTuple):
    """`RELOADING=1`: the process reloads its configuration, and says READY=1 when that is done.  `sent`: when it said
    so by its own word (`MONOTONIC_USEC=`)."""

    incarnation: int
    sent: float | None = None


class ErrorTold(NamedTuple):
    """What the process says of its failure: `ERRNO=`, and what that number means on this host; `BUSERROR=`,
    `VARLINKERROR=`."""

    incarnation: int
    errno: int | None = None
    text: str = ""
    bus_error: str = ""
    varlink_error: str = ""


class DelayReset(NamedTuple):
    """`RESTART_RESET=1`: the process works, so that the next restart is delayed as the first one is."""

    incarnation: int


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
    | ReloadRefused
    | Reconfigure
    | BeginMaintenance
    | EndMaintenance
    | Replace
    | StartPermitted
    | Connected
    | Idle
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
    | Drained
    | KillIncomplete
    | SuspectExamined
    | MemberExamined
    | MemberLookedAt
    | Stopping
    | LimitExceeded
    | Triggered
    | Extended
    | Notified
    | StatusText
    | NotifyRefused
    | ReloadBegun
    | ErrorTold
    | DelayReset
    | MainPid
    | DaemonStalled
    | Timeout
)
"""Every event that `step` takes."""
