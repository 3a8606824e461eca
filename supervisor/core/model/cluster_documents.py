"""The documents of a cluster: what the agent and the daemon tell each other, and what commands read and order.

Moments are seconds of CLOCK_BOOTTIME of this host.  Agent and daemon talk over `cluster.sock` in the runtime directory
(SOCK_SEQPACKET, one document a packet); commands use the control socket.  documents.py says how documents are used.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from supervisor.core.model.push_documents import PushedAnswer, PushedWord, PushOrder


class EngineState(TypedDict):
    """ZooKeeper, as the agent sees it."""

    state: Annotated[Literal["connected", "away", "refused"], "refused: it answers, and allows something not"]
    since: float
    reason: str
    session: Annotated[str, "the number of the session, in hexadecimal; empty: there is none"]
    granted: Annotated[float, "the timeout of the session in seconds, as ZooKeeper granted it; 0: there is none"]


class LeaseDocument(TypedDict):
    """One slot that this host holds.  An instance starts between `start_at` and `stop_at`, under `epoch`."""

    service: str
    slot: int
    epoch: int
    start_at: float
    stop_at: float
    kill_at: float
    released: Annotated[bool, "stop it in order now: the slot is given back when nothing of it is left"]


class SlotElsewhere(TypedDict):
    """A slot that another host holds."""

    service: str
    slot: int
    node: str


class SlotNowhere(TypedDict):
    """A slot that no host holds, and why none takes it."""

    service: str
    slot: int
    reason: str


class MemberDocument(TypedDict):
    """A host of the cluster."""

    node: str
    address: str
    version: str
    labels: dict[str, str]
    here: Annotated[bool, "its session lives"]
    drained: bool
    taking: Annotated[bool, "it may take slots"]
    reason: Annotated[str, "why it takes none"]
    slots: Annotated[list[str], "those that it holds, as SERVICE@I, counted from 1"]


class OrderDocument(TypedDict):
    """An order of a user, which the daemon keeps until the agent reports its outcome."""

    id: str
    verb: Annotated[
        Literal["move", "drain", "undrain", "evict", "summary", "record"],
        "summary, record: read what a host has told last; given by the daemon alone",
    ]
    node: str
    service: NotRequired[str]
    slot: NotRequired[int]


class OrderOutcome(TypedDict):
    """What became of an order.  It is repeated until the daemon no longer lists the order."""

    id: str
    done: bool
    error: str
    record: NotRequired[Annotated[dict[str, Any], "of summary and record: what the host has told, and its age_s"]]
    number: NotRequired[
        Annotated[
            int, "of a push: the version that it has begun, that is in force with this text, or that it takes back"
        ]
    ]


class ShareDocument(TypedDict, total=False):
    """What a member publishes of its balanced instances (core/cluster/share.py); empty: it has none."""

    offers: Annotated[
        dict[str, list[list[Any]]], "by service: [instance, incarnation, port] of each that takes requests"
    ]
    takes: Annotated[list[str], "services whose instances on other hosts get requests from its HAProxy"]
    serial: Annotated[str, "of its last withdrawal, as RUN.N"]
    settled: Annotated[dict[str, str], "by host: the last serial of which nothing withdrawn is used any more"]


class SharingHost(TypedDict):
    """A member with its balanced instances."""

    node: str
    address: str
    share: ShareDocument


class ClusterWord(TypedDict):
    """What the agent sends to the daemon, in each contact interval and at each change."""

    node: str
    at: Annotated[float, "when it was said"]
    engine: EngineState
    believe_s: Annotated[float, "seconds after its last word at which the dead-man may give the daemon up"]
    leases: list[LeaseDocument]
    elsewhere: list[SlotElsewhere]
    nowhere: list[SlotNowhere]
    completed: Annotated[list[str], "services whose oneshot has succeeded in the cluster"]
    members: list[MemberDocument]
    problems: list[str]
    outcomes: list[OrderOutcome]
    pushed: NotRequired[Annotated[PushedWord, "absent: not read yet"]]
    hosts: Annotated[list[SharingHost] | None, "the other members that are there; null: not read yet"]
    heard: Annotated[list[str], "other members whose heartbeats come"]
    suspects: Annotated[list[str], "other members whose heartbeats fail to come"]


class PlacedService(TypedDict):
    """A placed service as the daemon has it."""

    service: str
    mode: Literal["one", "spread"]
    instances: int
    require: dict[str, str]
    prefer: dict[str, str]
    apart: str
    digest: Annotated[str, "of its rules: hosts with another one take nothing over from each other"]
    stop_timeout: Annotated[float, "seconds that an orderly stop may take, hooks among them"]
    wanted: Annotated[bool, "this host may run it: its goal is up, it is not in maintenance and has not failed"]
    completes: Annotated[bool, "a oneshot: its success counts for the cluster"]


class PlacedInstance(TypedDict):
    """An instance of a slot on this host.  `name`: also that of its tree at the dead-man."""

    name: str
    service: str
    slot: int
    epoch: Annotated[int, "the last one under which it was started; 0: none"]
    gone: Annotated[bool, "nothing is left of that epoch"]
    completed: Annotated[bool, "a oneshot has succeeded under that epoch"]
    ready: bool


class ClusterAnswer(TypedDict):
    """What the daemon has: its answer, which it also sends when it changes."""

    heard: Annotated[float, "`at` of the last word that the daemon has heard; 0: it has heard none"]
    able: Annotated[bool, "it may run exclusive services: the dead-man is there, the host is not starved"]
    reason: str
    services: list[PlacedService]
    instances: list[PlacedInstance]
    orders: list[OrderDocument]
    status: Annotated[dict[str, Any], "HostSummary, which other hosts can read while this one is gone"]
    incidents: Annotated[dict[str, Any], "HostRecord: what `why` and `events` need when this host is gone"]
    pushed: PushedAnswer
    pushes: list[PushOrder]
    share: ShareDocument


class ClusterView(TypedDict):
    """`GET /v1/cluster`: the agent's last message."""

    age_s: Annotated[float | None, "seconds since the agent told it; null: it has told nothing"]
    word: ClusterWord | None


class NewOrder(TypedDict):
    """The body of `POST /v1/cluster/orders`: an order without its id, with which the daemon answers."""

    verb: Literal["move", "drain", "undrain", "evict"]
    node: str
    service: NotRequired[str]
    slot: NotRequired[int]


class Ordered(TypedDict):
    """The answer to a new order.  `GET /v1/cluster/orders/ID` shows its outcome."""

    id: str


class OrderState(TypedDict):
    """What became of an order."""

    outcome: Annotated[OrderOutcome | None, "null: not known yet, or no longer"]
