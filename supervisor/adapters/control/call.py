"""One call of the control API: the checked parameters of a request, and the ways to answer it.

It has a file of its own, because the routes and the event stream both use it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.eventloop.slices import in_slices
from supervisor.adapters.http.messages import Exchange, Peer
from supervisor.errors import SupervisorError

if TYPE_CHECKING:
    from supervisor.core.model.documents import Error, Status

JSON_TYPE = "application/json"
ENCODING_SLICE = 0.002
"""Seconds of one turn of the loop in which rows of a status are written as JSON."""
_ENCODER = json.JSONEncoder(separators=(",", ":"), default=str)


@dataclass(slots=True)
class Call:
    """A request that fits its route: `args` holds every parameter of path, query and body, checked."""

    args: Mapping[str, Any]
    exchange: Exchange
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def peer(self) -> Peer | None:
        """The client that gave the order."""
        return self.exchange.request.peer

    def answer(self, plain: object, status: int = 200) -> None:
        self.exchange.reply(status, encode(plain), JSON_TYPE)

    def fail(self, status: int, code: str, error: SupervisorError, known: Sequence[str] = ()) -> None:
        self.exchange.reply(status, error_body(code, error.message, error.hint, known), JSON_TYPE)


def encode(plain: object) -> bytes:
    """JSON as it is sent."""
    return _ENCODER.encode(plain).encode()


def encode_status(loop: EventLoop, status: Status, done: Callable[[bytes], None], failed: Callable[[], None]) -> None:
    """Call `done` later with what `encode` returns for a status; the rows of many instances take several turns of the
    loop.  `failed`: see in_slices."""
    in_slices(loop.call_soon, loop.now, encoded_status(status), ENCODING_SLICE, done, failed)


def encoded_status(status: Status) -> Generator[None, None, bytes]:
    """The same in steps, one for each row."""
    rows = []
    for row in status["instances"]:
        rows.append(encode(row))
        yield
    return b'{"supervisor":%s,"instances":[%s]}' % (encode(status["supervisor"]), b",".join(rows))


def error_body(code: str, message: str, hint: str = "", known: Sequence[str] = ()) -> bytes:
    body: Error = {"error": {"code": code, "message": message, "hint": hint, "known": list(known)}}
    return encode(body)
