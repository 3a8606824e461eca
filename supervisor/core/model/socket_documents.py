"""The documents of sockets: those that the daemon holds, and those of an examined process.  documents.py says how they
are used."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict


class HeldSocket(TypedDict):
    """A listening socket that the daemon holds for an instance, and its queue."""

    url: str
    waiting: Annotated[int, "connections that wait to be accepted"]
    limit: Annotated[int, "so many may wait"]
    overflows: Annotated[int | None, "connections refused because the queue was full; null: the kernel does not tell"]


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
