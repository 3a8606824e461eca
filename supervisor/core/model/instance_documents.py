"""The document of one instance, a row of the status, and its parts.  documents.py says how they are used."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypedDict

from supervisor.core.model.balance_documents import Balanced
from supervisor.core.model.document_types import Breaker, Goal, Seconds, ServiceType, Stamp, State
from supervisor.core.model.placed_document import Placed
from supervisor.core.model.socket_documents import HeldSocket


class Target(TypedDict):
    """What became of `heartbeat.target`; rates are false restarts in 30 days."""

    detect_within_s: Seconds
    max_false_restarts_per_30d: float
    feasible: Annotated[bool | None, "can both be met? null: too little is known"]
    sure: Annotated[bool, "so says the other end of the 95 %, too"]
    patience_s: Annotated[float, "seconds; never suspected earlier"]
    most_s: Annotated[float, "seconds; always suspected by then"]
    needs_s: Annotated[float | None, "seconds; the silence that max_false_restarts needs"]
    needs_high_s: Seconds | None
    false_restarts_per_30d: Annotated[float | None, "predicted at patience_s, of all instances together"]
    low_per_30d: float | None
    high_per_30d: float | None
    proven_per_30d: Annotated[float | None, "at most, by what was seen alone"]
    seen: Annotated[int, "recorded intervals longer than patience_s"]
    beats: int
    beats_needed: int
    recorded_s: Seconds
    says: str


class InstanceName(TypedDict):
    """An instance of which nothing is known but that it was there."""

    name: str
    service: str


class Probe(TypedDict):
    """The probes of an instance (`ready` and `heartbeat` by http, tcp or exec) that could not ask it."""

    failures: Annotated[int, "probes that could not ask, since the instance exists"]
    error: Annotated[str | None, "why the last one could not ask; null: it did ask"]
    blind_s: Annotated[Seconds | None, "for so long no probe could ask; during that time its silence is not counted"]


class StopStep(TypedDict):
    """Which step of a stop with several (`stop`) is under way."""

    step: int
    of: int
    signal: Annotated[int, "the signal that was sent"]
    next_signal: int
    next_in_s: Seconds | None


class OwnReload(TypedDict):
    """The last reload of its process, of which it tells by RELOADING=1 and READY=1 (docs/notify.md)."""

    state: Annotated[
        Literal["asked", "begun", "done", "timed-out"],
        "the reload signal was sent and not answered yet, RELOADING=1 came, READY=1 came, or it did not in time",
    ]
    since_s: Annotated[Seconds, "since the signal; without one, since RELOADING=1"]
    within_s: Annotated[Seconds | None, "it has so long to end; null: it has ended, or was given up"]


class ToldError(TypedDict):
    """What the process said of its failure (ERRNO=, BUSERROR=, VARLINKERROR=)."""

    errno: NotRequired[int]
    text: NotRequired[Annotated[str, "what the number means on that host"]]
    bus: NotRequired[str]
    varlink: NotRequired[str]


class Maintenance(TypedDict):
    """An instance is in maintenance: the daemon neither restarts nor ends it by itself."""

    since: Stamp
    ends_at: Annotated[Stamp | None, "null: until it is ended"]
    ends_in_s: Seconds | None
    reason: str
    by: Annotated[str, "the user and client that ordered it; empty: not known"]
    ended: Annotated[bool, "its process has ended in maintenance; what follows is decided when that is over"]


class BeatingProcess(TypedDict):
    """A process that beats for itself (`heartbeat.scope = "process"`)."""

    pid: int
    silent_s: Annotated[Seconds, "since its last beat; after its first beat, since that"]
    phi: Annotated[float | None, "null: its silence is only shown"]
    suspect_s: Annotated[Seconds | None, "for so long it has been under suspicion"]
    ended_s: Annotated[Seconds | None, "so long ago it was killed for its silence, and is not gone yet"]
    held: Annotated[str | None, "why its silence is not acted on"]
    doing: Annotated[str | None, "what it said that it works on"]
    busy_for_s: Annotated[Seconds | None, "for so long it may still be silent because of that; null: any time"]


class EndedProcess(TypedDict):
    """The last process that was ended alone because it was silent."""

    pid: int
    ago_s: Seconds
    replaced_by: Annotated[int | None, "the first new process that beat afterwards"]
    replaced_after_s: Seconds | None


class Instance(InstanceName):
    """One instance: a row of the status.  What is not required is missing in the answers of earlier daemons."""

    goal: Goal
    state: State
    ready: bool
    pid: int | None
    incarnation: int
    uptime_s: Seconds | None
    restarts: int
    detector: str | None
    phi: float | None
    threshold: float | None
    last_heartbeat_age_s: Seconds | None
    suspect_in_s: Seconds | None
    false_suspicions: int
    target: Annotated[Target | None, "what became of heartbeat.target"]
    processes: NotRequired[Annotated[list[BeatingProcess], "heartbeat.scope = process: those that beat, worst first"]]
    ended_process: NotRequired[EndedProcess | None]
    cause: str
    since_s: Seconds | None
    exit_code: int | None
    signal: int | None
    left_behind: NotRequired[Annotated[bool, "its process ended while others of its tree were running"]]
    out_of_memory: NotRequired[Annotated[str | None, "killed because memory ran out: the limit, empty if not known"]]
    next_restart_in_s: Seconds | None
    kill_in_s: Seconds | None
    stop_step: NotRequired[Annotated[StopStep | None, "null: it does not stop, or stops in one step"]]
    drain_s: NotRequired[Annotated[Seconds | None, "it is drained before it is stopped, for at most so long"]]
    ready_within_s: Seconds | None
    breaker: Breaker
    attempt: int
    waiting_for: str | None
    waiting_because: NotRequired[Annotated[str | None, "why that is not there: a breaker, or the limit of a group"]]
    maintenance: NotRequired[Annotated[Maintenance | None, "null: it is supervised"]]
    held: str | None
    paused: NotRequired[Annotated[str | None, "why its main process cannot run now: stopped, traced or frozen"]]
    on_suspect: NotRequired[Annotated[str | None, "what follows when its heartbeats stay away: restart or report"]]
    lingering: list[str]
    stuck: Annotated[bool, "it was killed again and again, and does not go"]
    detach: Annotated[bool, "it outlives the supervisor"]
    status: Annotated[str | None, "the last STATUS= of this run"]
    status_age_s: NotRequired[Annotated[float | None, "seconds since that STATUS= came; null: none, or not known"]]
    start_error: NotRequired[Annotated[str | None, "why the last start created no process; null: one was created"]]
    probe_error: str | None
    probe: NotRequired[Annotated[Probe | None, "null: no probe asks it"]]
    current: Annotated[bool, "runs the configuration now in force"]
    group: str | None
    type: ServiceType
    min_ready: NotRequired[Annotated[int | None, "its service is ready from so many ready instances; null: all"]]
    port: NotRequired[Annotated[int | None, "its own one of `ports`; null: the service has none"]]
    reload: NotRequired[Annotated[OwnReload, "missing: its process has said nothing of a reload"]]
    error: NotRequired[Annotated[ToldError, "missing: it has said nothing of a failure"]]
    stored: NotRequired[Annotated[list[str], "the names of the descriptors that it has stored (FDSTORE=1)"]]
    cpu_percent: float | None
    memory_bytes: int | None
    on_demand: NotRequired[Annotated[bool, "a connection starts it; stopped with the goal up: it waits for one"]]
    sockets: NotRequired[Annotated[list[HeldSocket] | None, "null: the daemon holds none for it"]]
    balanced: NotRequired[Annotated[Balanced | None, "null: no balancer is in front of it"]]
    placed: NotRequired[Annotated[Placed, "only of a service with placement.mode one or spread"]]
