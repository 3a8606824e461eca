"""A short-lived child: a command that runs in a process group of its own, within a time, and says one thing.

Not for services: nothing here outlives the supervisor's interest in it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from supervisor.adapters.eventloop.loop import Reactor
from supervisor.adapters.linux.pidfd import child_status

_KEPT = 4096  # bytes of output, the last ones, unless more are asked for
_CHUNK = 65536
_NOT_FOR_COMMANDS = ("NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "SUPERVISOR_")


class Outcome(NamedTuple):
    """How it ended.  `exit_code` and `signal` are both None where nobody could tell."""

    exit_code: int | None
    signal: int | None
    timed_out: bool
    output: bytes

    @property
    def last_line(self) -> str:
        """The last line of output that says anything, printable and short."""
        lines = self.output.decode(errors="replace").split("\n")
        texts = ("".join(c for c in line if c.isprintable()).strip() for line in reversed(lines))
        return next((text[:200] for text in texts if text), "")


def plain_environment() -> dict[str, str]:
    """Our own, without what is meant for us alone or marks a service's processes."""
    return {key: value for key, value in os.environ.items() if not key.startswith(_NOT_FOR_COMMANDS)}


class Identity(NamedTuple):
    """As whom a command runs; None: as ourselves."""

    user: int | None = None
    group: int | None = None
    extra_groups: tuple[int, ...] | None = None


class Command:
    """Starts `argv` at once (OSError says why it cannot) and calls `done(outcome)` when it has ended and is reaped.

    At `timeout` seconds the whole process group is killed.  `stdin` is what it can read.  Output beyond the last `keep`
    bytes is thrown away; an orphan that keeps the pipe open keeps nobody waiting.
    """

    __slots__ = ("_done", "_keep", "_output", "_pid", "_pidfd", "_pipe", "_reactor", "_timed_out", "_timer")

    def __init__(
        self,
        reactor: Reactor,
        argv: Sequence[str],
        done: Callable[[Outcome], None],
        *,
        timeout: float,
        stdin: bytes = b"",
        directory: str | None = None,
        environment: Mapping[str, str] | None = None,
        identity: Identity = Identity(),  # noqa: B008 - immutable
        keep: int = _KEPT,
    ) -> None:
        self._reactor = reactor
        self._keep = keep
        self._done: Callable[[Outcome], None] | None = done
        self._output = b""
        self._timed_out = False
        self._pipe, writer = os.pipe2(os.O_CLOEXEC)
        try:
            os.set_blocking(self._pipe, False)
            self._pid, self._pidfd = _started(argv, stdin, writer, directory, environment, identity)
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            os.close(writer)
        reactor.register(self._pipe, self._readable)
        reactor.register(self._pidfd, self._exited)
        self._timer = reactor.call_at(reactor.now() + timeout, self._time_is_up)

    def cancel(self) -> None:
        """Nobody wants to know any more: kill it, and say nothing."""
        self._done = None
        self._kill()

    def _time_is_up(self) -> None:
        self._timed_out = True
        self._kill()

    def _kill(self) -> None:
        if self._pidfd >= 0:  # not reaped, so the number still means it
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)

    def _readable(self, _events: int) -> None:
        try:
            chunk = os.read(self._pipe, _CHUNK)
        except BlockingIOError:
            return
        if chunk:
            self._output = (self._output + chunk)[-self._keep :]
        else:
            self._close_pipe()

    def _exited(self, _events: int) -> None:
        try:
            status = child_status(self._pidfd)
        except ChildProcessError:  # somebody else has reaped it
            status = (None, None)
        if status is None:
            return
        if self._pipe >= 0:
            self._readable(0)
        self._close_pipe()
        self._timer.cancel()
        self._reactor.unregister(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        if self._done is not None:
            self._done(Outcome(*status, self._timed_out, self._output))

    def _close_pipe(self) -> None:
        if self._pipe >= 0:
            self._reactor.unregister(self._pipe)
            os.close(self._pipe)
            self._pipe = -1


def _started(
    argv: Sequence[str],
    stdin: bytes,
    output: int,
    directory: str | None,
    environment: Mapping[str, str] | None,
    identity: Identity,
) -> tuple[int, int]:
    """Spawn; (pid, pidfd)."""
    # A file in memory: to be read whenever the child likes, and nothing for us to feed.
    source = os.memfd_create("stdin", os.MFD_CLOEXEC)
    try:
        written = 0
        while written < len(stdin):
            written += os.write(source, stdin[written:])
        os.lseek(source, 0, os.SEEK_SET)
        process = subprocess.Popen(
            list(argv),
            stdin=source,
            stdout=output,
            stderr=output,
            cwd=directory,
            env=plain_environment() if environment is None else environment,
            user=identity.user,
            group=identity.group,
            extra_groups=identity.extra_groups,
            start_new_session=True,
        )
    finally:
        os.close(source)
    process.returncode = 0  # it is ours to wait for, not the Popen object's
    try:
        return process.pid, os.pidfd_open(process.pid)
    except OSError:
        os.killpg(process.pid, signal.SIGKILL)
        os.waitpid(process.pid, 0)
        raise
