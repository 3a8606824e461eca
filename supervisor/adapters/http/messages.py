"""What a server and the handler of its requests exchange: requests, answers, and streams that have no end yet.

It is apart from both, so that a handler, its doubles in tests and the connection need not import the server.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """One request, complete.  Header names are lower case.  `local`: it came through the Unix socket."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    local: bool


class Stream(Protocol):
    """An answer without an end yet."""

    @property
    def backlog(self) -> int:
        """Bytes that the client has not taken yet."""
        ...

    def send(self, data: bytes) -> None:
        """Queue `data`.  A client that lags more than a MiB behind is told so and cut."""
        ...

    def when_flushed(self, callback: Callable[[], None]) -> None:
        """Call once as soon as nothing is queued; never if the stream ends before."""
        ...

    def end(self) -> None:
        """No more."""
        ...


class Exchange(Protocol):
    """A request and the one answer to it, at once or later.  Answers to a client that has gone are dropped."""

    request: Request

    def reply(self, status: int, body: bytes, content_type: str, headers: tuple[tuple[str, str], ...] = ()) -> None: ...

    def stream(self, content_type: str, farewell: bytes, on_close: Callable[[], None]) -> Stream:
        """Answer 200 and go on sending.  `farewell` is what a client that lags too far behind reads last."""
        ...


class Handler(Protocol):
    """What answers the requests of a server."""

    def handle(self, exchange: Exchange) -> None: ...

    def refusal(self, code: str, message: str) -> bytes:
        """The body, in JSON, that tells a client why its request was not even looked at."""
        ...
