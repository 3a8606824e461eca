"""Descriptors that services store for their next process (FDSTORE=1 of sd_notify(3)), over the death of the daemon too.

The daemon holds each stored descriptor, and so does the keeper: a small process that is started for the first one and
ends when nothing is left to keep.  It gives all of them to a later daemon, whether that follows a crash or an upgrade.
It is also the last to close a descriptor, in a thread, because closing one can block (a connection that lingers).
"""

from __future__ import annotations

import _thread
import os
import socket
import stat
import subprocess
import sys
from array import array
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import NamedTuple

from supervisor.adapters.eventloop.fd_passing import receive
from supervisor.adapters.eventloop.loop import EventLoop, Timer

ANSWER_WITHIN = 2.0
"""Seconds that the keeper of an earlier daemon has for each descriptor that it gives back."""
AGAIN_AFTER = 0.1
"""Seconds after which a full queue to the keeper is tried again."""
_LONGEST_KEY = 1024  # bytes: number, name of the instance, name of the descriptor
_HANGS_UP = 0  # epoll reports EPOLLERR and EPOLLHUP whatever is asked for
_SCRIPT = f"""
import _socket, _thread, os

def close(fd):
    try:
        _thread.start_new_thread(os.close, (fd,))
    except RuntimeError:  # too many block already
        pass

listening, kept = _socket.socket(fileno=0), {{}}
while True:
    daemon = _socket.socket(fileno=listening._accept()[0])
    while True:
        try:
            data, ancillary, _, _ = daemon.recvmsg({_LONGEST_KEY}, 64, _socket.MSG_CMSG_CLOEXEC)
            order, key = data[:1], data[1:]
            if order == b"+" and ancillary:
                fd = int.from_bytes(ancillary[0][2][:4], "{sys.byteorder}")
                if key in kept:
                    close(kept.pop(key))
                kept[key] = fd
            elif order == b"-" and key in kept:
                close(kept.pop(key))
            elif order == b"=":
                for fd in kept.values():
                    close(fd)
                kept.clear()
            elif order == b"?":
                for key, fd in kept.items():
                    rights = fd.to_bytes(4, "{sys.byteorder}")
                    daemon.sendmsg([b"+" + key], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
                daemon.send(b".")
        except OSError:
            data = b""
        if not data:
            break
    daemon.close()
    if not kept:
        os._exit(0)
"""


class Stored(NamedTuple):
    """A stored descriptor.  `watched`: it is dropped when it hangs up."""

    number: int
    instance: str
    name: str
    watched: bool
    fd: int

    @property
    def key(self) -> bytes:
        """What the keeper knows it by."""
        return f"{self.number} {self.instance} {int(self.watched)} {self.name}".encode()


class DescriptorStore:
    """The stored descriptors of all instances, in the order in which they came.

    `path`: where the keeper listens; one that listens there already gives what it keeps.  `problem(text)`: takes what
    goes wrong.
    """

    def __init__(self, loop: EventLoop, path: str, problem: Callable[[str], None]) -> None:
        self._loop, self._path, self._problem = loop, path, problem
        self._stored: list[Stored] = []
        self._keeper: socket.socket | None = None
        self._queue: deque[tuple[bytes, Stored]] = deque()
        """Orders that the keeper has not got yet."""
        self._timer: Timer | None = None
        self._next = 1
        self._full: set[str] = set()
        self._awaited: dict[str, list[Callable[[], None]]] = {}
        self._fetch()

    def of(self, instance: str) -> list[Stored]:
        """What is stored of an instance."""
        return [one for one in self._stored if one.instance == instance]

    @property
    def empty(self) -> bool:
        return not self._stored

    # -- storing -------------------------------------------------------------------------------------------------

    def expect(self, instance: str) -> None:
        """Descriptors of the instance are on their way.  `add` has to follow.  OSError where they cannot be kept."""
        if self._keeper is None:
            self._start()
        self._awaited.setdefault(instance, [])

    def when_settled(self, instance: str, callback: Callable[[], None]) -> bool:
        """Call `callback()` when those that are on their way have come.  False: none is, and it is not called."""
        waiting = self._awaited.get(instance)
        if waiting is None:
            return False
        waiting.append(callback)
        return True

    def add(self, instance: str, name: str, descriptors: Collection[int], *, watched: bool) -> None:
        """Store these descriptors, which are the store's from now on.  One that is stored already is left out."""
        for fd in descriptors:
            if any(_same(one.fd, fd) for one in self.of(instance)):
                os.close(fd)  # not the last descriptor of it, so that this does not block
                continue
            one = Stored(self._next, instance, name, watched, fd)
            self._next += 1
            self._take(one)
            self._order(b"+", one)
        for callback in self._awaited.pop(instance, ()):
            callback()
        self._leave_idle()  # it was started for them, and perhaps all of them were refused

    def refused(self, instance: str, count: int, limit: int) -> None:
        """Tell once that descriptors of the instance were closed."""
        if count and instance not in self._full:
            self._full.add(instance)
            why = f"beyond fd_store = {limit}, or a file on a file system that may not answer"
            self._problem(f"{instance}: {count} of the descriptors that it stores had to be closed ({why})")

    def remove(self, instance: str, name: str) -> None:
        """Drop those of this name."""
        self._drop([one for one in self.of(instance) if one.name == name])

    def keep_only(self, instances: Collection[str]) -> None:
        """Drop those of all other instances."""
        self._drop([one for one in self._stored if one.instance not in instances])

    def close(self) -> None:
        """Leave what is stored to the keeper, for the next daemon.  The loop is over: wait a moment for the keeper."""
        if self._keeper is not None and self._queue:
            self._keeper.settimeout(ANSWER_WITHIN)
            self._flush()
        for one in self._stored:
            self._loop.unregister(one.fd)
            os.close(one.fd)
        self._stored.clear()
        self._leave()

    def rebind(self) -> None:
        """Have a keeper at the path again, which was removed.  OSError."""
        former = self._keeper
        if former is None or os.path.exists(self._path):  # noqa: PTH110
            return
        self._start()
        self._give_all()
        self._loop.unregister(former.fileno())
        with suppress(OSError):
            former.send(b"=")  # it lets all go, and ends
        former.close()

    def _take(self, one: Stored) -> None:
        self._stored.append(one)
        if one.watched:
            with suppress(OSError):  # a file cannot be watched, and does not hang up
                self._loop.register(one.fd, lambda _events: self._drop([one]), _HANGS_UP)

    def _drop(self, dropped: list[Stored]) -> None:
        for one in dropped:
            self._stored.remove(one)
            self._loop.unregister(one.fd)
            if self._keeper is None or self._queue:  # it may be the last descriptor
                _thread.start_new_thread(os.close, (one.fd,))
            else:
                os.close(one.fd)  # the keeper closes the last one
            self._order(b"-", one)
        if dropped:
            self._leave_idle()

    # -- the keeper ----------------------------------------------------------------------------------------------

    def _fetch(self) -> None:
        """Take over what the keeper of an earlier daemon has."""
        keeper = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        keeper.settimeout(ANSWER_WITHIN)
        try:
            keeper.connect(self._path)
            keeper.send(b"?")
            while True:
                said, descriptors = receive(keeper, _LONGEST_KEY, 1)
                if said[:1] != b"+":
                    break
                number, instance, watched, name = said[1:].decode().split(" ", 3)
                for fd in descriptors:
                    self._take(Stored(int(number), instance, name, watched == "1", fd))
        except (FileNotFoundError, ConnectionRefusedError):
            keeper.close()
            return
        except OSError as error:
            self._problem(f"descriptors that services have stored may be lost: {error}")
            keeper.close()
            return
        self._next = max((one.number for one in self._stored), default=0) + 1
        self._attach(keeper)

    def _start(self) -> None:
        """Start a keeper.  OSError."""
        before = os.umask(0o177)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        keeper = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        try:
            with suppress(FileNotFoundError):
                os.unlink(self._path)  # noqa: PTH108 - pathlib costs memory
            listening.bind(self._path)
            listening.listen()
            keeper.connect(self._path)
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _SCRIPT],
                stdin=listening.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                start_new_session=True,
            )
        except OSError:
            keeper.close()
            raise
        finally:
            os.umask(before)
            listening.close()
        process.returncode = 0  # the daemon reaps it as it does strangers
        self._attach(keeper)

    def _attach(self, keeper: socket.socket) -> None:
        keeper.setblocking(False)
        self._keeper = keeper
        self._loop.register(keeper.fileno(), lambda _events: self._renew())

    def _renew(self) -> None:
        """The keeper is gone: give all to another one."""
        self._leave()
        if not self._stored:
            return
        try:
            self._start()
        except OSError as error:
            self._problem(f"stored descriptors would be lost if this daemon died: {error.strerror}")
            return
        self._give_all()

    def _give_all(self) -> None:
        self._queue = deque((b"+", one) for one in self._stored)
        self._flush()

    def _order(self, order: bytes, one: Stored) -> None:
        if self._keeper is not None:
            self._queue.append((order, one))
            if self._timer is None:
                self._flush()

    def _flush(self) -> None:
        """Send the orders, as many as the keeper takes now."""
        self._timer = None
        while self._queue and self._keeper is not None:
            order, one = self._queue[0]
            stored = order == b"+"
            if not stored or one in self._stored:
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [one.fd]))] if stored else []
                try:
                    self._keeper.sendmsg([order + one.key], rights, socket.MSG_NOSIGNAL)
                except (BrokenPipeError, ConnectionResetError):
                    return  # the loop tells that it is gone
                except OSError:
                    self._timer = self._loop.call_at(self._loop.now() + AGAIN_AFTER, self._flush)
                    return
            self._queue.popleft()

    def _leave_idle(self) -> None:
        """Let the keeper end where it has nothing to keep and nothing is on its way."""
        if self._keeper is not None and not self._stored and not self._awaited and not self._queue:
            self._leave()
            with suppress(OSError):
                os.unlink(self._path)  # noqa: PTH108 - pathlib costs memory

    def _leave(self) -> None:
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._keeper is not None:
            self._loop.unregister(self._keeper.fileno())
            self._keeper.close()
            self._keeper = None


def _same(one: int, other: int) -> bool:
    """Whether both are descriptors of one socket or of one end of a pipe, which an inode tells."""
    a, b = os.fstat(one), os.fstat(other)
    if (a.st_dev, a.st_ino) != (b.st_dev, b.st_ino) or a.st_mode != b.st_mode:
        return False
    if stat.S_ISFIFO(a.st_mode):
        import fcntl

        return fcntl.fcntl(one, fcntl.F_GETFL) == fcntl.fcntl(other, fcntl.F_GETFL)
    return stat.S_ISSOCK(a.st_mode)
