"""Talks to the service manager that started the daemon, by sd_notify(3): its state, and descriptors for safekeeping.

Nothing here blocks or decides. A datagram that finds the socket's queue full is sent a moment later; a newer one of the
same kind replaces it. Without a reply supervision continues as if there were no service manager.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from array import array
from collections.abc import Callable, Collection, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass

from supervisor.adapters.eventloop.fd_passing import LONGEST_NAME, quoted
from supervisor.adapters.eventloop.loop import EventLoop, Timer

AGAIN_AFTER = 0.02
"""Seconds after which a full queue is tried again."""
_FULL = (errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS)

Inode = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Upstream:
    """How the service manager is reached. `watchdog`: seconds within which it expects a sign of life, or None."""

    address: str
    watchdog: float | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables that tell the same to the next daemon in this process."""
        told = {"NOTIFY_SOCKET": self.address}
        if self.watchdog is not None:
            told["WATCHDOG_USEC"] = str(round(self.watchdog * 1e6))
        return told


def upstream(environ: MutableMapping[str, str]) -> Upstream | None:
    """Read the service manager's variables, and remove them, so that children do not inherit them. None without one."""
    address, usec, pid = (environ.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"))
    if address[:1] not in ("/", "@") or len(address) < 2:
        return None
    meant = pid in ("", str(os.getpid())) and usec.isascii() and usec.isdecimal() and int(usec) > 0
    return Upstream(address, int(usec) / 1e6 if meant else None)


class ServiceManager:
    """Sends notifications. `problem(text)` reports once that they cannot be sent.

    `stored`: the descriptors that the service manager holds, by name; None if it is not known which it holds.
    """

    def __init__(
        self, loop: EventLoop, upstream: Upstream, problem: Callable[[str], None], stored: Mapping[str, int] | None
    ) -> None:
        self.upstream = upstream
        self._loop = loop
        self._problem = problem
        address = upstream.address
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._queue: dict[str, tuple[bytes, int]] = {}
        self._timer: Timer | None = None
        self._reported = False
        self._contents_unknown = stored is None
        self._stored: dict[str, Inode] = {name: _inode(fd) for name, fd in (stored or {}).items()}
        self._status = ""

    # -- notifications -------------------------------------------------------------------------------------------

    def ready(self) -> None:
        """The start, or a reload, has finished."""
        self._post("state", "READY=1")

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it."""
        self._post("state", f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The shutdown has begun."""
        self._post("state", "STOPPING=1")

    def status(self, text: str) -> None:
        """One line of status for people; sent only when it changes."""
        if text != self._status:
            self._status = text
            self._post("status", f"STATUS={text}")

    def alive(self) -> None:
        """A sign of life for the watchdog."""
        self._post("watchdog", "WATCHDOG=1")

    def extend(self, seconds: float) -> None:
        """The start or the shutdown may take `seconds` from now on."""
        self._post("extend", f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    # -- stored descriptors --------------------------------------------------------------------------------------

    def keep(self, name: str, fd: int) -> None:
        """Store `fd` for the next daemon, unless the same pipe or socket is already stored under this name."""
        inode = _inode(fd)
        if self._stored.get(name) == inode:
            return
        written = quoted(name)
        if len(written) > LONGEST_NAME:
            return self._report_once(f"{name} is too long a name for its descriptor store")
        if self._contents_unknown or name in self._stored:
            self._remove(name)
        self._stored[name] = inode
        self._post(f"store {name}", f"FDSTORE=1\nFDPOLL=0\nFDNAME={written}", fd)

    def keep_only(self, names: Collection[str]) -> None:
        """Remove descriptors stored under other names."""
        for name in [n for n in self._stored if n not in names]:
            del self._stored[name]
            self._remove(name)

    def _remove(self, name: str) -> None:
        if (waiting := self._queue.pop(f"store {name}", None)) is not None:
            os.close(waiting[1])
        self._post(f"remove {name}", f"FDSTOREREMOVE=1\nFDNAME={quoted(name)}")

    # -- sending -------------------------------------------------------------------------------------------------

    def _post(self, kind: str, text: str, fd: int = -1) -> None:
        """Send in order; a waiting message is replaced by a newer one of its `kind`."""
        message = text.encode()
        if (older := self._queue.pop(kind, None)) is not None and older[1] >= 0:
            os.close(older[1])
        if self._queue or not self._send(message, fd):
            self._queue[kind] = message, fd if fd < 0 else os.dup(fd)
            if self._timer is None:
                self._timer = self._loop.call_at(self._loop.now() + AGAIN_AFTER, self._flush)

    def _flush(self) -> None:
        self._timer = None
        while self._queue:
            kind, (message, fd) = next(iter(self._queue.items()))
            if not self._send(message, fd):
                self._timer = self._loop.call_at(self._loop.now() + AGAIN_AFTER, self._flush)
                return
            del self._queue[kind]
            if fd >= 0:
                os.close(fd)

    def _send(self, message: bytes, fd: int) -> bool:
        """Send one datagram; False when the queue is full. One that can never be sent is dropped and reported once."""
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [fd]))] if fd >= 0 else []
        try:
            self._socket.sendmsg([message], ancillary, socket.MSG_NOSIGNAL, self._address)
        except OSError as error:
            if error.errno in _FULL:
                return False
            self._report_once(f"{self.upstream.address}: {error.strerror or error}")
        return True

    def _report_once(self, why: str) -> None:
        if not self._reported:
            self._reported = True
            self._problem(f"the service manager cannot be notified: {why}")

    def close(self) -> None:
        """Send what can be sent at once, and close."""
        self._flush()
        if self._timer is not None:
            self._timer.cancel()
        for _, fd in self._queue.values():
            if fd >= 0:
                with suppress(OSError):
                    os.close(fd)
        self._queue.clear()
        self._socket.close()


def _inode(fd: int) -> Inode:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
