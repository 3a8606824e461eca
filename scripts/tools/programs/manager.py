"""The service manager of one program: starts it, receives its datagrams, signals it, and ends all that it left."""

from __future__ import annotations

import array
import ctypes
import os
import pwd
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from supervisor.adapters.linux import procfs

PR_SET_CHILD_SUBREAPER = 36
WATCHDOG_USEC = 3_000_000
"""What the program is told; above two seconds, because php-fpm drops what is not."""
_CREDENTIALS = struct.Struct("3i")


def adopt_orphans() -> None:
    """What a program leaves behind becomes a child of this process, which can then tell and end it."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def heed_signals() -> None:
    """A signal that this process was told to ignore, as by nohup, would be ignored by each program as well.

    SIGTERM ends this process in an orderly way, so that no program is left.
    """
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


class Managed:
    """A running program.  `heard`: its datagrams in order, each as (sender is the main process, text)."""

    def __init__(self, process: subprocess.Popen[bytes], door: socket.socket) -> None:
        self.process, self.door = process, door
        self.heard: list[tuple[bool, str]] = []

    def listen(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Hear datagrams for so long, or until the condition holds; returns whether it does."""
        deadline = time.monotonic() + seconds
        while not until():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if select.select([self.door], [], [], min(left, 0.1))[0]:
                self._hear()
        return True

    def _hear(self) -> None:
        space = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(16 * array.array("i").itemsize)
        data, ancillary, _, _ = self.door.recvmsg(1 << 16, space)
        sender = 0
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                sender = _CREDENTIALS.unpack(value[: _CREDENTIALS.size])[0]
            elif level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                handles = array.array("i")
                handles.frombytes(value[: len(value) // handles.itemsize * handles.itemsize])
                for handle in handles:
                    os.close(handle)
        text = data.decode(errors="replace")
        if "BARRIER=1" not in text:
            self.heard.append((sender == self.process.pid, text))

    def ready(self) -> bool:
        return any("READY=1" in text.split("\n") for _, text in self.heard)

    def over(self) -> bool:
        return self.process.poll() is not None

    def send(self, name: str) -> None:
        self.process.send_signal(signal.Signals[f"SIG{name}"])

    def end(self) -> str:
        """How the main process ended: `exit 0`, `SIGTERM`."""
        code = self.process.returncode
        return f"exit {code}" if code >= 0 else signal.Signals(-code).name


def as_user(user: pwd.struct_passwd | None) -> dict[str, Any]:
    """The arguments of Popen that run a process as this user."""
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}


@contextmanager
def managed(
    command: Sequence[str],
    place: Path,
    environment: Mapping[str, str],
    user: pwd.struct_passwd | None = None,
    listening: socket.socket | None = None,
) -> Iterator[Managed]:
    """The program in `place`; `listening` is passed to it as LISTEN_FDS.  In the end nothing of it is left."""
    path = place / "notify"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        door.bind(str(path))
        path.chmod(0o777)
        told = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": str(WATCHDOG_USEC)}
        full = [*command]
        handles: tuple[int, ...] = ()
        if listening is not None:
            full = ["sh", "-c", 'exec 3<&"$1"; shift; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', "sh", "9", *command]
            handles = (9,)
            os.dup2(listening.fileno(), 9, inheritable=True)
        with open(place / "output", "wb") as output:
            process = subprocess.Popen(
                full,
                cwd=place,
                env={**environment, **told},
                **as_user(user),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=handles,
            )
        if handles:
            os.close(9)
        try:
            yield Managed(process, door)
        finally:
            end_all()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)


def descendants() -> list[int]:
    """All living processes below this one."""
    found = ((pid, procfs.stat(pid)) for pid in procfs.descendants(os.getpid()))
    return [pid for pid, stat in found if stat is not None and not stat.ended]


def end_all() -> None:
    """SIGKILL to all descendants, which are this tool's own, until none is left; zombies are reaped."""
    while left := descendants():
        for pid in left:
            with suppress(OSError):
                handle = os.pidfd_open(pid)
                try:
                    if pid in descendants():
                        signal.pidfd_send_signal(handle, signal.SIGKILL)
                finally:
                    os.close(handle)
        time.sleep(0.05)
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
