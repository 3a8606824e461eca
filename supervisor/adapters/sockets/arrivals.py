"""Notices that a connection has come to a listening socket, also if another process has accepted it at once.

epoll does not notice that: it looks whether the queue still holds a connection when the daemon runs, and a service that
accepts is faster.  The kernel's signal for a socket (O_ASYNC, F_SETSIG) is sent when a connection arrives, whatever
becomes of it.  A thread that has the signal blocked waits for it, so that the mask of the daemon, which its children
inherit, stays as it is.  The signal is SIGURG, whose default is to be ignored: while no daemon waits for it, it harms
nothing.  The flag belongs to the open socket, which the service has too; the kernel tells the thread only.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import struct
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

from supervisor.adapters.eventloop.loop import EventLoop

_F_SETSIG, _F_SETOWN_EX, _F_OWNER_TID = 10, 15, 0
_SI_FD = 24
"""Where in siginfo_t (128 bytes) the descriptor stands, on 64-bit systems."""


class Arrivals:
    """Calls `heard(fd)` once for each `listen`, in the loop, when a connection has come."""

    def __init__(self, loop: EventLoop, heard: Callable[[int], None]) -> None:
        self._loop = loop
        self._heard = heard
        self._listening: set[int] = set()
        self._thread: int | None = None

    def listen(self, fd: int) -> None:
        """Call back at the next connection to `fd`; one that waits already may count.  OSError."""
        if self._thread is None:
            self._thread = self._begin()
        self._listening.add(fd)
        fcntl.fcntl(fd, _F_SETOWN_EX, struct.pack("ii", _F_OWNER_TID, self._thread))
        fcntl.fcntl(fd, _F_SETSIG, signal.SIGURG)
        _set_async(fd, on=True)

    def ignore(self, fds: Iterable[int]) -> None:
        """Do not call back for these any more; they may be closed."""
        for fd in set(fds) & self._listening:
            self._listening.discard(fd)
            with suppress(OSError):
                _set_async(fd, on=False)

    def _begin(self) -> int:
        """Start the thread and return its number.

        The daemon may fork at any moment while it waits: it holds no lock then (adapters/processes/fork_exec.py)."""
        begun = threading.Event()
        thread = threading.Thread(target=self._wait, args=(begun,), daemon=True, name="arrivals")
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGURG})  # the thread inherits it
        try:
            thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        begun.wait()
        assert thread.native_id is not None
        return thread.native_id

    def _wait(self, begun: threading.Event) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        wanted = ctypes.create_string_buffer(128)
        libc.sigemptyset(wanted)
        libc.sigaddset(wanted, int(signal.SIGURG))
        info = ctypes.create_string_buffer(128)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # all others are the main thread's
        begun.set()
        while True:
            if libc.sigwaitinfo(wanted, info) == signal.SIGURG:
                fd = struct.unpack_from("i", info.raw, _SI_FD)[0]
                self._loop.call_from_thread(partial(self._came, fd))

    def _came(self, fd: int) -> None:
        if fd in self._listening:
            self.ignore((fd,))
            self._heard(fd)


def _set_async(fd: int, *, on: bool) -> None:
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_ASYNC if on else flags & ~os.O_ASYNC)
