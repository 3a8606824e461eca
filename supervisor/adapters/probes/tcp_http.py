"""Probe targets behind a socket, TCP or Unix: one that accepts connections, an HTTP server that answers a GET.

A GET is sent without a wait for the connection: on one host it is there when connect(2) returns.  A connection is used
again only where that was asked for, and the server said nothing against it and has sent its whole answer.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable

from supervisor.adapters.eventloop.dns import Addresses, Resolver
from supervisor.adapters.eventloop.loop import EPOLLOUT, EventLoop
from supervisor.adapters.linux.mounts import mounts
from supervisor.adapters.probes.prober import Begin, Cancel, Done, Unasked, error_text, too_late
from supervisor.adapters.processes.remote_files import RemoteFiles

MOST_HEAD = 16 * 1024
"""Bytes that the head of an answer may have at most."""
_GOOD = range(200, 400)  # statuses of a healthy server
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL})
"""Errors of a connection for which this host lacks something: the service was not asked.  EAGAIN is not one of them: it
is the full backlog of a Unix socket."""
_RESET = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN})
"""The errors of a connection that was made, and that the other side has ended since.  A refused connection is
ECONNREFUSED (tcp_reset in Linux, net/ipv4/tcp_input.c)."""
Keep = Callable[[socket.socket], None]
OVERFLOW_RESETS = "/proc/sys/net/ipv4/tcp_abort_on_overflow"
"""Where this holds 1, the kernel also resets a connection that a full accept queue has no room for."""


class TcpTarget:
    """`host:port` (IPv6 in brackets) or `unix:/path` (`unix:@name`): healthy when it accepts a connection.

    Where the file system of a path may not answer, another process connects (`files`)."""

    __slots__ = ("_files", "_path", "_resolver", "host", "port")

    def __init__(self, address: str, resolver: Resolver, files: RemoteFiles | None = None) -> None:
        scheme, _, path = address.partition(":")
        self._path = path if scheme == "unix" else None
        host, _, port = address.rpartition(":")
        self.host, self.port = host.strip("[]"), 0 if self._path is not None else int(port)
        self._resolver, self._files = resolver, files

    def begin(self, loop: EventLoop, timeout: float, done: Done) -> Cancel:
        path = self._path
        if path is None:
            attempt = self._attempt(loop, timeout, done)
            self._resolver.resolve(self.host, attempt.resolved)
            return attempt.close
        if not path.startswith("@") and self._files is not None:
            mount = mounts().remote(path)
            if mount is not None:
                return self._connect_apart(self._files, path, mount, loop, timeout, done)
        attempt = self._attempt(loop, timeout, done)
        attempt.resolved([(socket.AF_UNIX, "\0" + path[1:] if path.startswith("@") else path)])
        return attempt.close

    def _attempt(self, loop: EventLoop, timeout: float, done: Done) -> Attempt:
        return Attempt(loop, self.port, timeout, done)

    def _connect_apart(
        self, files: RemoteFiles, path: str, mount: str, loop: EventLoop, timeout: float, done: Done
    ) -> Cancel:
        """Let another process find the socket: only the kernel knows how long that takes."""
        until = loop.now() + timeout
        attempt: Attempt | None = None

        def connected(error: OSError | None, fd: int) -> None:
            nonlocal attempt
            if error is not None:
                done(_told(error), loop.now())
                return
            attempt = self._attempt(loop, until - loop.now(), done)
            attempt.taken(socket.socket(fileno=fd))

        cancel = files.connected(path, mount, timeout, connected)
        return lambda: cancel() if attempt is None else attempt.close()


class HttpTarget(TcpTarget):
    """`http://host[:port][/path]` or `http://unix:/path:/path`: healthy when a GET is answered with 2xx or 3xx.

    `keep_alive`: use one connection for all probes, as long as the server keeps it open."""

    __slots__ = ("_keep_alive", "_kept", "_loop", "_request")
    usual_port = 80

    def __init__(
        self, url: str, resolver: Resolver, files: RemoteFiles | None = None, *, keep_alive: bool = False
    ) -> None:
        rest = url.partition("://")[2]
        if rest.startswith("unix:"):
            name, _, path = rest.removeprefix("unix:").partition(":")
            address, host, slash = f"unix:{name}", "localhost", "/"
            path = path.removeprefix("/")
        else:
            host, slash, path = rest.partition("/")
            has_port = host.rpartition("]")[2].rpartition(":")[1]
            address = host if has_port else f"{host}:{self.usual_port}"
        super().__init__(address, resolver, files)
        self._request = (
            f"GET {slash or '/'}{path.partition('#')[0]} HTTP/1.1\r\n"
            f"Host: {host}\r\nUser-Agent: phi-supervisor\r\nAccept: */*\r\n"
            f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n\r\n"
        ).encode("latin-1", "replace")
        self._keep_alive = keep_alive
        self._kept: socket.socket | None = None
        self._loop: EventLoop | None = None

    def begin(self, loop: EventLoop, timeout: float, done: Done) -> Cancel:
        connection, self._kept, self._loop = self._kept, None, loop
        if connection is None:
            return super().begin(loop, timeout, done)
        attempt = _AgainOnKept(loop, self.port, timeout, done, self._request, self._keep, super().begin)
        attempt.taken(connection)
        return attempt.cancel

    def close(self) -> None:
        """Close the connection that is kept for the next probe."""
        if self._kept is not None and self._loop is not None:
            self._loop.unregister(self._kept.fileno())
            self._kept.close()
            self._kept = None

    def _attempt(self, loop: EventLoop, timeout: float, done: Done) -> Attempt:
        return HttpAttempt(loop, self.port, timeout, done, self._request, self._keep if self._keep_alive else None)

    def _keep(self, connection: socket.socket) -> None:
        """Keep a connection, registered for reading: what comes between two probes is its end."""
        assert self._loop is not None
        self._kept = connection
        self._loop.redirect(connection.fileno(), lambda _events: self.close())


class Attempt:
    """One attempt to connect: to the first of several addresses that accepts."""

    __slots__ = ("_addresses", "_done", "_error", "_loop", "_port", "_resolved", "_socket", "_timer")

    def __init__(self, loop: EventLoop, port: int, timeout: float, done: Done) -> None:
        self._loop, self._port = loop, port
        self._done: Done | None = done
        self._socket: socket.socket | None = None
        self._addresses: Addresses = []
        self._error: str = Unasked("host name not known")
        self._resolved = False
        self._timer = loop.call_at(loop.now() + timeout, lambda: self._time_is_up(timeout))

    def resolved(self, addresses: Addresses) -> None:
        """Begin to try these addresses, one after the other."""
        self._addresses = list(addresses)
        self._resolved = True
        self._try_next()

    def taken(self, connection: socket.socket) -> None:
        """Continue with a connection that another process has made."""
        self._socket, self._resolved = connection, True
        self.connected(connection)

    def close(self) -> None:
        """Close the connection and the timer; `done` will not be called any more."""
        self._done = None
        self._timer.cancel()
        self._drop_socket()

    def connected(self, connection: socket.socket) -> None:
        """Continue after the connection was accepted."""
        self._finish(None)

    def _try_next(self) -> None:
        while self._done is not None:
            if not self._addresses:
                self._finish(self._error)
                return
            family, host = self._addresses.pop(0)
            try:
                connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
                self._socket = connection
                number = connection.connect_ex(host if family == socket.AF_UNIX else (host, self._port))
                if number in (0, errno.EINPROGRESS):
                    if not self.at_once(connection):
                        self._loop.register(connection.fileno(), self._writable, EPOLLOUT)
                    return
                self._failed(OSError(number, os.strerror(number)))
            except OSError as error:
                self._failed(error)

    def at_once(self, connection: socket.socket) -> bool:
        """Continue with a connection that is perhaps not made yet; False where it has to be waited for."""
        return False

    def _writable(self, _events: int) -> None:
        connection = self._socket
        assert connection is not None
        try:
            number = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number == 0 and connection.getsockname() == connection.getpeername():
                number = errno.ECONNREFUSED  # TCP can connect a socket to itself where no process listens
        except OSError as error:
            number = error.errno or errno.EIO
        if number in _RESET:
            self.reset(OSError(number, os.strerror(number)))
        elif number:
            self._failed(OSError(number, os.strerror(number)))
            self._try_next()
        else:
            self.connected(connection)

    def reset(self, error: OSError) -> None:
        """Judge a connection that was reset between its making and this look: it was accepted."""
        self._finish(error_text(error) if _overflow_resets() else None)

    def _failed(self, error: OSError) -> None:
        self._error = _told(error)
        self._drop_socket()

    def _time_is_up(self, timeout: float) -> None:
        late = too_late(timeout)
        self._finish(late if self._resolved else Unasked(f"{late}: the host name is still being looked up"))

    def _finish(self, error: str | None) -> None:
        done = self._done
        self.close()
        if done is not None:
            done(error, self._loop.now())

    def _drop_socket(self) -> None:
        if self._socket is not None:
            self._loop.unregister(self._socket.fileno())
            self._socket.close()
            self._socket = None


def _told(error: OSError) -> str:
    text = error_text(error)
    return Unasked(text) if error.errno in _OURS else text


def _overflow_resets() -> bool:
    try:
        with open(OVERFLOW_RESETS, "rb") as file:
            return file.read().strip() != b"0"
    except OSError:
        return False


class HttpAttempt(Attempt):
    """One GET, up to the end of the answer's head."""

    __slots__ = ("_head", "_keep", "_request")

    def __init__(
        self, loop: EventLoop, port: int, timeout: float, done: Done, request: bytes, keep: Keep | None = None
    ) -> None:
        """`keep` takes the connection where it can be used again."""
        super().__init__(loop, port, timeout, done)
        self._request = request
        self._keep = keep
        self._head = b""

    def at_once(self, connection: socket.socket) -> bool:
        try:
            connection.send(self._request)
        except BlockingIOError:
            return False  # the handshake is under way
        except OSError as error:
            if error.errno in _RESET:
                self.reset(error)
                return True
            raise
        self._loop.register(connection.fileno(), lambda _events: self._receive(connection))
        return True

    def connected(self, connection: socket.socket) -> None:
        self.send_request(connection)

    def reset(self, error: OSError) -> None:
        self._finish(error_text(error))

    def send_request(self, connection: socket.socket) -> None:
        """Send the GET, and wait for the answer."""
        try:
            connection.send(self._request)  # the send buffer of a new connection has room for it
        except OSError as error:
            self._finish(error_text(error))
            return
        self._loop.unregister(connection.fileno())
        self._loop.register(connection.fileno(), lambda _events: self._receive(connection))

    def _receive(self, connection: socket.socket) -> None:
        try:
            chunk = connection.recv(MOST_HEAD)
        except BlockingIOError:
            return
        except OSError as error:
            self._finish(error_text(error))
            return
        self.received(chunk)

    def received(self, chunk: bytes) -> None:
        """Judge what came so far; an empty chunk is the end of the connection."""
        self._head += chunk
        status = read_status(self._head)
        if isinstance(status, str):
            own = self._head.startswith(self._request)  # TCP can connect a socket to itself where none listens
            self._finish(error_text(OSError(0, os.strerror(errno.ECONNREFUSED))) if own else status)
        elif status is not None:
            if self._keep is not None and self._socket is not None and is_whole(self._head):
                connection, self._socket = self._socket, None
                self._keep(connection)
            self._finish(None if status in _GOOD else f"HTTP {status}")
        elif not chunk:
            self._finish("connection closed before an answer")
        elif len(self._head) > MOST_HEAD:
            self._finish(f"the head of the answer is longer than {MOST_HEAD // 1024} KiB")


class _AgainOnKept(HttpAttempt):
    """A GET on a connection that was kept.  Where the server has closed it, `anew` begins the probe on a new one."""

    __slots__ = ("_anew", "_cancel", "_until")

    def __init__(
        self, loop: EventLoop, port: int, timeout: float, done: Done, request: bytes, keep: Keep, anew: Begin
    ) -> None:
        super().__init__(loop, port, timeout, done, request, keep)
        self._anew, self._until = anew, loop.now() + timeout
        self._cancel: Cancel = self.close

    def cancel(self) -> None:
        self._cancel()

    def connected(self, connection: socket.socket) -> None:
        try:
            connection.send(self._request)
        except OSError:
            self._begin_anew()
        else:
            self._loop.redirect(connection.fileno(), lambda _events: self._receive(connection))

    def _receive(self, connection: socket.socket) -> None:
        try:
            chunk = connection.recv(MOST_HEAD)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if chunk or self._head:
            self.received(chunk)
        else:
            self._begin_anew()

    def _begin_anew(self) -> None:
        done, loop = self._done, self._loop
        self.close()
        assert done is not None
        try:
            self._cancel = self._anew(loop, max(0.0, self._until - loop.now()), done)
        except OSError as error:
            done(_told(error), loop.now())


def is_whole(answer: bytes) -> bool:
    """Whether an answer of HTTP/1.1 has come to its end and the server keeps the connection open."""
    head, blank, body = answer.partition(b"\r\n\r\n")
    first, _, rest = head.lower().partition(b"\r\n")
    if not blank or not first.startswith(b"http/1.1 "):
        return False
    fields = [line.partition(b":") for line in rest.split(b"\r\n")]
    told = {name.strip(): value.strip() for name, _, value in fields}
    if told.get(b"connection", b"keep-alive") != b"keep-alive" or b"transfer-encoding" in told:
        return False
    length = b"0" if first[9:12] in (b"204", b"304") else told.get(b"content-length")
    return length == str(len(body)).encode()


def read_status(head: bytes) -> int | str | None:
    """Parse the status from the beginning of an answer: a number, an error text, or None where it is not complete."""
    while True:
        line, newline, _ = head.partition(b"\n")
        if not b"HTTP/1.".startswith(line[:7]):
            return f"not an HTTP answer: {_quoted(line)}"
        if not newline:
            return None
        parts = line.split(None, 2)
        if len(parts) < 2 or len(parts[1]) != 3 or not parts[1].isdigit():
            return f"not an HTTP answer: {_quoted(line)}"
        status = int(parts[1])
        end = min((i + len(m) for m in (b"\r\n\r\n", b"\n\n") if (i := head.find(m)) >= 0), default=-1)
        if end < 0:
            return None
        if status >= 200 or status == 101:
            return status
        head = head[end:]  # interim answers, such as 100 Continue, precede the answer


def _quoted(line: bytes) -> str:
    text = line[:60].decode(errors="replace").strip()
    return '"' + "".join(c for c in text if c.isprintable()) + '"'
