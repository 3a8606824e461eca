"""Writes to a descriptor that the daemon shares with others (stdout, stderr), and never waits.

O_NONBLOCK belongs to the open file description, and with it to every process that has it, such as the shell of a
terminal. Therefore a pipe or terminal is opened anew through /proc. What cannot be opened anew, or may wait after all
(a pipe of another user, a file on a network file system), gets a thread: it reads a pipe, which the daemon writes
without waiting, and it may stand still for as long as it must.
"""

from __future__ import annotations

import _thread
import os
import select
import socket
import stat
from contextlib import suppress

_BLOCK = 1 << 16


class Outlet:
    """A way to what `fd` leads to. `fileno()` can be polled for room, unless it is a file on a disk.

    `apart`: a call may wait although O_NONBLOCK is set. Raises OSError when `fd` is closed.
    """

    def __init__(self, fd: int, *, apart: bool = False) -> None:
        self._socket: socket.socket | None = None
        self._pump: _thread.LockType | None = None
        self._fd = -1
        mode = os.fstat(fd).st_mode
        if stat.S_ISSOCK(mode):
            self._socket = socket.socket(fileno=os.dup(fd))
            return
        if stat.S_ISREG(mode) and not apart:
            self._fd = os.dup(fd)  # a file does not block, and its position is shared with other processes
        elif not apart:
            with suppress(OSError):  # another user's pipe or terminal, a FIFO without a reader, no /proc
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
                self._fd = os.open(f"/proc/self/fd/{fd}", flags)
        if self._fd < 0:
            self._fd, self._pump = _pumped(os.dup(fd))

    def fileno(self) -> int:
        return self._fd if self._socket is None else self._socket.fileno()

    def write(self, data: bytes | memoryview) -> int:
        """Write what there is room for and return its length. Raises BlockingIOError when there is none, OSError."""
        if self._socket is not None:
            return self._socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        return os.write(self._fd, data)

    def wait(self, seconds: float) -> bool:
        """Wait until there is room; False when there is none after `seconds`."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLOUT)
        return bool(poll.poll(seconds * 1000))

    def close(self, wait: float = 0.0) -> None:
        """Close it; a thread has `wait` seconds to write what it has, and is left behind then."""
        if self._socket is not None:
            self._socket.close()
            return
        os.close(self._fd)
        if self._pump is not None and wait > 0.0:
            self._pump.acquire(timeout=wait)


def _pumped(target: int) -> tuple[int, _thread.LockType]:
    """A pipe whose content a thread writes to `target`, and a lock that is free when the thread has ended."""
    source, fd = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(fd, False)
    at_work = _thread.allocate_lock()
    at_work.acquire()
    _thread.start_new_thread(_pump, (source, target, at_work))
    return fd, at_work


def _pump(source: int, target: int, at_work: _thread.LockType) -> None:
    """Copy until the pipe is closed. Where `target` cannot be written the pipe breaks, so that the writer is told."""
    try:
        while block := os.read(source, _BLOCK):
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(target, rest) :]
    except OSError:
        pass
    finally:
        os.close(source)
        os.close(target)
        at_work.release()
