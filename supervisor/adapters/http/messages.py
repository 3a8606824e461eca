"""The types that the server and the handler of its requests exchange: requests, answers and streams.

They have a file of their own, so that handlers, test doubles and the connection need not import the server.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Peer(NamedTuple):
    """The client at the other end of a connection, as the kernel tells it.

    Of a Unix socket: when it connected; `pid` is 0 for a client in a pid namespace that this process does not see. On
    TCP: `address` with its port, and the user where the client's socket is on this machine; else `uid` is None.
    """

    pid: int
    uid: int | None
    address: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A complete request. Header names are lower case. `local`: it came through the Unix socket. `peer`: the client, of
    a request that changes something.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    local: bool
    peer: Peer | None = None


class Stream(Protocol):
    """An answer that is sent piece by piece."""

    @property
    def backlog(self) -> int:
        """Bytes that the client has not taken yet."""
        ...

    def send(self, data: bytes) -> None:
        """Queue `data`. A client that lags more than a MiB behind gets the farewell and is disconnected."""
        ...

    def when_flushed(self, callback: Callable[[], None]) -> None:
        """Call `callback` once as soon as nothing is queued; never if the stream ends first."""
        ...

    def end(self) -> None:
        """End the stream."""
        ...


class Exchange(Protocol):
    """A request and its one answer, given at once or later. Answers to a client that has disconnected are dropped."""

    request: Request

    def reply(self, status: int, body: bytes, content_type: str, headers: tuple[tuple[str, str], ...] = ()) -> None: ...

    def stream(self, content_type: str, farewell: bytes, on_close: Callable[[], None]) -> Stream:
        """Answer 200 and continue sending. `farewell` is the last data that a client which lags too far behind gets."""
        ...


class Handler(Protocol):
    """Answers the requests of a server."""

    def handle(self, exchange: Exchange) -> None: ...

    def refusal(self, code: str, message: str) -> bytes:
        """The JSON body for a request that the server refuses without calling `handle`."""
        ...
