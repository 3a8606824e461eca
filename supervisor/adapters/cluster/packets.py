"""Unix sockets that carry one message a packet, without ever blocking the event loop."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.core.cluster.bounds import PACKET

LARGEST = PACKET
_UCRED = struct.Struct("iII")


class PacketConnection:
    """One connection.  `heard(packet)` takes each message, `lost()` is called once when it has ended."""

    def __init__(
        self, sock: socket.socket, loop: EventLoop, heard: Callable[[bytes], None], lost: Callable[[], None]
    ) -> None:
        self._sock, self._loop, self._heard, self._lost = sock, loop, heard, lost
        self._open = True
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * LARGEST)
        loop.register(sock.fileno(), self._readable)

    def send(self, packet: bytes, descriptors: list[int] | None = None) -> bool:
        """Whether it was taken.  A peer that reads nothing until its buffer is full loses the connection."""
        if not self._open:
            return False
        try:
            socket.send_fds(self._sock, [packet], descriptors or [])
        except OSError:
            self._end()
            return False
        return True

    def close(self) -> None:
        """End it without `lost`."""
        if self._open:
            self._open = False
            self._loop.unregister(self._sock.fileno())
            self._sock.close()

    def _readable(self, _events: int) -> None:
        while self._open:
            try:
                packet = self._sock.recv(LARGEST)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self._end()
                return
            self._heard(packet)

    def _end(self) -> None:
        if self._open:
            self.close()
            self._lost()


class PacketListener:
    """Takes connections of processes of our own user, one at a time: a newer one takes the place of the one before."""

    def __init__(self, path: str, loop: EventLoop, heard: Callable[[bytes], None], came: Callable[[], None]) -> None:
        """OSError where the path cannot be bound."""
        self._path, self._loop, self._heard, self._came = path, loop, heard, came
        self.connection: PacketConnection | None = None
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        with suppress(FileNotFoundError):
            Path(path).unlink()
        before = os.umask(0o177)
        try:
            self._sock.bind(path)
        finally:
            os.umask(before)
        self._sock.listen(4)
        self._sock.setblocking(False)
        loop.register(self._sock.fileno(), self._knocked)

    def send(self, packet: bytes) -> bool:
        """Whether there is a connection that took it."""
        return self.connection is not None and self.connection.send(packet)

    def close(self) -> None:
        """Take no more, and forget the path."""
        if self.connection is not None:
            self.connection.close()
        self._loop.unregister(self._sock.fileno())
        self._sock.close()
        with suppress(OSError):
            Path(self._path).unlink()

    def _knocked(self, _events: int) -> None:
        try:
            sock, _ = self._sock.accept()
        except OSError:
            return
        _, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        if uid not in (0, os.geteuid()):
            sock.close()
            return
        if self.connection is not None:
            self.connection.close()
        self.connection = PacketConnection(sock, self._loop, self._heard, self._left)
        self._came()

    def _left(self) -> None:
        self.connection = None


def connect(
    path: str, loop: EventLoop, heard: Callable[[bytes], None], lost: Callable[[], None]
) -> PacketConnection | None:
    """A connection with what listens on a path; None where nothing does."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    sock.setblocking(False)
    try:
        sock.connect(path)
    except OSError:  # also where too many wait at the door
        sock.close()
        return None
    return PacketConnection(sock, loop, heard, lost)
