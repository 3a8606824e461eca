"""The documents that go over the wire: answers of the control API, messages of the stream, and what `--json` prints.

Each is a TypedDict, so that its producer and its readers are checked against the same fields; there is no logic here.
`scripts/openapi` makes the schemas of the API from these classes: the class name is the schema's name, a docstring or
the text in `Annotated[…]` its description, a pair in `Annotated[…]` another keyword of the schema.

Names that end in `_s` are seconds.  None means that there is no such thing at the moment.

Import it under TYPE_CHECKING: at run time the documents are plain dicts.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

JSON = dict[str, Any]
"""A JSON object whose fields are not fixed."""

Goal = Literal["up", "down"]
State = Literal["stopped", "starting", "running", "suspect", "stopping", "backoff", "exited", "failed"]
Breaker = Literal["closed", "open", "half-open"]
ServiceType = Literal["service", "oneshot"]
Seconds = Annotated[float, "seconds"]
Stamp = Annotated[str, ("format", "date-time")]

# -- status ----------------------------------------------------------------------------------------------------------


class Pressure(TypedDict):
    """`some avg10` of the kernel's pressure files in percent."""

    cpu: float | None
    memory: float | None
    io: float | None


class HostFigures(TypedDict):
    """What the daemon reads of the host and of itself."""

    load: list[float]
    cpus: int
    psi: Annotated[Pressure | None, "some avg10 in percent, for cpu, memory and io"]
    memory_bytes: int | None


class Supervisor(HostFigures):
    """The daemon itself."""

    pid: int
    name: str
    version: str
    upgraded_from: Annotated[str, "the version that this one took over from; empty: none"]
    uptime_s: Seconds
    started_at: Stamp
    host_starved: bool
    config: str
    runtime_dir: str
    state_dir: str
    lag_ms: float | None
    trees: Annotated[str, "how process trees are held together: cgroup or session"]
    instances: int
    ready: int
    failed: int
    closing: bool
    problems: list[str]


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
    blind_s: Annotated[Seconds | None, "for so long no probe could ask; its silence is not counted meanwhile"]


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
    cause: str
    since_s: Seconds | None
    exit_code: int | None
    signal: int | None
    out_of_memory: NotRequired[Annotated[str | None, "killed because memory ran out: the limit, empty if not known"]]
    next_restart_in_s: Seconds | None
    kill_in_s: Seconds | None
    ready_within_s: Seconds | None
    breaker: Breaker
    attempt: int
    waiting_for: str | None
    held: str | None
    paused: NotRequired[Annotated[str | None, "why its main process cannot run now: stopped, traced or frozen"]]
    on_suspect: NotRequired[Annotated[str | None, "what follows when its heartbeats stay away: restart or report"]]
    lingering: list[str]
    stuck: Annotated[bool, "it was killed again and again, and does not go"]
    detach: Annotated[bool, "it outlives the supervisor"]
    status: Annotated[str | None, "the last STATUS= of this run"]
    status_age_s: NotRequired[Annotated[float | None, "seconds since that STATUS= came; null: none, or not known"]]
    probe_error: str | None
    probe: NotRequired[Annotated[Probe | None, "null: no probe asks it"]]
    current: Annotated[bool, "runs the configuration now in force"]
    group: str | None
    type: ServiceType
    cpu_percent: float | None
    memory_bytes: int | None


class Status(TypedDict):
    """`status --json`: the daemon, and one row per instance."""

    supervisor: Supervisor
    instances: list[Instance]


# -- events ----------------------------------------------------------------------------------------------------------

_Change = TypedDict("_Change", {"from": State, "to": State})


class Event(_Change):
    """One state change with its cause; where `from` is `to`, one thing worth remembering."""

    id: int
    at: Stamp
    service: str
    instance: str
    incarnation: int
    goal: Goal
    cause: str
    detail: Annotated[
        JSON, "what else is known, by the cause; `by` of an order: user and client, or the signal to the daemon"
    ]


class OrderedBy(TypedDict):
    """The client of an order, as the kernel names the control socket's peer; `detail.by` of an event."""

    uid: NotRequired[int]
    user: NotRequired[Annotated[str | None, "its name in /etc/passwd"]]
    pid: NotRequired[Annotated[int | None, "the client; null: of another pid namespace"]]
    command: NotRequired[Annotated[list[str], "the client's command line, without secrets"]]
    signal: NotRequired[Annotated[int, "the order was a signal to the daemon"]]


class Events(TypedDict):
    """A page of events, oldest first."""

    events: list[Event]


# -- one instance in full --------------------------------------------------------------------------------------------


class Process(TypedDict):
    """One process of an instance's tree."""

    pid: int
    ppid: int
    command: str
    state: str
    cpu_percent: float | None
    memory_bytes: int | None
    threads: int | None


class Heartbeat(TypedDict):
    """What is configured under `heartbeat`."""

    source: str
    interval_s: Seconds
    detector: str
    threshold: float | None
    min_timeout_s: Seconds | None
    max_timeout_s: Seconds | None
    on_suspect: str


class InstanceDetail(Instance):
    """All about one instance."""

    command: list[str]
    description: str
    depends_on: list[str]
    directory: str | None
    tree: list[Process]
    intervals_s: Annotated[list[float], ("maxItems", 64)]
    transitions: Annotated[list[Event], ("maxItems", 20)]
    log_path: str | None
    start_timeout_s: Seconds
    stop_timeout_s: Seconds
    policy: str
    max_restarts: int
    window_s: Seconds
    restarts_in_window: int
    heartbeat: Heartbeat | None
    evidence: Annotated[Evidence, "what the last suspicion found; empty: there was none"]


# -- evidence: what was captured before a process was ended ----------------------------------------------------------


class Thread(TypedDict):
    """One thread of an examined process."""

    tid: int
    name: str
    state: str
    waits_in: Annotated[str | None, "the kernel function that it sleeps in"]
    cpu_s: Seconds
    stack: NotRequired[Annotated[list[str], "its stack inside the kernel"]]


class SocketEnds(TypedDict):
    """What a table of the kernel tells of a socket."""

    kind: str
    path: NotRequired[str | None]
    local: NotRequired[str]
    remote: NotRequired[str]
    state: NotRequired[str]
    send_queue: NotRequired[int]
    receive_queue: NotRequired[int]


class Socket(SocketEnds):
    """One open socket; what no table of the kernel knows is of the kind `other`."""

    fd: int


_Is = TypedDict("_Is", {"is": str})


class OpenFile(_Is):
    """One open descriptor that is no socket."""

    fd: int


class ExaminedProcess(TypedDict):
    """One process of a suspect's tree."""

    pid: int
    ppid: int
    name: str
    state: str
    memory_bytes: int
    swap_bytes: int | None
    cpu_s: Seconds
    thread_count: int
    threads: list[Thread]
    command: Annotated[str | None, "null: to read it could have meant to wait"]
    environment: NotRequired[Annotated[list[str], "names of its variables; of the main process only"]]
    limits: NotRequired[dict[str, int]]
    sockets: list[Socket]
    fds: int | None
    files: list[OpenFile]


class Stack(TypedDict):
    """A stack that a process wrote when asked, or that py-spy saw."""

    pid: int
    how: str
    lines: NotRequired[list[str]]
    error: NotRequired[str | None]


class Core(TypedDict):
    """Where a core file will be."""

    pattern: str
    limit_bytes: NotRequired[int | None]
    directory: NotRequired[str]


class Waited(TypedDict):
    """How much of the time the suspect could run."""

    share: Annotated[float, "the part of the time in which it waited for a CPU, memory or a disk"]
    ran_s: Seconds


class ExaminedHost(TypedDict):
    """The state of the host during an examination."""

    load: list[float]
    cpus: int | None
    psi: NotRequired[
        Annotated[
            dict[str, dict[str, list[float]]],
            "pressure by resource (cpu, memory, io) and kind (some, full): percent of the last 10 and 60 s",
        ]
    ]


class Evidence(TypedDict, total=False):
    """What an examination found.  Parts are missing where it was cut short, was too large, or found nothing."""

    pid: int
    held: Annotated[str | None, "why the silence proves nothing"]
    cgroup: Annotated[JSON | None, "its path, whether it is frozen, and the kernel's files about it"]
    host: ExaminedHost
    last_lines: list[str]
    processes: list[ExaminedProcess]
    processes_left_out: int
    others_can_run: Annotated[bool, "held is one process of several; the others can run, so their time counts"]
    waited: Waited
    stacks: list[Stack]
    core: Core
    cut_short: str
    shed: Annotated[bool, "parts were left out because it was too large"]
    took_ms: float


# -- other answers ---------------------------------------------------------------------------------------------------


class Service(TypedDict):
    """One configured service."""

    name: str
    description: str
    type: ServiceType
    group: str | None
    depends_on: list[str]
    instances: list[str]
    autostart: bool
    command: list[str]


class Services(TypedDict):
    """What is configured, in start order."""

    services: list[Service]


class Accepted(TypedDict):
    """The answer to an action."""

    instances: Annotated[list[str], "affected; what follows is on /v1/stream"]


class Nothing(TypedDict):
    """An answer that says only that it was done."""


class Difference(TypedDict):
    """What a reload changes, or would change."""

    applied: bool
    added: list[str]
    removed: list[str]
    changed: Annotated[dict[str, list[str]], "the keys that changed, by service"]
    restarted: list[str]
    unchanged: int
    supervisor: Annotated[list[str], "keys that take effect when the daemon is started again"]


_Versions = TypedDict("_Versions", {"from": str, "to": str})


class Upgrade(_Versions):
    """The version that goes and the one that takes over in the same process."""

    python: str
    pid: int


class LogLine(TypedDict):
    """One line of output."""

    at: Annotated[float | None, "seconds since the epoch; null: not known"]
    text: str


class Logs(TypedDict):
    """A page of an instance's output; `first` and `last` are cursors."""

    instance: str
    lines: list[LogLine]
    first: str
    last: str
    at_end: bool


class Health(TypedDict):
    """The control loop turns."""

    status: str


class Readiness(TypedDict):
    """Whether every wanted instance is ready."""

    status: str
    waiting_for: list[str]


class Problem(TypedDict):
    """What was wrong with a call, and what to do."""

    code: str
    message: str
    hint: str
    known: list[str]


class Error(TypedDict):
    """The body of every answer from 400 on."""

    error: Problem


# -- the stream ------------------------------------------------------------------------------------------------------


class LogMessage(TypedDict):
    """New lines of one instance."""

    instance: str
    at: Annotated[float, "seconds since the epoch"]
    lines: list[str]


class Interruption(TypedDict):
    """Why there is no stream at the moment.  The client says it, not the daemon."""

    error: str


StreamMessage = (
    tuple[Literal["event"], Event]
    | tuple[Literal["status"], Status]
    | tuple[Literal["log"], LogMessage]
    | tuple[Literal["lagged", "connected"], Nothing]
    | tuple[Literal["disconnected"], Interruption]
)
"""What `Client.stream` gives: the name of a message, and its data."""

# -- `report --json` -------------------------------------------------------------------------------------------------


class Ratios(TypedDict):
    """The mission's ratios; null: there is nothing to divide by."""

    replication: float | None
    consistency: float | None
    load: float | None
    fault_ratio: float | None
    recovery_ratio: float | None


class Detection(TypedDict):
    """How long failures of one cause went unnoticed."""

    mean_s: Seconds | None
    max_s: Seconds | None


class Figures(Ratios):
    """How well it went, of one service or of all."""

    instances: int
    wanted_s: Seconds
    ready_s: Seconds
    unknown_s: Seconds
    availability: float | None
    failures: int
    failures_by_cause: dict[str, int]
    recovered: int
    restarts: int
    breaker_opened: int
    false_suspicions: int
    holds: int
    mtbf_s: Seconds | None
    outages: int
    mttr_s: Seconds | None
    longest_outage_s: Seconds | None
    detection_mean_s: Seconds | None
    detection_max_s: Seconds | None
    detection_by_cause: dict[str, Detection]


class ServiceFigures(Figures):
    """The figures of one service."""

    service: str


class Report(TypedDict):
    """`report --json`."""

    since: Stamp
    until: Stamp
    seconds: Seconds
    services: list[ServiceFigures]
    total: Figures


# -- `why --json` ----------------------------------------------------------------------------------------------------


class Excuse(TypedDict):
    """A silence that never became a suspicion."""

    at: Stamp
    why: str | None
    for_s: Seconds | None


class Outlook(TypedDict):
    """What comes next, and in how many seconds; null: no clock decides."""

    what: str
    in_s: Seconds | None


class IncidentStory(TypedDict):
    """One incident in words."""

    at: Stamp
    incarnation: int
    cause: str
    outcome: str
    by_person: bool
    says: str
    place: Annotated[str | None, "where the process was: hangs at FILE:LINE in FUNCTION()"]
    detail: JSON
    evidence_id: int | None
    seen: list[str]
    captured: list[str]
    said: list[str]
    decided: list[str]
    after: list[str]


Moment = TypedDict("Moment", {"at": Stamp, "says": str})  # noqa: UP013 - this file has at most 600 lines


class Why(TypedDict):
    """`why --json`: the last failures of one instance."""

    instance: str
    service: str
    state: State | None
    ready: bool | None
    now: str
    target: str | None
    known_since: Stamp | None
    failures: int
    false_alarms: int
    excused: list[Excuse]
    last_order: Annotated[Moment | None, "the last order of a user whose client is known"]
    incidents: list[IncidentStory]
    next: Outlook
