"""Listening sockets that the daemon opens for its services and passes on as LISTEN_FDS (sd_listen_fds(3)).

A socket outlives the process that accepts on it: while a service is restarted or the daemon upgraded, new connections
wait in its queue and are not refused. After a crash of the daemon it is fetched from the adopted process, which still
has it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import socket
import stat
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from supervisor.core.model.spec import ServiceSpec, SocketSpec
from supervisor.errors import OperationFailed

_SYS_PIDFD_GETFD = 438
_MOST_LOOKED_AT = 256
"""Descriptors of an adopted process that are searched for its sockets, from the lowest up; they were passed as 3, 4, …
"""
_TCP = re.compile(r"tcp://\[?(.*?)\]?:(\d+)")

_libc = ctypes.CDLL(None, use_errno=True)


class ListeningSockets:
    """All listening sockets, by URL. `inherited`: those that the previous daemon or a service manager kept, by URL.

    The URL of a socket that each instance has at the same address ends with the number of the instance
    (core/services/replica.py)."""

    def __init__(self, inherited: Mapping[str, int]) -> None:
        self._open: dict[str, socket.socket] = {}
        for url, fd in inherited.items():
            with suppress(OSError):
                self._keep(url, fd)

    @property
    def listening(self) -> Mapping[str, socket.socket]:
        """The open sockets, by URL."""
        return self._open

    def open(self, spec: ServiceSpec) -> list[int]:
        """Descriptors of the service's sockets, in its order; those that are not open yet are opened.

        Raises OperationFailed, with the socket and the reason, when one cannot be opened.
        """
        return [self._get(wanted, spec).fileno() for wanted in spec.sockets]

    def adopt(self, spec: ServiceSpec, pid: int, pidfd: int) -> None:
        """Fetch sockets of the service that the daemon does not hold from its running process.

        If the kernel forbids that, they are opened again when the service is next started; until then only the process
        has them.
        """
        wanted = {_address(s.url): s.url for s in spec.sockets if s.url not in self._open}
        numbers: list[int] = []
        with suppress(OSError):
            numbers = sorted(map(int, os.listdir(f"/proc/{pid}/fd")))  # noqa: PTH208
        for number in numbers[:_MOST_LOOKED_AT]:
            if not wanted:
                return
            fd = _fetched(pidfd, number)
            url = _listens_at(fd) if fd >= 0 else None
            if url in wanted:
                self._keep(wanted.pop(url), fd)
            elif fd >= 0:
                os.close(fd)

    def descriptors(self) -> dict[str, int]:
        """The open sockets, by URL."""
        return {url: sock.fileno() for url, sock in self._open.items()}

    @property
    def any_open(self) -> bool:
        return bool(self._open)

    def keep_only(self, wanted: Collection[str]) -> None:
        """Close all others. They refuse connections from now on, even if a service manager still holds them."""
        for url in self._open.keys() - set(wanted):
            with suppress(OSError):
                self._open[url].shutdown(socket.SHUT_RDWR)
            self._close(url)

    def close(self) -> None:
        """Close all; a process that outlives the daemon continues to accept."""
        for url in list(self._open):
            self._close(url)

    def _close(self, url: str) -> None:
        sock = self._open.pop(url)
        path = _path(url)
        if path:
            with suppress(OSError):
                os.unlink(path)  # noqa: PTH108
        sock.close()

    def _get(self, wanted: SocketSpec, spec: ServiceSpec) -> socket.socket:
        sock = self._open.get(wanted.url)
        if sock is not None and (path := _path(wanted.url)) and not os.path.exists(path):  # noqa: PTH110
            sock.close()  # the path was removed, so that no client can connect to this one
            sock = None
        if sock is None:
            try:
                sock = self._open[wanted.url] = _listening(wanted, spec)
            except OSError as error:
                raise OperationFailed(f"{_address(wanted.url)}: {error.strerror}") from error
        return sock

    def _keep(self, url: str, fd: int) -> None:
        sock = socket.socket(fileno=fd)
        sock.set_inheritable(False)
        self._open[url] = sock


def _listening(wanted: SocketSpec, spec: ServiceSpec) -> socket.socket:
    match = _TCP.fullmatch(_address(wanted.url))
    if match is None:
        return _listening_unix(wanted, spec)
    host, port = match[1], int(match[2])
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if wanted.reuseport:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(socket.SOMAXCONN)
    except OSError:
        sock.close()
        raise
    return sock


def _listening_unix(wanted: SocketSpec, spec: ServiceSpec) -> socket.socket:
    path = _path(wanted.url)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~wanted.mode)
    try:
        if path:
            _make_room(path)
        sock.bind(path or "\0" + wanted.url.removeprefix("unix:@"))
        sock.listen(socket.SOMAXCONN)
        if path and (spec.user is not None or spec.group is not None):
            os.chown(path, -1 if spec.user is None else spec.user, -1 if spec.group is None else spec.group)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock


def _make_room(path: str) -> None:
    """Remove a socket that a dead process left behind; never one that is listened on, nor another file."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, "there is a file that is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        if probe.connect_ex(path) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    os.unlink(path)  # noqa: PTH108


def _path(url: str) -> str:
    """The path that a Unix socket's URL names; empty for others."""
    return url.removeprefix("unix:") if url.startswith("unix:/") else ""


def _address(url: str) -> str:
    """The URL without the number of an instance."""
    return url.partition("#")[0] if url.startswith("tcp:") else url


def _fetched(pidfd: int, number: int) -> int:
    """A duplicate of another process's descriptor, or -1 (pidfd_getfd(2), Linux 5.6; needs permission to trace it)."""
    return int(_libc.syscall(_SYS_PIDFD_GETFD, pidfd, number, 0))


def _listens_at(fd: int) -> str | None:
    """The URL of a listening stream socket; None for anything else."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return None
    with socket.socket(fileno=os.dup(fd)) as sock:
        try:
            if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return None
            return _url(sock.family, sock.getsockname())
        except OSError:
            return None


def _url(family: int, address: Sequence[object] | str | bytes) -> str | None:
    if family == socket.AF_INET:
        return f"tcp://{address[0]}:{address[1]}"
    if family == socket.AF_INET6:
        return f"tcp://[{address[0]}]:{address[1]}"
    if family != socket.AF_UNIX:
        return None
    if isinstance(address, bytes):
        return f"unix:@{os.fsdecode(address[1:])}"
    return f"unix:{address}"
