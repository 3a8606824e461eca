"""What a connection to ZooKeeper reports.  kazoo's threads post it, and the agent's main loop takes it."""

from __future__ import annotations

from typing import NamedTuple

from supervisor.core.cluster.requests import Answer, Verb


class Connected(NamedTuple):
    """There is a connection.  `granted`: the session's timeout in seconds as the server granted it."""

    session: int
    password: bytes
    granted: float


class Disconnected(NamedTuple):
    """The connection is lost; the session may live on."""

    reason: str


class Expired(NamedTuple):
    """The server has ended the session; the client is informed when it is connected again."""


class Answered(NamedTuple):
    """The request with this number ended."""

    number: int
    answer: Answer


class Changed(NamedTuple):
    """A watch of an earlier request fired."""

    verb: Verb
    path: str


class Ended(NamedTuple):
    """kazoo's own thread has ended: this client is of no use any more."""

    reason: str


Event = Connected | Disconnected | Expired | Answered | Changed | Ended
