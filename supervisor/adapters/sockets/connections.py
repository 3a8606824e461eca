"""Counts the connections that are open on listening sockets, and reads the queue of each.

The counts come from the kernel's tables, so connections need not pass through the daemon: sock_diag(7) for the
connections of TCP, filtered by port in the kernel, and for the queues of Unix sockets; getsockopt for the queue of a
TCP listener; /proc/net/unix for the connections of Unix sockets, whose accepted ends have the name of the listener.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_REQUEST, _DUMP = 1, 0x300
_DONE, _ERROR = 3, 2
_OPEN = 1 << 1 | 1 << 3 | 1 << 8
"""ESTABLISHED, SYN_RECV, CLOSE_WAIT: the service may still answer."""
_INET_REQUEST = struct.Struct("=BBBxI")
_INET_ID = struct.Struct("!HH16s16s12x")
_UNIX_REQUEST = struct.Struct("=BxxxIIIII")
_UDIAG_SHOW_RQLEN = 1 << 4
_UNIX_DIAG_RQLEN = 4
_LISTEN = 10
_UNIX_OPEN = (b"02", b"03")
"""In the queue of the listener, and accepted."""
_SO_MEMINFO, _SO_MEMINFO_DROPS = 55, 8
_TCP_INFO_UNACKED = 24
"""Where in tcp_info the length of a listener's queue stands; its limit follows."""
_BUFFER = 1 << 16


class Queue(NamedTuple):
    """Connections that wait to be accepted, how many may, and how many were refused since the socket was opened because
    the queue was full (None: the kernel does not tell)."""

    waiting: int
    limit: int
    overflows: int | None


def open_connections(listening: socket.socket) -> int:
    """How many connections to this listening socket are open, or wait to be accepted.  OSError."""
    if listening.family == socket.AF_UNIX:
        return _unix_connections(listening.getsockname())
    host, port = listening.getsockname()[:2]
    address = socket.inet_pton(listening.family, host)
    own = (address + bytes(12))[:16]
    return sum(not any(address) or source == own for source in _tcp_sources(listening.family, port))


def queues(listening: Mapping[str, socket.socket]) -> dict[str, Queue]:
    """The queue of each socket that tells one, by the same key."""
    found: dict[str, Queue] = {}
    unix: dict[int, str] = {}
    for key, sock in listening.items():
        with suppress(OSError):
            if sock.family == socket.AF_UNIX:
                unix[os.fstat(sock.fileno()).st_ino] = key
            else:
                found[key] = _tcp_queue(sock)
    if unix:
        with suppress(OSError):
            found |= {unix[inode]: queue for inode, queue in _unix_queues() if inode in unix}
    return found


def _tcp_queue(sock: socket.socket) -> Queue:
    told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_UNACKED + 8)
    waiting, limit = struct.unpack_from("=II", told, _TCP_INFO_UNACKED)
    memory = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36)
    drops = struct.unpack_from("=9I", memory)[_SO_MEMINFO_DROPS] if len(memory) == 36 else None
    return Queue(waiting, limit, drops)


def _tcp_sources(family: int, port: int) -> Iterator[bytes]:
    """The own address of each open connection to this port."""
    wanted = _INET_REQUEST.pack(family, socket.IPPROTO_TCP, 0, _OPEN) + _INET_ID.pack(port, 0, b"", b"") + bytes(8)
    for message in _dump(wanted[:56]):
        yield message[8:24]


def _unix_connections(name: str | bytes) -> int:
    wanted = name.replace(b"\0", b"@") if isinstance(name, bytes) else os.fsencode(name)
    with open("/proc/net/unix", "rb") as table:
        rows = (line.rstrip(b"\n").split(None, 7) for line in table)
        return sum(len(row) == 8 and row[5] in _UNIX_OPEN and row[7] == wanted for row in rows)


def _unix_queues() -> Iterator[tuple[int, Queue]]:
    request = _UNIX_REQUEST.pack(socket.AF_UNIX, 1 << _LISTEN, 0, _UDIAG_SHOW_RQLEN, 0, 0)
    for message in _dump(request):
        inode = struct.unpack_from("=I", message, 4)[0]
        offset = 16
        while offset + 4 <= len(message):
            size, kind = struct.unpack_from("=HH", message, offset)
            if kind == _UNIX_DIAG_RQLEN:
                waiting, limit = struct.unpack_from("=II", message, offset + 4)
                yield inode, Queue(waiting, limit, None)
            offset += max(4, (size + 3) & ~3)


def _dump(request: bytes) -> Iterator[bytes]:
    """The messages that the kernel answers.  OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as sock:
        head = struct.pack("=IHHII", 16 + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST | _DUMP, 0, 0)
        sock.send(head + request)
        while True:
            answer = sock.recv(_BUFFER)
            offset = 0
            while offset + 16 <= len(answer):
                size, kind = struct.unpack_from("=IH", answer, offset)
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    number = -struct.unpack_from("=i", answer, offset + 16)[0]
                    raise OSError(number, os.strerror(number))
                yield answer[offset + 16 : offset + size]
                offset += (size + 3) & ~3
