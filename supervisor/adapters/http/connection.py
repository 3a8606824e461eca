"""One HTTP connection: reads requests and sends their answers in order.

The next pipelined request is parsed only when the answer before it has been sent, so a client that asks faster than it
reads slows itself down. A request must be complete within REQUEST_SECONDS, and a client that is owed bytes must accept
some of them within the same time. A client on TCP has only STRANGER_SECONDS until the head of its first request is
there and its token has been checked. An order whose client has hung up is dropped.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import h11

from supervisor.adapters.eventloop.loop import EPOLLIN, EPOLLOUT, EventLoop
from supervisor.adapters.http.messages import Handler, Request
from supervisor.adapters.http.peer import client_of, peer_of
from supervisor.adapters.http.request_head import announced, check_head, check_lines, is_address, origin
from supervisor.adapters.http.send_buffer import Deadline, Flushed, SendBuffer

if TYPE_CHECKING:
    from supervisor.adapters.http.bearer_token import BearerToken
    from supervisor.adapters.http.tls import TlsSocket

MOST_HEAD = 16 * 1024
MOST_BODY = 1024 * 1024
MOST_BACKLOG = 1024 * 1024
LARGE = 1024 * 1024
"""Bytes of a part of an answer, from which on it has taken much memory."""
READ_A_TURN = 16 * 1024
PROTOCOL_EVENTS_A_TURN = 64
REQUEST_SECONDS = 30.0
STRANGER_SECONDS = 5.0
"""Seconds from the accept on TCP to the head of the first request, with the token if one is asked for."""
_SAFE = (b"GET", b"HEAD", b"OPTIONS")
"""Methods that change nothing."""


class ConnectionServer(Protocol):
    """What a connection needs from the server: the event loop, the request handler, and a turn to work."""

    loop: EventLoop
    handler: Handler
    on_problem: Callable[[str], None]
    on_large_answer: Callable[[], None]

    def enqueue(self, connection: Connection) -> None: ...


class ConnectionListener(Protocol):
    """What a connection needs from its listener: which clients it accepts, and its set of connections."""

    local: bool
    token: BearerToken | None
    known_by_any_name: bool
    connections: set[Connection]

    @property
    def server(self) -> ConnectionServer: ...


class Connection:
    """One accepted connection. It closes itself, and then leaves its listener's set."""

    __slots__ = (
        "_begun",
        "_body",
        "_busy",
        "_closed",
        "_deadline",
        "_exchange",
        "_h11",
        "_head",
        "_large",
        "_listener",
        "_loop",
        "_on_close",
        "_out",
        "_proven",
        "_queued",
        "_reply_done",
        "_since",
        "_sock",
        "_streaming",
        "_watched",
        "_when_flushed",
    )  # fmt: skip

    def __init__(self, listener: ConnectionListener, sock: socket.socket | TlsSocket) -> None:
        self._listener = listener
        self._loop = listener.server.loop
        self._sock = sock
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEAD)
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._exchange: Answer | None = None
        self._out = SendBuffer(sock)
        self._proven = listener.local  # the kernel told whose it is, or a head with the token has arrived
        self._since = self._loop.now()  # accepted, or the last answer was sent
        self._begun = False  # a part of a request has arrived
        self._busy = False  # bytes that were read are still to be parsed
        self._queued = False
        self._streaming = False
        self._reply_done = False
        self._large = False  # whether the answer has had a part of LARGE bytes
        self._closed = False
        self._on_close: Callable[[], None] | None = None
        self._when_flushed: Callable[[], None] | None = None
        self._deadline = Deadline(self._loop, self.close)
        self._watched = EPOLLIN
        self._loop.register(sock.fileno(), self._on_ready, EPOLLIN)
        self._deadline.set(REQUEST_SECONDS if self._proven else STRANGER_SECONDS)

    @property
    def yields(self) -> tuple[bool, bool, bool, float] | None:
        """The order in which connections yield their place to a new one, the least first; None: this one does not.

        Strangers come before clients, those that ask nothing before those whose request is incomplete, and those before
        clients that do not take their answer. The oldest yields first.
        """
        if self._streaming or (self._exchange is not None and not self._reply_done):
            return None
        return self._proven, bool(self._out), self._begun or self._queued, self._since

    # -- in ------------------------------------------------------------------------------------------------------

    def _on_ready(self, events: int) -> None:
        if events & EPOLLOUT:
            self._flush()
        if self._closed:
            return
        if events & EPOLLIN and self._watched & EPOLLIN:
            self._enqueue()
        elif events & ~(EPOLLIN | EPOLLOUT):
            self.close()

    def work(self) -> None:
        """Use the turn that the server gives: read, or parse more of what was read before."""
        self._queued = False
        if self._closed:
            return
        if self._busy:
            self._busy = False
            self._take_events()
        elif self._watched & EPOLLIN:
            self._read()
        self._watch()

    def _read(self) -> None:
        try:
            data = self._sock.recv(READ_A_TURN)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()
            return
        if self._streaming:
            self.close()  # the client closed, or sends data during a stream
            return
        if data and not self._begun:
            self._begun = True
            if self._proven:
                self._deadline.set(REQUEST_SECONDS)
        self._h11.receive_data(data)
        self._take_events()

    def _take_events(self) -> None:
        """Handle a bounded number of protocol events, and at most one whole request."""
        try:
            for _ in range(PROTOCOL_EVENTS_A_TURN):
                if not self._take(self._next_event()):
                    break
            else:
                self._again()
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint, "bad-request", str(error))

    def _next_event(self) -> object:
        """The next protocol event, after a check of its lines: h11 accepts more line ends than HTTP allows."""
        before, _ = self._h11.trailing_data
        event = self._h11.next_event()
        if isinstance(event, h11.Request | h11.EndOfMessage):
            taken = before[: len(before) - len(self._h11.trailing_data[0])]
            if isinstance(event, h11.Request):
                self._head = event  # the refusal of a HEAD request has no body either
                check_head(event)
            elif len(taken) > 1:
                taken = taken.removeprefix(b"\n")  # h11 has seen the CR that ends the last chunk
            check_lines(taken)
        return event

    def _take(self, event: object) -> bool:
        """Handle one protocol event; returns whether to ask for the next at once."""
        if isinstance(event, h11.Request):
            if not self._admits(event):
                return False
            if announced(event) > MOST_BODY:
                self._refuse(413, "too-large", f"a body has at most {MOST_BODY} bytes")
                return False
            return True
        if isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > MOST_BODY:
                self._refuse(413, "too-large", f"a body has at most {MOST_BODY} bytes")
                return False
            return True
        if isinstance(event, h11.EndOfMessage):
            self._dispatch()
        elif isinstance(event, h11.ConnectionClosed):
            self.close()
        elif event is h11.NEED_DATA and self._h11.they_are_waiting_for_100_continue:
            self._write(h11.InformationalResponse(status_code=100, headers=[]))
        return False

    def _admits(self, head: h11.Request) -> bool:
        """Check the token and the host before the body is read; a client that is refused is disconnected."""
        token = self._listener.token
        shown = next((value.decode("latin-1") for name, value in head.headers if name == b"authorization"), None)
        if token is not None and not token.fits(shown):
            message = "send the token of token_file: Authorization: Bearer …"
            self._refuse(401, "unauthorized", message, (("www-authenticate", "Bearer"),))
            return False
        if not self._listener.known_by_any_name and not is_address(origin(head)[0]):
            self._refuse(403, "forbidden", "without a token, ask for localhost or an address, not a name")
            return False
        if not self._proven:
            self._proven = True
            self._deadline.set(REQUEST_SECONDS)
        return True

    def _dispatch(self) -> None:
        head = self._head
        assert head is not None
        if head.method not in _SAFE and _hung_up(self._sock):
            self.close()  # no answer would be read, so nothing is to be done either
            return
        _, path, query = origin(head)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        body = bytes(self._body)
        self._body.clear()
        peer = None
        if head.method not in _SAFE:
            if self._listener.local and isinstance(self._sock, socket.socket):
                peer = peer_of(self._sock)
            else:
                peer = client_of(self._sock)
        request = Request(head.method.decode("latin-1"), path, query, headers, body, self._listener.local, peer)
        self._deadline.clear()  # the client owes nothing until the answer is ready
        self._exchange = exchange = Answer(self, request)
        server = self._listener.server
        try:
            server.handler.handle(exchange)
        except Exception as error:  # noqa: BLE001 - a request must not end the supervision
            server.on_problem(f"{request.method} {request.path} failed: {error!r}")
            if self._streaming:
                self.close()
            else:
                exchange.reply(
                    500, server.handler.refusal("internal", "the daemon failed to answer"), "application/json"
                )

    def _refuse(self, status: int, code: str, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Answer a malformed or unacceptable request, and close the connection."""
        if self._h11.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.close()
            return
        body = self._listener.server.handler.refusal(code, message)
        self.respond(status, body, (("content-type", "application/json"), ("connection", "close"), *headers))

    # -- out -----------------------------------------------------------------------------------------------------

    def respond(self, status: int, body: bytes, headers: tuple[tuple[str, str], ...]) -> None:
        """Send a whole answer."""
        if self._closed:
            return
        self._write(h11.Response(status_code=status, headers=[*headers, ("content-length", str(len(body)))]))
        if body and not (self._head is not None and self._head.method == b"HEAD"):
            self._write(h11.Data(data=body))
        self._finish()

    def begin(self, headers: tuple[tuple[str, str], ...], farewell: bytes, on_close: Callable[[], None]) -> Events:
        """Begin an answer without an end; to HEAD, send its head only."""
        stream = Events(self, farewell)
        if self._closed:
            self._loop.call_soon(on_close)
            return stream
        self._streaming = True
        self._on_close = on_close
        self._write(h11.Response(status_code=200, headers=list(headers)))
        if self._head is not None and self._head.method == b"HEAD":
            self._finish()
        else:
            self._flush()
        return stream

    def push(self, data: bytes, farewell: bytes) -> None:
        if self._closed or self._reply_done:
            return
        if self._out.size > MOST_BACKLOG:
            self._out.forget_unsent()
            self._write(h11.Data(data=farewell))
            self._finish()
            return
        self._write(h11.Data(data=data))
        self._flush()

    def when_flushed(self, callback: Callable[[], None]) -> None:
        if self._out:
            self._when_flushed = callback
        else:
            self._loop.call_soon(callback)

    @property
    def backlog(self) -> int:
        return self._out.size

    def end(self) -> None:
        """Finish a stream as the protocol requires, as far as the client accepts it now; then close."""
        if self._streaming and not self._reply_done and not self._closed:
            self._finish()
        self.close()

    def finish_stream(self) -> None:
        if not self._closed and not self._reply_done:
            self._finish()

    def _write(self, event: h11.Event) -> None:
        data = self._h11.send(event)
        if data:
            if not self._out and not self._deadline.running:
                self._deadline.set(REQUEST_SECONDS)
            self._out.put(data)
            self._large |= len(data) >= LARGE

    def _finish(self) -> None:
        self._write(h11.EndOfMessage())
        self._reply_done = True
        self._flush()

    def _flush(self) -> None:
        how_far = self._out.flush(lambda: self._deadline.set(REQUEST_SECONDS))
        if how_far is Flushed.BROKEN:
            self.close()
        elif how_far is Flushed.ALL:
            self._flushed()
        self._watch()

    def _flushed(self) -> None:
        if self._reply_done:
            self._next_request()
        elif self._streaming:
            self._deadline.clear()
            callback, self._when_flushed = self._when_flushed, None
            if callback is not None:
                self._loop.call_soon(callback)

    def _next_request(self) -> None:
        if self._streaming or self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            self.close()
            return
        self._h11.start_next_cycle()
        self._tell_if_large()
        self._head = self._exchange = None
        self._reply_done = False
        self._since = self._loop.now()
        self._begun = bool(self._h11.trailing_data[0])
        self._deadline.set(REQUEST_SECONDS)
        if self._begun:
            self._again()

    # -- life ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._loop.unregister(self._sock.fileno())
        self._sock.close()
        self._listener.connections.discard(self)
        self._out.clear()
        self._exchange = self._when_flushed = None
        self._deadline.cancel()
        callback, self._on_close = self._on_close, None
        if callback is not None:
            callback()
        self._tell_if_large()

    def _tell_if_large(self) -> None:
        if self._large:
            self._large = False
            self._listener.server.on_large_answer()

    def _again(self) -> None:
        self._busy = True
        self._enqueue()

    def _enqueue(self) -> None:
        if not self._queued:
            self._queued = True
            self._listener.server.enqueue(self)

    def _watch(self) -> None:
        """Wait only for the events that can be handled now."""
        if self._closed:
            return
        answering = self._exchange is not None and not self._streaming
        events = 0 if answering or self._busy or self._reply_done else EPOLLIN
        if self._out:
            events |= EPOLLOUT
        if events != self._watched:
            self._watched = events
            self._loop.modify(self._sock.fileno(), events)


class Answer:
    """One request and its answer: implements Exchange of messages.py."""

    __slots__ = ("_connection", "_done", "request")

    def __init__(self, connection: Connection, request: Request) -> None:
        self.request = request
        self._connection = connection
        self._done = False

    def reply(self, status: int, body: bytes, content_type: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        if not self._done:
            self._done = True
            self._connection.respond(status, body, (("content-type", content_type), *headers))

    def stream(self, content_type: str, farewell: bytes, on_close: Callable[[], None]) -> Events:
        self._done = True
        headers = (("content-type", content_type), ("cache-control", "no-store"))
        return self._connection.begin(headers, farewell, on_close)


class Events:
    """A streamed answer: implements Stream of messages.py."""

    __slots__ = ("_connection", "_farewell")

    def __init__(self, connection: Connection, farewell: bytes) -> None:
        self._connection = connection
        self._farewell = farewell

    @property
    def backlog(self) -> int:
        return self._connection.backlog

    def send(self, data: bytes) -> None:
        self._connection.push(data, self._farewell)

    def when_flushed(self, callback: Callable[[], None]) -> None:
        self._connection.when_flushed(callback)

    def end(self) -> None:
        self._connection.finish_stream()


def _hung_up(sock: socket.socket | TlsSocket) -> bool:
    """Whether the client has closed its end. One that has only finished sending waits for its answer."""
    poll = select.poll()
    poll.register(sock.fileno(), 0)
    return bool(poll.poll(0))
