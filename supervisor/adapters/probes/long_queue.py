"""Makes a Unix datagram socket whose queue is long although net.unix.max_dgram_qlen is short.

A sender waits while the queue is full: with eleven datagrams where the setting is the kernel's default, 10.  A daemon
then wakes up for each eleven beats, and services wait for it.  The limit belongs to the network namespace in which a
socket was made, and a Unix socket with a path can be reached from all of them.  So root makes the socket in a network
namespace of its own, with a longer queue: in a thread, which ends after that; no process runs in that namespace.  It
takes half a millisecond and 0.2 MB of the kernel's memory.  Without CAP_SYS_ADMIN, or where /proc/sys cannot be
written, as in most containers, the socket is an ordinary one.
"""

from __future__ import annotations

import ctypes
import socket
import threading
from contextlib import suppress

from supervisor.adapters.linux import procfs

LONG = 512
"""Datagrams; what systemd sets at boot."""
_SETTING = "/proc/sys/net/unix/max_dgram_qlen"
_CLONE_NEWNET = 0x40000000
_SO_NETNS_COOKIE = 71


def long_socket() -> socket.socket:
    """A new datagram socket (non-blocking, close-on-exec) that queues `LONG` datagrams where that is possible.

    OSError where no descriptor is free."""
    if _usual() < LONG:
        made: list[socket.socket] = []
        apart = threading.Thread(target=_make_apart, args=(made,))
        with suppress(RuntimeError):  # no thread can be started
            apart.start()
            apart.join()
        if made:
            return made[0]
    return _make()


def queue_length(sock: socket.socket) -> int:
    """Datagrams that the kernel queues in `sock` before a sender has to wait."""
    usual = _usual()
    if usual >= LONG:
        return usual
    with suppress(OSError), _make() as ordinary:
        if _namespace(sock) != _namespace(ordinary):
            return LONG
    return usual


def _make() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


def _make_apart(made: list[socket.socket]) -> None:
    """Runs in a thread that nothing else uses: it stays in the new namespace."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
        return
    with suppress(OSError):
        with open(_SETTING, "w") as setting:
            setting.write(str(LONG))
        made.append(_make())


def _usual() -> int:
    return int(procfs.read(_SETTING) or 10)


def _namespace(sock: socket.socket) -> bytes:
    return sock.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
