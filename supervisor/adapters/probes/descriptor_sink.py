"""Takes datagrams that carry descriptors from a socket in another process, because closing a descriptor can block.

A connection that lingers or a file on a network file system can keep `close` waiting for minutes.  Leaving no room for
the descriptors does not help: the kernel then closes them while the receiver waits.  So the daemon only looks at such a
datagram (MSG_PEEK), and a helper process receives it.  The helper closes the descriptors in threads; one that blocks
keeps the helper and not the daemon.  It is started for the first such datagram and ends when it is idle.

Descriptors that a service stores (FDSTORE=1), and a pidfd of a main process, are wanted: the helper passes them on, as
many as there is room for.  It closes those of a file on a file system that may not answer (linux/mounts.py), because
each close of such a file can block, in the daemon too.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

from supervisor.adapters.eventloop.fd_passing import receive
from supervisor.adapters.eventloop.loop import EventLoop, Timer
from supervisor.adapters.linux.mounts import LOCAL

Taker = Callable[[list[int], int], None]
"""`taker(descriptors, refused)`: the descriptors that came, now the taker's, and how many were closed; both may be none
where the helper did not answer."""
MOST = 253
"""Descriptors of one datagram at most (SCM_MAX_FD)."""

PATIENCE = 1.0
"""Seconds in which the helper must have taken a datagram; then another one is started, which has twice as long."""
_LONGEST_PATIENCE = 16.0
_SOON = 0.02  # seconds that `settle` waits
PLAIN_ROOM = socket.CMSG_SPACE(12) + socket.CMSG_SPACE(16)
"""Bytes of ancillary data that hold sender and time of arrival, and no descriptor: MSG_CTRUNC tells that there are."""
_ROOM = PLAIN_ROOM + socket.CMSG_SPACE(MOST * 4)
_SCRIPT = f"""
import _socket, _thread, os

def close(descriptors):
    for fd in descriptors:
        try:
            os.close(fd)
        except OSError:
            pass

def harmless(fd):
    target = os.readlink(f"/proc/self/fd/{{fd}}")
    if not target.startswith("/") or target.startswith("/memfd:"):
        return True
    with open(f"/proc/self/fdinfo/{{fd}}", "rb") as info:
        mount = next((line.split()[1] for line in info if line.startswith(b"mnt_id:")), b"")
    with open("/proc/self/mountinfo", "rb") as mounts:
        for line in mounts:
            before, _, after = line.partition(b" - ")
            if before.split(b" ", 1)[0] == mount:
                return after.split(b" ", 1)[0] in {sorted(LOCAL)}
    return False

datagrams, orders = _socket.socket(fileno=0), _socket.socket(fileno=1)
orders.settimeout(30.0)
while True:
    try:
        order = orders.recv(1)
    except OSError:
        order = b""
    if not order:
        os._exit(0)
    ancillary, found, wanted = [], [], []
    try:
        if datagrams.recvmsg(1, {PLAIN_ROOM}, _socket.MSG_DONTWAIT | _socket.MSG_PEEK)[2] & _socket.MSG_CTRUNC:
            ancillary = datagrams.recvmsg(1, {_ROOM}, _socket.MSG_DONTWAIT | _socket.MSG_CMSG_CLOEXEC)[1]
    except OSError:
        pass
    for level, kind, data in ancillary:
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
            starts = range(0, len(data), 4)
            found += [int.from_bytes(data[start:start + 4], "{sys.byteorder}") for start in starts]
    try:
        if order[0]:
            wanted = [fd for fd in found if harmless(fd)][:order[0]]
    except OSError:
        pass
    rights = b"".join(fd.to_bytes(4, "{sys.byteorder}") for fd in wanted)
    sent = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if wanted else []
    try:
        orders.sendmsg([bytes([len(found) - len(wanted)])], sent)
    except OSError:
        pass
    if found:
        try:
            _thread.start_new_thread(close, (found,))
        except RuntimeError:  # too many block already: these stay open in this process
            pass
"""


class DescriptorSink:
    """Lets a helper take the first datagram of `source`; `taken()` is called when it may be read again.

    While `busy`, `source` must not be read.  `room`: how many descriptors `taker` wants; none without one.
    """

    def __init__(self, loop: EventLoop, source: socket.socket, taken: Callable[[], None]) -> None:
        self._loop, self._source, self._taken = loop, source, taken
        self._orders: socket.socket | None = None
        self._pid = 0
        self._timer: Timer | None = None
        self._patience = PATIENCE
        self._taker: Taker | None = None
        self.busy = False

    def take(self, taker: Taker | None = None, room: int = 0) -> None:
        """Order it.  OSError where no helper can be started; then `taker` is not called."""
        for _ in range(2):  # the first may have ended because it was idle
            if self._orders is None:
                self._start()
            assert self._orders is not None
            try:
                self._orders.send(bytes([min(room, MOST)]))
            except OSError:
                self._leave()
            else:
                break
        self.busy, self._taker = True, taker
        self._timer = self._loop.call_at(self._loop.now() + self._patience, self._too_late)

    def settle(self) -> None:
        """Wait a moment for the helper where it is busy."""
        if self.busy and self._orders is not None and select.select([self._orders], [], [], _SOON)[0]:
            self._answered(0)

    def close(self) -> None:
        """Leave the helper to itself: it ends when it has nothing to do."""
        if self._timer is not None:
            self._timer.cancel()
        if self._orders is not None:
            self._forget()

    def _start(self) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with its:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _SCRIPT],
                    stdin=self._source.fileno(),
                    stdout=its.fileno(),
                    stderr=subprocess.DEVNULL,
                    env={},
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        process.returncode = 0  # the daemon reaps it as it does strangers
        self._pid = process.pid
        ours.setblocking(False)
        self._orders = ours
        self._loop.register(ours.fileno(), self._answered)

    def _answered(self, _events: int) -> None:
        assert self._orders is not None
        taker = self._taker
        said = b""
        descriptors: list[int] = []
        try:
            if taker is None:
                said = self._orders.recv(16)
            else:
                said, descriptors = receive(self._orders, 1, MOST)
        except BlockingIOError:
            return
        except OSError:
            pass
        if said:
            self._patience = PATIENCE
        else:
            self._forget()
        if taker is not None:
            self._taker = None
            taker(descriptors, said[0] if said else 0)
        self._over()

    def _too_late(self) -> None:
        """The helper hangs: leave it.  Whether it took the datagram shows when `source` is read again."""
        self._patience = min(2 * self._patience, _LONGEST_PATIENCE)
        self._leave()
        self._over()

    def _over(self) -> None:
        if self.busy:
            self.busy = False
            assert self._timer is not None
            self._timer.cancel()
            if (taker := self._taker) is not None:
                self._taker = None
                taker([], 0)
            self._taken()

    def _leave(self) -> None:
        self._forget()
        with suppress(ProcessLookupError, PermissionError):
            os.kill(self._pid, signal.SIGKILL)

    def _forget(self) -> None:
        assert self._orders is not None
        self._loop.unregister(self._orders.fileno())
        self._orders.close()
        self._orders = None
