"""TLS on an accepted connection, as a socket that raises BlockingIOError when TLS has to wait.

Imported only if a certificate is configured. The handshake is part of the first read, and so has the same deadline as
the request.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any

from supervisor.errors import OperationFailed


def server_context(certificate: str, private_key: str) -> ssl.SSLContext:
    """TLS 1.2 or newer with this chain and key (paths of PEM files). Raises OperationFailed with the reason."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, private_key, password=lambda: "")  # never ask on a terminal
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or str(error)
        raise OperationFailed(
            f"TLS cannot be set up with {certificate} and {private_key}: {reason}",
            "Both must be unencrypted PEM files.",
        ) from error
    return context


class TlsSocket:
    """The server's end of a TLS connection, as a non-blocking socket."""

    def __init__(self, context: ssl.SSLContext, sock: socket.socket) -> None:
        self._tls = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    def fileno(self) -> int:
        return self._tls.fileno()

    def recv(self, size: int) -> bytes:
        """Read up to `size` bytes, which must be a whole TLS record (16 KiB) at least: epoll does not report what is
        left over.
        """
        try:
            return self._tls.recv(size)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def send(self, data: memoryview) -> int:
        try:
            return self._tls.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def getpeername(self) -> Any:
        return self._tls.getpeername()

    def getsockname(self) -> Any:
        return self._tls.getsockname()

    def close(self) -> None:
        self._tls.close()
