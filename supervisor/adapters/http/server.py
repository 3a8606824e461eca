"""A small HTTP/1.1 server on the event loop: its listeners, the access check, and the limit on connections.

It serves the control and the metrics of one machine, not the web. Everything is bounded, and no client can take more
than a short turn of the loop. The protocol library, h11, is imported with the first connection, or by `warm_up` before
it.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.http.messages import Handler
from supervisor.adapters.http.peer import is_permitted
from supervisor.errors import OperationFailed

if TYPE_CHECKING:
    import ssl

    from supervisor.adapters.http.bearer_token import BearerToken
    from supervisor.adapters.http.connection import Connection
    from supervisor.adapters.http.tls import TlsSocket

MOST_CONNECTIONS = 64
"""Per listener, so that connections on TCP cannot lock clients out of the control socket. When all places are taken, a
connection that has no request in hand yields its place to the new one."""
ACCEPTS_A_TURN = 16
WORK_A_TURN = 0.005
"""Seconds that all connections together may take of one turn of the loop; the rest waits for the next turn."""
REST_AFTER_EMFILE = 1.0
GOODBYE_SECONDS = 1.0
MOST_GOODBYES = 16
_SO_PASSRIGHTS = 83  # the socket module does not name it; 0: no client can pass descriptors, whose close may block


def _nothing() -> None:
    """Nobody is told of large answers."""


class HttpServer:
    """Passes every complete request to `handler`. `on_problem(text)` reports what an administrator should know.

    `on_large_answer()` is called at the end of an answer or stream of which one part had a MiB or more."""

    def __init__(
        self,
        loop: EventLoop,
        handler: Handler,
        on_problem: Callable[[str], None],
        on_large_answer: Callable[[], None] = _nothing,
    ) -> None:
        self.loop = loop
        self.handler = handler
        self.on_problem = on_problem
        self.on_large_answer = on_large_answer
        self._listeners: list[Listener] = []
        self._queue: deque[Connection] = deque()
        self._at_work = False
        self._group: int | None = None

    def listen_unix(self, path: str, inherited: int | None = None, group: int | None = None) -> None:
        """Serve on a Unix socket that only its owner can open (0600), and `group` if given (0660).

        `inherited`: the listening socket of the previous daemon, which is used if `path` still exists. Raises
        OperationFailed when the socket cannot be made.
        """
        self._group = group
        if inherited is not None:
            sock = socket.socket(fileno=inherited)
            if os.path.exists(path):  # noqa: PTH110
                self._listeners.append(Listener(self, sock, local=True, group=group))
                return
            sock.close()
        self._listeners.append(Listener(self, _bound(path, group), local=True, group=group))

    def rebind(self, path: str) -> None:
        """Serve on the Unix socket `path` again if it was removed. Raises OperationFailed."""
        for listener in self._listeners:
            if listener.local and not os.path.exists(path):  # noqa: PTH110
                listener.replace(_bound(path, self._group))

    def listen_tcp(
        self,
        host: str,
        port: int,
        inherited: int | None = None,
        *,
        token: BearerToken | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> int:
        """Serve on TCP and return the port (for port 0 the kernel chooses one).

        `inherited`: the listening socket of a previous daemon with the same configuration. `token`: what every request
        must send. Raises OperationFailed when the address cannot be used.
        """
        if inherited is not None:
            sock = socket.socket(fileno=inherited)
            self._listeners.append(Listener(self, sock, local=False, token=token, tls=tls))
            return int(sock.getsockname()[1])
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            sock.listen(socket.SOMAXCONN)
        except OSError as error:
            sock.close()
            raise OperationFailed(
                f"cannot listen on {host}:{port}: {error}", "Choose another [supervisor.http] listen."
            ) from error
        self._listeners.append(Listener(self, sock, local=False, token=token, tls=tls))
        return int(sock.getsockname()[1])

    @staticmethod
    def warm_up() -> None:
        """Import what the first connection needs, before a client waits for it."""
        import supervisor.adapters.http.connection  # noqa: F401

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return sum(len(listener.connections) for listener in self._listeners)

    def enqueue(self, connection: Connection) -> None:
        """Give `connection` a turn. Turns are in order of request, and each serves one request."""
        self._queue.append(connection)
        if not self._at_work:
            self._at_work = True
            self.loop.call_soon(self._work)

    def _work(self) -> None:
        until = self.loop.now() + WORK_A_TURN
        while self._queue:
            self._queue.popleft().work()
            if self.loop.now() >= until:
                break
        self._at_work = bool(self._queue)
        if self._at_work:
            self.loop.call_soon(self._work)

    def descriptors(self) -> dict[str, int]:
        """The listening sockets, for the next daemon: `control` and `http`."""
        return {"control" if listener.local else "http": listener.fileno() for listener in self._listeners}

    def close(self) -> None:
        """End every stream properly, close all connections and stop listening."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()


class Listener:
    """One listening socket and the connections that came through it."""

    def __init__(
        self,
        server: HttpServer,
        sock: socket.socket,
        *,
        local: bool,
        group: int | None = None,
        token: BearerToken | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.server = server
        self.local = local
        self.token = token
        self.known_by_any_name = local or token is not None or tls is not None
        """Requests may use any host name. Otherwise only addresses and localhost: see `is_address`, DNS rebinding."""
        self._group = group
        self._tls = tls
        self.connections: set[Connection] = set()
        self._sock = sock
        self._closed = False
        self._out_of_descriptors = False
        """The last accept failed for lack of descriptors, and that was reported."""
        self._paused = False
        """The socket is not watched for a while."""
        self._rejected = 0
        server.loop.register(sock.fileno(), self._on_ready)

    def fileno(self) -> int:
        return self._sock.fileno()

    def replace(self, sock: socket.socket) -> None:
        """Continue with another listening socket; connections stay."""
        if not self._paused:
            self.server.loop.unregister(self._sock.fileno())
            self.server.loop.register(sock.fileno(), self._on_ready)
        self._sock.close()
        self._sock = sock

    def close(self) -> None:
        self._closed = True
        self.server.loop.unregister(self._sock.fileno())
        self._sock.close()
        for connection in list(self.connections):
            connection.end()

    def _on_ready(self, _events: int) -> None:
        for _ in range(ACCEPTS_A_TURN):
            try:
                sock, _address = self._sock.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:
                self._pause(error)
                return
            self._out_of_descriptors = False
            self._admit(sock)

    def _admit(self, sock: socket.socket) -> None:
        from supervisor.adapters.http.connection import Connection

        sock.setblocking(False)
        if self.local and not is_permitted(sock, self._group):
            self._reject(sock, 403, "forbidden", "the control socket serves its owner, its group and root only")
        elif len(self.connections) >= MOST_CONNECTIONS and not self._make_room():
            self._reject(sock, 503, "busy", f"{MOST_CONNECTIONS} connections are in use already")
        else:
            if not self.local:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self.connections.add(Connection(self, sock if self._tls is None else _secured(self._tls, sock)))
            except OSError:  # the client has disconnected already
                sock.close()

    def _make_room(self) -> bool:
        """Close the connection that yields its place first; False where every one has a request in hand."""
        found = [(order, connection) for connection in self.connections if (order := connection.yields) is not None]
        if not found:
            return False
        min(found, key=lambda pair: pair[0])[1].close()
        return True

    def _reject(self, sock: socket.socket, status: int, code: str, message: str) -> None:
        if self._tls is not None:  # a client cannot read an answer before the handshake
            sock.close()
            return
        body = self.server.handler.refusal(code, message)
        head = f"HTTP/1.1 {status} {message}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        with suppress(OSError):
            sock.send(head.encode() + b"connection: close\r\n\r\n" + body)
            sock.shutdown(socket.SHUT_WR)
        if self._rejected >= MOST_GOODBYES:
            sock.close()
            return
        # Closing at once would give a client that is still sending its request EPIPE instead of the answer.
        self._rejected += 1
        loop = self.server.loop

        def close() -> None:
            self._rejected -= 1
            sock.close()

        loop.call_at(loop.now() + GOODBYE_SECONDS, close)

    def _pause(self, error: OSError) -> None:
        """Stop watching the socket for a while: without descriptors or memory it stays readable, and the loop would
        spin.
        """
        if not self._out_of_descriptors:
            self.server.on_problem(f"cannot accept a connection: {error}")
        self._out_of_descriptors = self._paused = True
        loop = self.server.loop
        loop.unregister(self._sock.fileno())

        def again() -> None:
            self._paused = False
            if not self._closed:
                loop.register(self._sock.fileno(), self._on_ready)

        loop.call_at(loop.now() + REST_AFTER_EMFILE, again)


def _secured(context: ssl.SSLContext, sock: socket.socket) -> TlsSocket:
    from supervisor.adapters.http.tls import TlsSocket

    return TlsSocket(context, sock)


def _bound(path: str, group: int | None) -> socket.socket:
    """A listening Unix socket that only its owner can open, and the group if given."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        with suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 - pathlib costs memory
        before = os.umask(0o177)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
        if group is not None:
            os.chown(path, -1, group)
            os.chmod(path, 0o660)  # noqa: PTH101
        with suppress(OSError):  # before Linux 6.16
            sock.setsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS, 0)
        sock.listen(socket.SOMAXCONN)
    except OSError as error:
        sock.close()
        raise OperationFailed(
            f"cannot listen on {path}: {error}", "A socket's path has at most 107 bytes: set a short runtime_dir."
        ) from error
    return sock
