"""The documents about the hosts of a cluster: what each keeps in ZooKeeper of itself, and how any member shows it.

documents.py says how documents are used.
"""

from __future__ import annotations

from typing import Annotated, TypedDict

from supervisor.core.model.cluster_documents import EngineState, SlotNowhere
from supervisor.core.model.document_types import Goal, Seconds, Stamp, State
from supervisor.core.model.documents import Event
from supervisor.core.model.story_documents import IncidentStory, Moment, Why

# -- what a host keeps in ZooKeeper -----------------------------------------------------------------------------------


class InstanceSummary(TypedDict):
    """One instance on its host."""

    name: str
    service: str
    goal: Goal
    state: State
    ready: bool
    missing: Annotated[bool, "it should be up, and is not"]
    run: Annotated[int, "its incarnation there; 0: nothing has run yet"]
    since: Annotated[Stamp | None, "of the state, by the clock of its host; null: not known"]
    says: Annotated[str, "the cause, in one line"]


class HostSummary(TypedDict):
    """`status/HOST`: the instances of a host.  An instance whose slot another host holds is in the summary of that
    host."""

    wanted: Annotated[int, "instances that should be up there"]
    ready: Annotated[int, "those of them that are ready"]
    missing: Annotated[int, "those of them that are not up"]
    instances: list[InstanceSummary]
    left_out: Annotated[int, "instances without trouble for which there was no room"]


class HostStory(TypedDict):
    """What `why` needs of one instance when its host is gone."""

    instance: str
    service: str
    known_since: Stamp | None
    failures: int
    false_alarms: int
    last_order: Moment | None
    incidents: Annotated[list[IncidentStory], "the last ones, oldest first"]


class HostRecord(TypedDict):
    """`incidents/HOST`: the last failures and the last events of a host."""

    stories: Annotated[list[HostStory], "the one with the newest incident first"]
    events: Annotated[list[Event], "oldest first"]
    left_out: Annotated[int, "instances with incidents for which there was no room"]


# -- what a member shows of all hosts ---------------------------------------------------------------------------------


class HostView(TypedDict):
    """A host, as the daemon of any member shows it."""

    node: str
    here: Annotated[bool, "its session lives"]
    drained: bool
    taking: Annotated[bool, "it may take slots"]
    reason: Annotated[str, "why it takes none"]
    slots: Annotated[list[str], "those that it holds"]
    age_s: Annotated[Seconds | None, "since its last contact, by ZooKeeper's clock; null: nothing is known"]
    heard_at: Annotated[Stamp | None, "the same as a moment, by the clock of the host that answers"]
    summary: Annotated[HostSummary | None, "null: nothing is known"]
    error: Annotated[str, "why what is known may be old; empty: it is what ZooKeeper has"]


class SlotWithoutHost(SlotNowhere):
    """A slot that no host holds, with the name of its instance."""

    name: str


class HostsView(TypedDict):
    """`GET /v1/cluster/hosts`: all hosts that have ever belonged to the cluster."""

    node: Annotated[str, "the host that answers"]
    engine: EngineState
    agent_age_s: Annotated[Seconds, "since the agent of this host spoke last"]
    nowhere: list[SlotWithoutHost]
    hosts: list[HostView]


class HostDetail(HostView):
    """`GET /v1/cluster/hosts/NODE`: one host with its record, which ZooKeeper keeps when the host is gone."""

    record: HostRecord | None


class HostEvent(Event):
    """A line of `events --cluster --json`."""

    host: str


class HostWhy(Why):
    """`why SERVICE@HOST --json`."""

    host: str
    here: bool
    age_s: Seconds | None
    error: Annotated[str, "why what is known may be old; empty: it is what ZooKeeper has"]
