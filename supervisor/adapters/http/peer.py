"""The client at the other end of a connection, as the kernel knows it."""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING

from supervisor.adapters.http.messages import Peer

if TYPE_CHECKING:
    from supervisor.adapters.http.tls import TlsSocket

_UCRED = struct.Struct("iII")
_SO_PEERGROUPS = 59
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_UID_AT = 16 + 4 + 48 + 12
"""Of `struct inet_diag_msg` in an answer: head of the message, family to retransmissions, the socket's id, queues."""
_GROUPS = 1024  # bytes: 256 groups; getsockopt of Python returns at most this


def peer_of(sock: socket.socket) -> Peer:
    """The process and the user that connected."""
    pid, uid, _gid = _credentials(sock)
    return Peer(pid, uid)


def is_permitted(sock: socket.socket, group: int | None) -> bool:
    """Whether the peer is the daemon's user, root, or a member of the group."""
    _pid, uid, gid = _credentials(sock)
    if uid in (0, os.geteuid()):
        return True
    if group is None:
        return False
    if gid == group:
        return True
    try:
        groups = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS)
    except OSError:  # more groups than that, or before Linux 4.13
        return False
    return group in struct.unpack(f"{len(groups) // 4}I", groups)


def client_of(sock: socket.socket | TlsSocket) -> Peer:
    """The address of a client on TCP, and its user where it is on this machine."""
    try:
        client, ours = sock.getpeername(), sock.getsockname()
    except OSError:  # it has disconnected
        return Peer(0, None)
    host, port = client[0], client[1]
    return Peer(0, _owner(host, port, ours[0], ours[1]), f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def _owner(host: str, port: int, our_host: str, our_port: int) -> int | None:
    """The user whose socket is bound to host and port and connected to ours; None: the kernel knows none here.

    It is looked up by its four numbers (sock_diag(7)), so the number of sockets does not matter.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    request = struct.pack(
        "=IHHIIBBBBI2s2s16s16sIII",
        *(72, _SOCK_DIAG_BY_FAMILY, 1, 0, 0),  # length, kind, NLM_F_REQUEST, sequence, port
        *(family, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF),  # all states
        *(port.to_bytes(2, "big"), our_port.to_bytes(2, "big")),
        *(socket.inet_pton(family, one.partition("%")[0]) for one in (host, our_host)),
        *(0, 0xFFFFFFFF, 0xFFFFFFFF),  # any interface, no cookie
    )
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _NETLINK_SOCK_DIAG) as netlink:
            netlink.sendto(request, (0, 0))
            answer = netlink.recv(4096)
    except OSError:
        return None
    kind = struct.unpack_from("=H", answer, 4)[0]
    return int(struct.unpack_from("=I", answer, _UID_AT)[0]) if kind == _SOCK_DIAG_BY_FAMILY else None


def _credentials(sock: socket.socket) -> tuple[int, int, int]:
    pid, uid, gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return pid, uid, gid
