"""The notify socket, to which services send READY=1, WATCHDOG=1 and the other messages of sd_notify(3).

The kernel adds the sender (SCM_CREDENTIALS) and the time of arrival (SCM_TIMESTAMPNS) to each datagram, so no process
can beat for another instance, and delays of the daemon do not distort intervals.

Each datagram is looked at first and then taken (MSG_PEEK), short ones many at a time (plain_datagrams.py).  One that
carries descriptors is taken by another process, because closing them can block (descriptor_sink.py).

A single datagram is read at once.  Where they come so fast that waking up for each is most of their cost, they are
collected for some milliseconds and read together; their times of arrival stay exact, and before a silence is judged
what has arrived is read (`drain`).  Meanwhile the kernel queues them, as many as long_queue.py says.

The socket's mode is 0666, because services may run as other users.  Access is limited by its directory: 0700 where all
services run as the daemon's user, 0711 where one does not or may change it.  Messages of foreign processes are
ignored.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress

from supervisor.adapters.eventloop.loop import EPOLLIN, EventLoop, Timer
from supervisor.adapters.probes.descriptor_sink import PLAIN_ROOM, DescriptorSink, Taker
from supervisor.adapters.probes.long_queue import long_socket, queue_length
from supervisor.adapters.probes.plain_datagrams import ROOM, Plain, PlainDatagrams
from supervisor.core.model.sdnotify import BEAT, MAX_DATAGRAM, ONE_BEAT, Message, parse

Wanted = tuple[Taker, int]
"""What takes the descriptors of a datagram, and how many it wants."""
Deliver = Callable[[int, int, Message, float], Wanted | None]
"""`deliver(pid, uid, message, at)`: the sender as the kernel saw it, and the arrival in CLOCK_MONOTONIC seconds.  None:
the descriptors that came with it are closed."""

_MOST_PER_TURN = 256  # datagrams
_FIRST_BATCH = 0.02  # seconds that datagrams are collected for, where gaps are shorter than that
_LONGEST_BATCH = 0.1  # seconds, where few come even in that time
_HURRY = 5.0  # seconds after a start in which a batch is not longer than the first one, because READY=1 is awaited
_LONGEST_DRAIN = 0.05  # seconds after which `drain` waits for no further datagram with descriptors
_SHORTEST_BATCH = 0.002  # seconds, where the kernel's queue is full before that
_EXPECTED = 1250  # datagrams a second that the kernel's queue must hold for the length of a batch
_RECEIVE_BUFFER = 1 << 20  # bytes
_CLOCK_SLACK = 0.001  # seconds by which two clocks may seem to differ
_UNDISTURBED = 20_000  # ns that three readings of a clock take at most when no other process runs in between
_CREDENTIALS = struct.Struct("=iII")  # struct ucred: pid, uid, gid
_TIMESTAMP = struct.Struct("=qq")  # struct timespec
_SO_TIMESTAMPNS = 35  # the socket module does not name it; SCM_TIMESTAMPNS is the same number
_PEEK = int(socket.MSG_PEEK | socket.MSG_CMSG_CLOEXEC)  # plain numbers: an IntFlag's & costs 4 µs
_TRUNCATED, _CARRIES_DESCRIPTORS = int(socket.MSG_TRUNC), int(socket.MSG_CTRUNC)


class NotifySocket:
    """Binds `path` (replacing what is there) and delivers messages.  OSError where it cannot be bound.

    `oversized` counts datagrams that were dropped because of their length, `meaningless` those without a known field.
    `on_problem(text)` is called once for each kind of problem.
    """

    def __init__(
        self,
        loop: EventLoop,
        path: str,
        deliver: Deliver,
        on_problem: Callable[[str], None],
        inherited: int | None = None,
    ) -> None:
        self.path = path
        self.oversized = self.meaningless = 0
        self._loop = loop
        self._deliver = deliver
        self._on_problem = on_problem
        self._told: set[str] = set()
        self._buffer = bytearray(MAX_DATAGRAM)
        self._view = memoryview(self._buffer)
        self._empty_at = self._heard_at = loop.now()
        self._batch_timer: Timer | None = None
        self._hurried_until = self._batch = self._wait = self._longest = 0.0
        self._socket = _inherited(inherited, path) or _bound(path)
        self._expect(queue_length(self._socket))
        self._plain = PlainDatagrams(self._socket)
        self._former: list[socket.socket] = []
        self._sinks: dict[socket.socket, DescriptorSink] = {}
        self._given: tuple[int, int] | None = None
        self._wanted: Wanted | None = None
        """What the descriptors of the datagram `_given` are wanted for."""
        loop.register(self._socket.fileno(), self._readable)

    def fileno(self) -> int:
        """The descriptor, for a successor daemon, which reads the datagrams that are still in it.

        One of an earlier version looks at the first datagram, and has it looked at again by its helper."""
        self._plain.look_at_first()
        return self._socket.fileno()

    def rebind(self) -> None:
        """Bind the path again where it was removed.  The former socket is still read for its connected senders.

        OSError where it cannot be bound.
        """
        if os.path.exists(self.path):  # noqa: PTH110
            return
        fresh = _bound(self.path)
        if self._batch_timer is not None:
            self._batch_timer.cancel()
            self._batch_timer = None
        former, self._socket = self._socket, fresh
        self._plain.look_at_first()
        self._plain = PlainDatagrams(fresh)
        self._expect(queue_length(fresh))
        self._former.append(former)
        self._listen(former)
        self._loop.register(fresh.fileno(), self._readable)

    def close(self) -> None:
        """Close the socket and remove it from the file system."""
        if self._batch_timer is not None:
            self._batch_timer.cancel()
        for sink in self._sinks.values():
            sink.close()
        for former in self._former:
            self._loop.unregister(former.fileno())
            former.close()
        self._loop.unregister(self._socket.fileno())
        self._socket.close()
        with suppress(OSError):
            os.unlink(self.path)  # noqa: PTH108

    def hurry(self) -> None:
        """A process was started that may soon send READY=1: collect for a short time only, for a while."""
        now = self._loop.now()
        self._hurried_until, self._wait = now + _HURRY, min(self._wait, self._batch)
        if self._batch_timer is not None and self._batch_timer.when > now + self._batch:
            self._batch_timer.cancel()
            self._batch_timer = self._loop.call_at(now + self._batch, self._collect)

    def _expect(self, length: int) -> None:
        """Collect for as long as a queue of this length allows."""
        self._queued = max(length + 1, _MOST_PER_TURN)  # the kernel takes one more than the queue's length
        self._full = min(length, ROOM)
        self._crowded = min(2 * length, _MOST_PER_TURN)
        self._longest = min(length / _EXPECTED, _LONGEST_BATCH)
        self._batch = self._wait = min(length / _EXPECTED, _FIRST_BATCH)

    def _readable(self, _events: int) -> None:
        now = self._loop.now()
        full = self._read(_MOST_PER_TURN) >= _MOST_PER_TURN
        if not full and now - self._heard_at < self._batch and self._batch_timer is None:
            self._batch_timer = self._loop.call_at(now + self._wait, self._collect)
            self._listen(self._socket)
        self._heard_at = now

    def _collect(self) -> None:
        """Read a batch, and collect another one while several datagrams come in each.

        The next one is collected for half the time where there were more than one turn should read, or where senders
        filled the kernel's queue again while it was read, because they had waited.  Where there were few, it is
        collected for longer."""
        count, now = self._read(_MOST_PER_TURN), self._loop.now()
        if count >= self._crowded:
            self._wait = max(self._wait / 2, _SHORTEST_BATCH)
        elif count < self._crowded / 4:
            self._wait = min(self._wait * 2, self._longest if now >= self._hurried_until else self._batch)
        if 1 < count < _MOST_PER_TURN:
            self._batch_timer = self._loop.call_at(now + self._wait, self._collect)
            return
        self._batch_timer = None
        if count <= 1:
            self._wait = self._batch
        self._listen(self._socket)

    def _listen(self, sock: socket.socket) -> None:
        """Wait for datagrams, unless they are collected or the first one is being taken by another process."""
        sink = self._sinks.get(sock)
        taking = sink is not None and sink.busy
        collecting = sock is self._socket and self._batch_timer is not None
        self._loop.modify(sock.fileno(), 0 if taking or collecting else EPOLLIN)

    def drain(self) -> int:
        """Deliver what has arrived by now, and return the number of datagrams.  Call it before judging a silence.

        It waits a moment for another process to take those with descriptors, behind which a beat may stand."""
        count, until = 0, time.monotonic() + _LONGEST_DRAIN
        while True:
            for sink in self._sinks.values():
                sink.settle()
            found = self.read()
            count += found
            if not found or not self.taking or time.monotonic() >= until:
                return count

    @property
    def taking(self) -> bool:
        """Whether a datagram is being taken by another process.  Those behind it are read after that."""
        return any(sink.busy for sink in self._sinks.values())

    def read(self) -> int:
        """The same, but without waiting a moment for a datagram that another process is taking."""
        return self._read(self._queued)

    def _read(self, most: int) -> int:
        for former in self._former:
            self._drain(former, most)
        return self._drain(self._socket, most)

    def _drain(self, sock: socket.socket, most: int) -> int:
        """Deliver what `sock` holds, about `most` datagrams; their number."""
        sink = self._sinks.get(sock)
        if sink is not None and sink.busy:
            return 0
        plain = self._plain if sock is self._socket else None
        offset, taken, empty = _clock_offset(), 0, False
        try:
            while not empty and taken < most:
                if plain is None or plain.left:
                    empty = not self._take_one(sock, offset)
                    taken += not empty
                    if (sink := self._sinks.get(sock)) is not None and sink.busy:
                        return taken  # it stays among those that are left: the helper may not take it
                    if plain is not None:
                        plain.left = 0 if empty else plain.left - 1
                else:
                    found = plain.take()
                    taken += len(found)
                    empty = not plain.left and len(found) < self._full
                    self._deliver_plain(found, plain.text, offset)
        except OSError as error:
            self._trouble("unreadable", f"the notify socket cannot be read: {error.strerror}")
            return taken
        if empty:
            self._empty_at = time.monotonic()
        return taken

    def _deliver_plain(self, found: list[Plain], text: bytearray, offset: int) -> None:
        """Deliver what was received together."""
        deliver, now = self._deliver, time.monotonic()
        earliest, latest = self._empty_at - _CLOCK_SLACK, now + _CLOCK_SLACK
        for pid, uid, stamp, begin, end in found:
            said = text[begin:end]
            message = BEAT if said == ONE_BEAT else parse(bytes(said), with_descriptors=False)
            if message is None:
                self.meaningless += 1
            elif pid > 0:
                at = (stamp + offset) / 1e9
                deliver(pid, uid, message, min(at, now) if earliest <= at <= latest else now)

    def _take_one(self, sock: socket.socket, offset: int) -> bool:
        """Deliver the first datagram, whatever it is; False where there is none.  OSError."""
        try:
            size, ancillary, flags, _ = sock.recvmsg_into([self._buffer], PLAIN_ROOM, _PEEK)
        except BlockingIOError:
            return False
        pid = uid = -1
        stamp, wanted = 0, None
        for level, kind, data in ancillary:
            if level != socket.SOL_SOCKET:
                continue
            if kind == socket.SCM_CREDENTIALS:
                pid, uid, _ = _CREDENTIALS.unpack(data)
            elif kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESTAMP.unpack(data)
                stamp = seconds * 1_000_000_000 + nanoseconds
        carries = flags & _CARRIES_DESCRIPTORS
        if not carries:
            sock.recv(1)
        elif self._given == (pid, stamp):  # it was delivered, and a helper that hung has not taken it
            self._sink(sock)
            return True
        if flags & _TRUNCATED:
            self.oversized += 1
            self._trouble("oversized", f"a notification of process {pid} exceeds {MAX_DATAGRAM} bytes: dropped")
        else:
            message = parse(bytes(self._view[:size]), with_descriptors=bool(carries))
            if message is None:
                self.meaningless += 1
            elif pid > 0:
                wanted = self._deliver(pid, uid, message, self._arrival(stamp, offset))
        if carries:
            # For BARRIER=1 closing the descriptor is the answer: all that was sent before it has been delivered.
            self._given, self._wanted = (pid, stamp), wanted
            self._sink(sock)
        return True

    def _sink(self, sock: socket.socket) -> None:
        """Let the first datagram, which carries descriptors, be taken; the socket is not read until then."""
        sink = self._sinks.get(sock)
        if sink is None:
            sink = self._sinks[sock] = DescriptorSink(self._loop, sock, lambda: self._listen(sock))
        try:
            sink.take(*self._wanted) if self._wanted is not None else sink.take()
        except OSError as error:
            self._trouble("sink", f"no process can be started that closes descriptors: {error.strerror}")
            sock.recv(1)  # dropped, so that the beats behind it are read
            if self._wanted is not None:
                self._wanted[0]([], 0)
        self._listen(sock)

    def _arrival(self, stamp: int, offset: int) -> float:
        """The moment of a CLOCK_REALTIME stamp on CLOCK_MONOTONIC, which is `offset` away (both ns).

        The realtime clock may have been stepped in between: a time in the future, or before the socket was last seen
        empty, cannot be true, and then the present time is used.
        """
        at = (stamp + offset) / 1e9
        now = time.monotonic()
        return min(at, now) if self._empty_at - _CLOCK_SLACK <= at <= now + _CLOCK_SLACK else now

    def _trouble(self, kind: str, text: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            self._on_problem(text)


def _clock_offset() -> int:
    """How far CLOCK_MONOTONIC is ahead of CLOCK_REALTIME, in ns, read without an interruption where possible."""
    for _ in range(3):
        before, real, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if after - before < _UNDISTURBED:
            break
    return before - real


def _bound(path: str) -> socket.socket:
    """A new datagram socket at `path`, with credentials and time stamps enabled before anything can arrive."""
    sock = long_socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        with suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 - it is cheap, and pathlib is not needed otherwise
        sock.bind(path)
        os.chmod(path, 0o666)  # noqa: PTH101
    except OSError:
        sock.close()
        raise
    return sock


def _inherited(fd: int | None, path: str) -> socket.socket | None:
    """A predecessor's socket, if `path` still leads to it."""
    if fd is None:
        return None
    sock = socket.socket(fileno=fd)
    if os.path.exists(path):  # noqa: PTH110
        return sock
    sock.close()
    return None
