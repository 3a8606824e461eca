"""A connection to a unix socket that carries one message a packet, made again when it is lost.  Nothing here waits."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from supervisor.core.cluster.bounds import PACKET

LARGEST = PACKET
KNOCK = 0.1
"""Seconds between two attempts to connect."""


class Packets:
    """A connection with what listens at `path`.  Moments are seconds of any clock that does not step."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._sock: socket.socket | None = None
        self._knocked = -1e9

    def fileno(self) -> int:
        """The descriptor to wait for; -1: there is no connection."""
        return self._sock.fileno() if self._sock is not None else -1

    def connect(self, now: float) -> bool:
        """Whether a new connection was made: messages on the one before may be lost."""
        if self._sock is not None or now - self._knocked < KNOCK:
            return False
        self._knocked = now
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.setblocking(False)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * LARGEST)
            sock.connect(self.path)
        except OSError:
            sock.close()
            return False
        self._sock = sock
        return True

    def send(self, packet: bytes) -> bool:
        """Whether it was taken.  A peer that does not read until its buffer is full loses the connection."""
        if self._sock is None:
            return False
        try:
            self._sock.send(packet)
        except OSError:
            self.close()
            return False
        return True

    def packets(self) -> Iterator[bytes]:
        """Those that have come."""
        while self._sock is not None:
            try:
                packet = self._sock.recv(LARGEST)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self.close()
                return
            yield packet

    def close(self) -> None:
        """End the connection."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None
