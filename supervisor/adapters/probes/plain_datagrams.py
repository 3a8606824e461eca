"""Receives the short datagrams of a Unix socket many at a time, with sender and time of arrival.

Two system calls serve them all: recvmmsg(2) looks at what is queued (MSG_PEEK with SO_PEEK_OFF, which lets it look
beyond the first datagram), and takes of it what stands before the first datagram that is long or carries descriptors.
That one is left to the caller.  The socket module has no recvmmsg, so it is called through ctypes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct

ROOM = 64
"""Datagrams that one call looks at, at most."""
SHORT = 96
"""Bytes; longer datagrams are not plain."""

_SO_PEEK_OFF, _SO_TIMESTAMPNS = 42, 35
_PEEK = int(socket.MSG_PEEK | socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC)
_TAKE = int(socket.MSG_DONTWAIT)
_MORE = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)
# struct mmsghdr on 64-bit systems; where control data are otherwise laid out, no datagram is plain
_HEADER = struct.Struct("=QI4xQQQQi4xI4x")
_RECEIVED = struct.Struct("=48xi4xI4x")  # msg_flags, msg_len
_CONTROL = struct.Struct("=QiiqqQiiiII4x")  # SCM_TIMESTAMPNS (struct timespec), SCM_CREDENTIALS (struct ucred)
_VECTOR = struct.Struct("=QQ")
_STAMP = (32, socket.SOL_SOCKET, _SO_TIMESTAMPNS)
_CREDENTIALS = (28, socket.SOL_SOCKET, int(socket.SCM_CREDENTIALS))

Plain = tuple[int, int, int, int, int]
"""pid and uid of the sender, arrival in CLOCK_REALTIME nanoseconds, and begin and end of the text in `text`."""


class PlainDatagrams:
    """The plain datagrams at the head of `sock`, which has SO_PASSCRED and SO_TIMESTAMPNS.

    `text` holds what the last `take` received; `left` is the number of datagrams that it looked at and did not take,
    or more.  While that is not 0, they have to be received singly and counted down: the kernel does not show an empty
    datagram that was looked at before."""

    def __init__(self, sock: socket.socket) -> None:
        self.left = 0
        self._sock = sock
        self._fd = sock.fileno()
        self._offset = False
        self._receive = ctypes.CDLL(None, use_errno=True).recvmmsg
        self._receive.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
        self.text = bytearray(ROOM * SHORT)
        self._control = bytearray(ROOM * _CONTROL.size)
        self._headers = bytearray(ROOM * _HEADER.size)
        self._vectors = bytearray((ROOM + 1) * _VECTOR.size)
        self._takers = bytearray(ROOM * _HEADER.size)
        text, control, vectors = (_address(b) for b in (self.text, self._control, self._vectors))
        for n in range(ROOM):
            _VECTOR.pack_into(self._vectors, n * _VECTOR.size, text + n * SHORT, SHORT)
            vector, data = vectors + n * _VECTOR.size, control + n * _CONTROL.size
            _HEADER.pack_into(self._headers, n * _HEADER.size, 0, 0, vector, 1, data, _CONTROL.size, 0, 0)
            last = vectors + ROOM * _VECTOR.size
            _HEADER.pack_into(self._takers, n * _HEADER.size, 0, 0, last, 1, 0, 0, 0, 0)
        self._nowhere = bytearray(1)
        _VECTOR.pack_into(self._vectors, ROOM * _VECTOR.size, _address(self._nowhere), 1)
        self._fresh = bytes(self._headers)
        self._used = 0
        self._looking, self._taking = _address(self._headers), _address(self._takers)

    def take(self) -> list[Plain]:
        """Take the plain datagrams at the head, ROOM at most.  OSError."""
        if not self._offset:
            self._sock.setsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF, 0)
            self._offset = True
        used = self._used
        self._headers[:used] = self._fresh[:used]  # the kernel has written into them
        seen = self._receive(self._fd, self._looking, ROOM, _PEEK, None)
        if seen < 0 and (code := ctypes.get_errno()) not in (errno.EAGAIN, errno.EINTR):
            raise OSError(code, os.strerror(code))
        self._used = max(seen, 0) * _HEADER.size
        if seen <= 0:
            return []
        found: list[Plain] = []
        begin = 0
        controls = _CONTROL.iter_unpack(self._control)
        for (flags, length), control in zip(_RECEIVED.iter_unpack(self._headers), controls, strict=True):
            if flags & _MORE or control[:3] != _STAMP or control[5:8] != _CREDENTIALS:
                break
            found.append((control[8], control[9], control[3] * 1_000_000_000 + control[4], begin, begin + length))
            begin += SHORT
            if len(found) == seen:
                break
        plain = len(found)
        if plain:
            self._receive(self._fd, self._taking, plain, _TAKE, None)
        self.left = seen - plain
        if self.left:
            self.look_at_first()
        return found

    def look_at_first(self) -> None:
        """Let MSG_PEEK look at the first datagram again.  OSError."""
        if self._offset:
            self._sock.setsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF, -1)
            self._offset = False


def _address(buffer: bytearray) -> int:
    """Where the bytes stand; they do not move while the bytearray keeps its length."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))
