"""The documents that go over the wire: answers of the control API, messages of the stream, and what `--json` prints.

Each is a TypedDict, so that its producer and its readers are checked against the same fields; there is no logic here.
`scripts/openapi` makes the schemas of the API from these classes: the class name is the schema's name, a docstring or
the text in `Annotated[…]` its description, a pair in `Annotated[…]` another keyword of the schema.

Names that end in `_s` are seconds.  None means that there is no such thing at the moment.

Import it under TYPE_CHECKING: at run time the documents are plain dicts.
"""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypedDict

from supervisor.core.model.document_types import JSON, Goal, Seconds, ServiceType, Stamp, State
from supervisor.core.model.evidence_documents import Evidence
from supervisor.core.model.instance_documents import Instance
from supervisor.core.model.log_documents import LogMessage
from supervisor.core.model.order_documents import Rollout

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


class Deviation(TypedDict):
    """A service with another number of replicas than the file says."""

    service: str
    replicas: int
    configured: int


class ActiveProfiles(TypedDict, total=False):
    """Only where any service has profiles."""

    profiles: Annotated[list[str], "that are active"]
    inactive: Annotated[dict[str, list[str]], "services that are not there, with their profiles"]


class Supervisor(HostFigures, ActiveProfiles):
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
    deviations: NotRequired[Annotated[list[Deviation], "services that `scale` changed; the next reload ends that"]]
    problems: list[str]
    rollouts: NotRequired[Annotated[list[Rollout], "that are under way, halted, or not as the file has it"]]


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
    end_with: NotRequired[Annotated[bool, "everything ends with it"]]
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
    restarted: Annotated[list[str], "what needs new processes"]
    started: NotRequired[Annotated[list[str], "of these: nothing runs because it failed or ended, and it is started"]]
    resting: NotRequired[Annotated[list[str], "of these: nothing runs, and it is changed at its next start"]]
    rolled: NotRequired[Annotated[list[str], "not restarted at once, but instance by instance"]]
    retried: NotRequired[
        Annotated[dict[str, str], "the definition that the file has was taken out of force before: why"]
    ]
    unchanged: int
    supervisor: Annotated[list[str], "keys that take effect when the daemon is started again"]
    profiles: NotRequired[Annotated[list[str], "that are active from now on, where they were others"]]
    scale_ended: NotRequired[Annotated[dict[str, int], "how many replicas services have by `scale`, which ends"]]


class Scaled(TypedDict):
    """What an order to scale starts and stops."""

    started: list[str]
    stopped: list[str]


_Versions = TypedDict("_Versions", {"from": str, "to": str})


class Upgrade(_Versions):
    """The version that goes and the one that takes over in the same process."""

    python: str
    pid: int


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
