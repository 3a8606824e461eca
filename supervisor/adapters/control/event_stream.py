"""`/v1/stream`: events, status and log lines as Server-sent events (text/event-stream of the HTML standard).

A client that asks for it by the header `supervisor-changes` gets the whole status once, and then `changes`: only the
rows that changed (core/services/status_changes.py).

A status is a snapshot: while the client is slow to read, a newer status replaces an older one, so that it gets fewer of
them. Events and log lines are never left out silently: a client that lags too far behind gets `lagged`, is
disconnected, and resumes with Last-Event-ID.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from supervisor.adapters.control.call import ENCODING_SLICE, Call, encode, encode_status, encoded_status
from supervisor.adapters.control.port import MOST_ID, Daemon, Subscriber
from supervisor.adapters.eventloop.loop import EventLoop, Timer
from supervisor.adapters.eventloop.slices import in_slices
from supervisor.adapters.http.messages import Stream
from supervisor.adapters.ledger.store import EventQuery
from supervisor.core.services.status_changes import changed
from supervisor.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Generator

    from supervisor.core.model.documents import Event, Status
    from supervisor.core.model.instance_documents import Instance
    from supervisor.core.model.log_documents import LogMessage

TOPICS = frozenset(("events", "status", "logs"))
PING_SECONDS = 15.0
PAGE = 500
STATUS_BACKLOG = 64 * 1024
"""A status is sent only while at most this many bytes are queued."""
LAGGED = b"event: lagged\ndata: {}\n\n"
CHANGES = "supervisor-changes"
"""Header of a client that takes `changes` after its first status; its value is `yes`."""


class StreamOwner(Protocol):
    """What a stream needs from the API that opened it."""

    daemon: Daemon
    loop: EventLoop
    streams: int
    """How many streams are open; each stream counts itself."""


WriteStatus: TypeAlias = "Callable[[EventLoop, Status, Callable[[bytes], None], Callable[[], None]], None]"
"""Calls the third with a status as it is sent, later, or the fourth where that fails."""


def open_stream(api: StreamOwner, call: Call, write: WriteStatus = encode_status, *, for_order: bool = False) -> None:
    """Answer `call` with a stream, whose statuses `write` writes; `for_order`: see Subscriber.  UsageError,
    NoSuchService."""
    topics = frozenset(t.strip() for t in call.args["topics"].split(",") if t.strip())
    if not topics or not topics <= TOPICS:
        wrong = ", ".join(sorted(topics - TOPICS)) or "nothing"
        raise UsageError(f"there is no topic {wrong}", f"topics are {', '.join(sorted(TOPICS))}")
    resume = call.headers.get("last-event-id")
    after = None if resume is None or "events" not in topics else _event_id(resume)
    services = tuple(call.args["service"])
    if services:
        api.daemon.names(services)  # raises for an unknown name, while an error can still be sent
    changes = _Changes() if write is encode_status and call.headers.get(CHANGES) == "yes" else None
    _Feed(api, topics, services, call.args["interval"], write, changes, for_order).begin(call, after)


def _event_id(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number <= MOST_ID:
        raise UsageError(f"Last-Event-ID must be an event's id, not {text!r}")
    return number


class _Changes:
    """What a client was sent last of the status."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[Instance, float]] = {}
        """Each row as it was sent, and the daemon's `uptime_s` then."""

    def encoded(self, status: Status) -> Generator[None, None, tuple[bytes, bytes]]:
        """The name of the next message and its data, in steps."""
        changes = yield from changed(status, self._rows)
        whole = changes is None or not self._rows
        sent = status if changes is None else changes
        body = yield from encoded_status(sent)
        if whole:
            self._rows = {}
        self._keep(sent)
        return b"status" if whole else b"changes", body

    def part(self, status: Status) -> bytes:
        """The next message, with these rows alone."""
        self._keep(status)
        return encode(status)

    def _keep(self, sent: Status) -> None:
        uptime = sent["supervisor"]["uptime_s"]
        self._rows.update((row["name"], (row, uptime)) for row in sent["instances"])

    def knows(self, status: Status) -> bool:
        """All rows of it were sent before."""
        return all(row["name"] in self._rows for row in status["instances"])


class _Feed:
    """One client's stream."""

    def __init__(
        self,
        api: StreamOwner,
        topics: frozenset[str],
        services: tuple[str, ...],
        interval: float,
        write: WriteStatus,
        changes: _Changes | None,
        for_order: bool,
    ) -> None:
        self._api = api
        self._write = write
        self._changes = changes
        self._topics = topics
        self._services = services
        self._interval = interval
        self._for_order = for_order
        self._stream: Stream
        self._unwatch: Callable[[], None] | None = None
        self._ping: Timer | None = None
        self._status: Status | None = None
        """The newest status, which is to be sent."""
        self._status_under_way = False
        """A status is being encoded, or waits until the client has read more."""
        self._open = False

    def begin(self, call: Call, after: int | None) -> None:
        self._open = True
        self._api.streams += 1
        self._stream = call.exchange.stream("text/event-stream; charset=utf-8", LAGGED, self._closed)
        if not self._open:  # a HEAD request, or the client has disconnected
            return
        self._stream.send(b": hello\n\n")
        if "status" not in self._topics or self._interval > PING_SECONDS:
            self._ping_later()
        if after is None:
            self._watch()
        else:
            self._resume(after)

    def _resume(self, after: int) -> None:
        """Send missed events page by page, then follow new ones. The last page and the start of following share one
        turn of the loop, so that no event is lost between them.
        """
        if not self._open:
            return
        page = self._api.daemon.events(EventQuery(self._services, None, after, None, PAGE))
        for event in page:
            self._on_event(event)
        if len(page) < PAGE:
            self._watch()
        else:
            self._stream.when_flushed(lambda: self._resume(page[-1]["id"]))

    def _watch(self) -> None:
        self._unwatch = self._api.daemon.watch(
            Subscriber(
                self._topics,
                self._services,
                self._interval,
                self._on_event,
                self._on_log,
                self._on_status,
                self._on_part if self._changes is not None else None,
                self._for_order,
            )
        )
        if not self._open:  # sending the first status closed the connection
            self._closed()

    def _closed(self) -> None:
        if self._open:
            self._open = False
            self._api.streams -= 1
        if self._ping is not None:
            self._ping.cancel()
        unwatch, self._unwatch = self._unwatch, None
        if unwatch is not None:
            unwatch()

    def _on_event(self, event: Event) -> None:
        self._send("event", event, event["id"])

    def _on_log(self, instance: str, lines: Sequence[str]) -> None:
        self._send("log", {"instance": instance, "at": round(time.time(), 3), "lines": list(lines)})

    def _on_status(self, status: Status) -> None:
        self._status = status
        if not self._status_under_way:
            self._next_status()

    def _on_part(self, status: Status) -> bool:
        """Send the rows of a few instances.  False: it needs the whole status, because one of them is new, a status is
        on its way, or the client is slow."""
        assert self._changes is not None
        if not self._open:
            return True
        if self._status_under_way or self._stream.backlog > STATUS_BACKLOG or not self._changes.knows(status):
            return False
        self._stream.send(b"event: changes\ndata: %s\n\n" % self._changes.part(status))
        return True

    def _next_status(self) -> None:
        """Send the newest status, if there is one, as soon as the client has read enough."""
        self._status_under_way = self._open and self._status is not None
        if not self._open or self._status is None:
            return
        if self._stream.backlog > STATUS_BACKLOG:
            self._stream.when_flushed(self._next_status)
            return
        status, self._status = self._status, None
        loop = self._api.loop
        if self._changes is None:
            self._write(loop, status, lambda body: self._send_status((b"status", body)), self._next_status)
            return
        work = self._changes.encoded(status)
        in_slices(loop.call_soon, loop.now, work, ENCODING_SLICE, self._send_status, self._next_status)

    def _send_status(self, message: tuple[bytes, bytes]) -> None:
        if self._open:
            self._stream.send(b"event: %s\ndata: %s\n\n" % message)
        self._next_status()

    def _send(self, kind: str, plain: Event | LogMessage, event_id: int | None = None) -> None:
        name = b"" if event_id is None else b"id: %d\n" % event_id
        self._stream.send(b"event: %s\n%sdata: %s\n\n" % (kind.encode(), name, encode(plain)))

    def _ping_later(self) -> None:
        loop = self._api.loop
        self._ping = loop.call_at(loop.now() + PING_SECONDS, self._send_ping)

    def _send_ping(self) -> None:
        """Send a comment at intervals, so that clients and proxies can tell an idle stream from a dead one."""
        self._stream.send(b": ping\n\n")
        self._ping_later()
