"""The documents of a pushed configuration: what daemon, agent and commands tell each other.

cluster_documents.py says over which ways; documents.py how they are used.
"""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypedDict


class PushedTurn(TypedDict):
    """What this host is to run."""

    number: Annotated[int, "0: its own file"]
    digest: str
    seq: Annotated[int, "the step of the push in which it was told that; 0: in none"]


class PushedHost(TypedDict):
    """A host of the cluster and its configuration."""

    node: str
    here: Annotated[bool, "its session lives"]
    told: Annotated[int, "the version that it is to run; 0: its own file"]
    number: Annotated[int, "the version that it runs or changes to"]
    health: Literal["ready", "changing", "failed"]
    reason: Annotated[str, "why it has failed"]
    differs: Annotated[bool, "its own file is another one than the version that it runs"]


class PushedVersion(TypedDict):
    """A version of the configuration."""

    number: int
    digest: str
    by: str
    host: Annotated[str, "where it was pushed"]
    at: Annotated[float, "when, in seconds since 1970"]
    origin: Annotated[int, "of an undo: the version whose text it is; else 0"]
    state: Annotated[str, "rolling, in force, replaced, rolling back or rolled back"]
    reason: Annotated[str, "why it was rolled back"]
    failed_on: Annotated[str, "the host; empty: a person took it back"]


class PushedWord(TypedDict):
    """The pushed configurations, as the agent knows them."""

    turn: PushedTurn
    number: Annotated[int, "of the newest version; 0: nothing was pushed"]
    in_force: int
    phase: Literal["settled", "rolling", "returning"]
    consistency: Annotated[float, "C: the part of the hosts that runs the version on which all are to end"]
    hosts: list[PushedHost]
    history: Annotated[list[PushedVersion], "oldest first"]
    problem: str
    text: NotRequired[Annotated[str, "of the version that the daemon lacks; not told to commands"]]
    keep: NotRequired[Annotated[bool, "the record is lost, and the text of the version that the daemon runs is wanted"]]


class PushedAnswer(TypedDict):
    """What the daemon runs."""

    number: int
    digest: str
    seq: int
    health: Literal["ready", "changing", "failed"]
    reason: str
    differs: bool
    wants: Annotated[tuple[int, str] | None, "the number and digest of a version whose text it lacks"]
    plan: NotRequired[Annotated[tuple[int, str], "the version that its plan was read from, while it changes, too"]]
    text: NotRequired[Annotated[str, "where it is wanted: that of the version; empty: it has none"]]


class PushOrder(TypedDict):
    """A push or an undo, which the daemon keeps until the agent reports its outcome."""

    id: str
    text: str
    by: str
    at: float
    mark: str
    max_unavailable: str
    timeout: float
    undo: bool
    takes_back: Annotated[int, "of an undo: the version whose push is in progress and is to be taken back; 0: none"]


class NewPush(TypedDict):
    """The body of `POST /v1/cluster/pushes`."""

    text: str
    max_unavailable: str
    timeout: float
    undo: bool
    takes_back: int
