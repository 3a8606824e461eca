"""The least that receiving beats must cost in Python: looks at all that is queued, takes it, and reads nothing of it.

It does the same system calls as the supervisor for as many datagrams in each wake-up, and nothing else.
"""

import ctypes
import json
import select
import socket
import subprocess
import sys

ROOM = 64
"""Datagrams that one call receives."""
BYTES, CONTROL = 96, 64
SETTING = "/proc/sys/net/unix/max_dgram_qlen"
LONG, LONGEST_S, EXPECTED = 512, 0.04, 1250
"""Datagrams that the queue shall hold; seconds from one wake-up to the next; datagrams expected in a second."""
CLONE_NEWNET, SO_TIMESTAMPNS = 0x40000000, 35


class Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class Header(ctypes.Structure):
    """struct mmsghdr on 64-bit systems."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("padding", ctypes.c_int),
        ("received", ctypes.c_uint),
        ("end", ctypes.c_int),
    )


def main() -> None:
    libc = ctypes.CDLL(None)
    with open(SETTING) as setting:
        length = int(setting.read())
    if length < LONG and libc.unshare(CLONE_NEWNET) == 0:
        with open(SETTING, "w") as setting:
            setting.write(str(length := LONG))
    beats = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    beats.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    beats.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    beats.bind(sys.argv[2])
    text, control = ctypes.create_string_buffer(ROOM * BYTES), ctypes.create_string_buffer(ROOM * CONTROL)
    vectors, headers = (Vector * ROOM)(), (Header * ROOM)()
    for n in range(ROOM):
        vectors[n] = Vector(ctypes.addressof(text) + n * BYTES, BYTES)
        one = ctypes.addressof(vectors) + n * ctypes.sizeof(Vector)
        headers[n] = Header(None, 0, one, 1, ctypes.addressof(control) + n * CONTROL, CONTROL, 0, 0, 0, 0)
    with open(sys.argv[1]) as services:
        running = [subprocess.Popen(argv, env={"NOTIFY_SOCKET": sys.argv[2]}) for argv in json.load(services)]
    receive, fd, wait = libc.recvmmsg, beats.fileno(), min(length / EXPECTED, LONGEST_S)
    look, take = int(socket.MSG_PEEK | socket.MSG_DONTWAIT), int(socket.MSG_DONTWAIT)
    poll = select.epoll()
    while running:
        poll.poll(wait)
        count = ROOM
        while count == ROOM:
            receive(fd, headers, ROOM, look, None)
            count = receive(fd, headers, ROOM, take, None)


main()
