"""A GET over TLS.  The certificate is not verified, as in Kubernetes' probes: the question is whether it answers."""

from __future__ import annotations

import socket
import ssl
from functools import cache

from supervisor.adapters.eventloop.loop import EPOLLIN, EPOLLOUT, EventLoop
from supervisor.adapters.probes.prober import Done, error_text
from supervisor.adapters.probes.tcp_http import MOST_HEAD, Attempt, HttpAttempt, HttpTarget


class HttpsTarget(HttpTarget):
    """`https://host[:port][/path]`: healthy when a GET is answered with 2xx or 3xx."""

    __slots__ = ()
    usual_port = 443

    def _attempt(self, loop: EventLoop, timeout: float, done: Done) -> Attempt:
        return _HttpsAttempt(loop, self.port, timeout, done, self._request, self.host)


class _HttpsAttempt(HttpAttempt):
    """One GET, after the handshake.  `host` is the name that is asked for (SNI); an address asks for none."""

    __slots__ = ("_host",)

    def __init__(self, loop: EventLoop, port: int, timeout: float, done: Done, request: bytes, host: str) -> None:
        super().__init__(loop, port, timeout, done, request)
        self._host = host

    def at_once(self, connection: socket.socket) -> bool:
        return False  # the handshake of TLS comes first

    def connected(self, connection: socket.socket) -> None:
        try:
            secured = _context().wrap_socket(connection, server_hostname=self._host, do_handshake_on_connect=False)
        except (OSError, ValueError) as error:
            self._finish(f"TLS: {error}")
            return
        self._socket = secured  # the other object no longer owns the descriptor
        self._shake(secured)

    def _shake(self, connection: ssl.SSLSocket) -> None:
        """Continue the handshake, and send the request after it."""
        try:
            connection.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wanted:
            events = EPOLLIN if isinstance(wanted, ssl.SSLWantReadError) else EPOLLOUT
            self._loop.unregister(connection.fileno())
            self._loop.register(connection.fileno(), lambda _events: self._shake(connection), events)
        except OSError as error:
            self._finish(f"TLS: {_reason(error)}")
        else:
            self.send_request(connection)

    def _receive(self, connection: socket.socket) -> None:
        try:
            chunk = connection.recv(MOST_HEAD)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._finish(f"TLS: {_reason(error)}")
            return
        self.received(chunk)


@cache
def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: OSError) -> str:
    """`wrong version number` of an ssl.SSLError, the system's text of another."""
    reason = getattr(error, "reason", None)
    return reason.lower().replace("_", " ") if isinstance(reason, str) else error_text(error)
