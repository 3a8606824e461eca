"""The credentials of the client at the other end of a Unix socket, from the kernel."""

from __future__ import annotations

import os
import socket
import struct

from supervisor.adapters.http.messages import Peer

_UCRED = struct.Struct("iII")
_SO_PEERGROUPS = 59
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


def _credentials(sock: socket.socket) -> tuple[int, int, int]:
    pid, uid, gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return pid, uid, gid
