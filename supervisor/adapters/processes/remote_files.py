"""Reads the modification times of files, and connects to sockets, on file systems that may never answer.

A process that can be left behind does it; it is started when the first file is asked for.  Where it does not answer in
time it is killed, and stays in state D until the kernel lets it end; until then no other process asks for a file of the
same mount.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

from supervisor.adapters.eventloop.fd_passing import receive
from supervisor.adapters.eventloop.loop import EventLoop, Timer
from supervisor.adapters.linux.pidfd import child_status
from supervisor.adapters.processes.apart import FileSystemSilent

Answer = Callable[[OSError | None, int], None]
"""`answer(error, found)`: an error, or the modification time in ns, or the descriptor of a connection."""

_MODIFIED, _CONNECTED = b"m", b"c"
"""The first byte of a question; the path follows."""
_SCRIPT = """
import os
def connect(path):
    import socket
    with socket.socket(fileno=os.dup(0)) as answers, socket.socket(socket.AF_UNIX) as connection:
        connection.setblocking(False)
        connection.connect(path)
        socket.send_fds(answers, [b"0 0"], [connection.fileno()])
while question := os.read(0, 8192):
    try:
        if question[:1] == b"c":
            connect(question[1:])
            continue
        answer = os.stat(question[1:]).st_mtime_ns, 0
    except OSError as error:
        answer = 0, error.errno
    os.write(0, b"%d %d" % answer)
"""


class RemoteFiles:
    """Asks for modification times and connections, each within a time limit, without blocking the event loop."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop
        self._idle: _Helper | None = None
        self._left_behind: dict[str, int] = {}

    def modified(self, path: str, mount: str, timeout: float, answer: Answer) -> Callable[[], None]:
        """Ask for the time of `path`, which lies beyond `mount`; returns what cancels the question.

        OSError where no process can be started.
        """
        return self._ask(_MODIFIED, path, mount, timeout, answer)

    def connected(self, path: str, mount: str, timeout: float, answer: Answer) -> Callable[[], None]:
        """The same for a connection to the Unix socket `path`; the answer is a descriptor, which is the caller's."""
        return self._ask(_CONNECTED, path, mount, timeout, answer)

    def _ask(self, what: bytes, path: str, mount: str, timeout: float, answer: Answer) -> Callable[[], None]:
        if self._left_behind.get(mount):
            answer(FileSystemSilent(mount, timeout), 0)
            return lambda: None
        helper, self._idle = self._idle or _Helper(self._loop), None

        def over(error: OSError | None, found: int) -> None:
            if isinstance(error, FileSystemSilent):
                self._leave_behind(helper, mount)
            elif self._idle is None:
                self._idle = helper
            else:
                helper.end(lambda: None)
            answer(error, found)

        return helper.ask(what + os.fsencode(path), FileSystemSilent(mount, timeout), timeout, over)

    def _leave_behind(self, helper: _Helper, mount: str) -> None:
        self._left_behind[mount] = self._left_behind.get(mount, 0) + 1

        def ended() -> None:
            self._left_behind[mount] -= 1

        helper.end(ended)


class _Helper:
    """One process, which answers one question at a time."""

    __slots__ = ("_loop", "_pid", "_pidfd", "_socket", "_timer")

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop
        self._timer: Timer | None = None
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        with its:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _SCRIPT],
                stdin=its.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        process.returncode = 0  # its pidfd tells of its end
        self._socket, self._pid = ours, process.pid
        ours.setblocking(False)
        self._pidfd = os.pidfd_open(self._pid)

    def ask(self, question: bytes, silent: OSError, timeout: float, over: Answer) -> Callable[[], None]:
        def finish(error: OSError | None, found: int) -> None:
            assert self._timer is not None
            self._timer.cancel()
            self._loop.unregister(self._socket.fileno())
            over(error, found)

        def readable(_events: int) -> None:
            try:
                text, fds = receive(self._socket, 64, 1)
                found, number = map(int, text.split())
            except (OSError, ValueError):  # it was killed
                finish(silent, 0)
            else:
                finish(OSError(number, os.strerror(number)) if number else None, fds[0] if fds else found)

        def cancel() -> None:
            nonlocal over
            over = lambda _error, _found: self.end(lambda: None)  # noqa: E731 - its answer would be another's
            finish(None, 0)

        self._timer = self._loop.call_at(self._loop.now() + timeout, lambda: finish(silent, 0))
        self._loop.register(self._socket.fileno(), readable)
        with suppress(OSError):  # it was killed: the socket is readable
            self._socket.send(question)
        return cancel

    def end(self, ended: Callable[[], None]) -> None:
        """Kill the process; `ended()` when the kernel has let it go."""
        self._socket.close()
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

        def gone(_events: int) -> None:
            with suppress(ChildProcessError):  # it was reaped elsewhere
                if child_status(self._pidfd) is None:
                    return
            self._loop.unregister(self._pidfd)
            os.close(self._pidfd)
            ended()

        self._loop.register(self._pidfd, gone)
