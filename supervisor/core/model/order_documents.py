"""The documents of orders: the giver of one, and the rollouts that one begins.  documents.py says how they are used."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from supervisor.core.model.document_types import Seconds


class OrderedBy(TypedDict):
    """The client of an order, as the kernel names the peer of its connection; `detail.by` of an event."""

    uid: NotRequired[int]
    user: NotRequired[Annotated[str | None, "its name in /etc/passwd"]]
    pid: NotRequired[Annotated[int | None, "the client; null: of another pid namespace"]]
    command: NotRequired[Annotated[list[str], "the client's command line, without secrets"]]
    web: NotRequired[Annotated[str, "the order came from a page of the web view: the address of the browser"]]
    signal: NotRequired[Annotated[int, "the order was a signal to the daemon"]]


class Rollout(TypedDict):
    """The newest rollout of a service, since its services were last started."""

    id: str
    service: str
    order: Annotated[str, "what began it: reload, restart or undo"]
    state: Annotated[str, "running, rolling-back, halted, finished or rolled-back"]
    paused: bool
    reason: Annotated[str | None, "why it was rolled back or halted"]
    by: Annotated[OrderedBy, "its giver; empty: the daemon itself"]
    began_s: Annotated[float, "seconds since it began"]
    since_s: Annotated[float, "seconds since it is in this state"]
    changed: Annotated[list[str], "the keys that differ between the two definitions; empty: a restart"]
    deviates: Annotated[bool, "the file has another definition than the one in force"]
    instances: Annotated[int, "that are wanted up"]
    current: Annotated[int, "of those, on the definition in force"]
    settled: Annotated[int, "of those, ready for long enough"]
    ready: Annotated[int, "ready on either definition"]
    max_unavailable: int
    max_surge: NotRequired[Annotated[int, "how many more may run during the rollout; absent: none"]]
    surge: NotRequired[Annotated[list[str], "the instances that run beside the others"]]
    settle_s: Seconds
    on_failure: str
    waiting_for: Annotated[list[str], "instances that have not settled, or are in maintenance and not replaced"]


class Scaling(TypedDict):
    """A service that `scale` has given another number of replicas, while that is under way."""

    service: str
    before: Annotated[int, "replicas before"]
    replicas: Annotated[int, "replicas now"]
    starting: Annotated[list[str], "new instances that are not ready yet"]
    stopping: Annotated[list[str], "instances that still end"]
    began_s: Annotated[float, "seconds since it was ordered"]
    by: Annotated[OrderedBy, "its giver"]


class Rollouts(TypedDict):
    """The newest rollouts of services that had one."""

    rollouts: list[Rollout]
    scaling: NotRequired[Annotated[list[Scaling], "services that are being scaled; absent: none"]]
