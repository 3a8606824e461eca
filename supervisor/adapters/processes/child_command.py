"""Runs a short-lived child in its own process group, with a time limit and a bound for the output that is kept.

Probes, hooks, py-spy, the compiler of a reload and the rehearsal of an upgrade are such children.  Services are not:
a command is killed when its result is no longer wanted.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from typing import NamedTuple

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux.mounts import mounts
from supervisor.adapters.linux.pidfd import child_status
from supervisor.adapters.processes import marks, own_children
from supervisor.adapters.processes.command_trees import CommandTree

WHOLE = 1 << 26
"""Bytes to keep of an output that is useful only as a whole, such as a plan."""
LAST_OUTPUT = 4096
"""Bytes that are kept of the end of an output, unless the caller asks for more."""
_CHUNK = 65536
_UNKILLABLE_AFTER = 1.0  # seconds after SIGKILL
_NOT_FOR_COMMANDS = ("NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "SUPERVISOR_")


class CommandResult(NamedTuple):
    """How a command ended.

    `exit_code` and `signal` are both None where the status is unknown.  `errors` is what it wrote to stderr, where
    that was requested separately from `output`.
    """

    exit_code: int | None
    signal: int | None
    timed_out: bool
    output: bytes
    errors: bytes = b""

    @property
    def ending(self) -> str:
        """`exit code 3`, `killed by signal 9`."""
        if self.exit_code is not None:
            return f"exit code {self.exit_code}"
        return "exit status unknown" if self.signal is None else f"killed by signal {self.signal}"

    @property
    def last_line(self) -> str:
        """The last line of output that is not blank: printable characters only, at most 200."""
        lines = self.output.decode(errors="replace").split("\n")
        texts = ("".join(c for c in line if c.isprintable()).strip() for line in reversed(lines))
        return next((text[:200] for text in texts if text), "")


def plain_environment() -> dict[str, str]:
    """The daemon's environment without what is meant for it alone or marks the processes of a service."""
    return {key: value for key, value in os.environ.items() if not key.startswith(_NOT_FOR_COMMANDS)}


class Credentials(NamedTuple):
    """The user and the groups that a command runs with; None: those of the daemon."""

    user: int | None = None
    group: int | None = None
    extra_groups: tuple[int, ...] | None = None


class ChildCommand:
    """Starts `argv` at once (OSError where that fails) and calls `done(result)` when it has ended and is reaped.

    After `timeout` seconds the whole process group is killed.  `stdin` is its input.  stdout and stderr are one output,
    unless `errors_apart`; only the last `keep` bytes of each are kept.  An orphan of the command that keeps a pipe
    open does not delay its end.  With `tree`, all processes that the command started are killed when it has ended.
    `before_reaping` is called when it has ended and its figures in /proc can still be read.
    """

    __slots__ = (
        "_before_reaping",
        "_done",
        "_keep",
        "_loop",
        "_pidfd",
        "_pipes",
        "_texts",
        "_timed_out",
        "_timer",
        "_tree",
        "pid",
    )

    def __init__(
        self,
        loop: EventLoop,
        argv: Sequence[str],
        done: Callable[[CommandResult], None],
        *,
        timeout: float,
        stdin: bytes = b"",
        directory: str | None = None,
        environment: Mapping[str, str] | None = None,
        identity: Credentials = Credentials(),  # noqa: B008 - immutable
        keep: int = LAST_OUTPUT,
        errors_apart: bool = False,
        tree: CommandTree | None = None,
        before_reaping: Callable[[], None] | None = None,
    ) -> None:
        self._loop = loop
        self._tree, self._before_reaping = tree, before_reaping
        self._keep = keep
        self._done: Callable[[CommandResult], None] | None = done
        self._timed_out = False
        self._texts: list[bytearray] = []
        self._pipes: dict[int, bytearray] = {}
        writers: list[int] = []
        try:
            for _ in range(2 if errors_apart else 1):
                reader, writer = os.pipe2(os.O_CLOEXEC)
                writers.append(writer)
                self._texts.append(bytearray())
                self._pipes[reader] = self._texts[-1]
                os.set_blocking(reader, False)
            if environment is None:
                environment = plain_environment()
            with nullcontext() if tree is None else marks.inherited_by_children(tree.mark):
                self.pid, self._pidfd = _started(
                    argv,
                    stdin,
                    writers[0],
                    writers[-1],
                    directory,
                    environment if tree is None else {**environment, **tree.environment},
                    identity,
                )
            if tree is not None:
                tree.started(self.pid)
        except BaseException:
            for reader in self._pipes:
                os.close(reader)
            if tree is not None:
                tree.end(loop)
            raise
        finally:
            for writer in writers:
                os.close(writer)
        for reader in self._pipes:
            loop.register(reader, partial(self._readable, reader))
        loop.register(self._pidfd, self._exited)
        self._timer = loop.call_at(loop.now() + timeout, self.end)

    def cancel(self) -> None:
        """Kill the command without calling `done`."""
        self._done = None
        self._kill()

    def end(self) -> None:
        """Kill the command; it counts as timed out."""
        self._timed_out = True
        self._kill()
        self._timer = self._loop.call_at(self._loop.now() + _UNKILLABLE_AFTER, self._leave)

    def _leave(self) -> None:
        """The kernel does not let it end, because it waits for a file system: answer without it; reap it some day."""
        done, self._done = self._done, None
        if done is not None:
            done(CommandResult(None, None, True, *map(bytes, self._texts)))

    def _kill(self) -> None:
        if self._pidfd >= 0:  # not reaped, so the pid cannot be another process
            if self._tree is not None:  # first, because it tells some members by their parent
                self._tree.kill()
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def _readable(self, pipe: int, _events: int) -> None:
        try:
            chunk = os.read(pipe, _CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self._close(pipe)
            return
        text = self._pipes[pipe]
        text += chunk
        del text[: -self._keep]

    def _exited(self, _events: int) -> None:
        if self._before_reaping is not None:
            self._before_reaping()
        try:
            status = child_status(self._pidfd)
        except ChildProcessError:  # it was reaped elsewhere
            status = (None, None)
        if status is None:
            return
        for pipe in list(self._pipes):  # a chunk holds all that a pipe can
            self._readable(pipe, 0)
            self._close(pipe)
        self._timer.cancel()
        self._loop.unregister(self._pidfd)
        os.close(self._pidfd)
        own_children.forget(self.pid)
        self._pidfd = -1
        if self._tree is not None:
            self._tree.end(self._loop)
        if self._done is not None:
            self._done(CommandResult(*status, self._timed_out, *map(bytes, self._texts)))

    def _close(self, pipe: int) -> None:
        if self._pipes.pop(pipe, None) is not None:
            self._loop.unregister(pipe)
            os.close(pipe)


def _started(
    argv: Sequence[str],
    stdin: bytes,
    output: int,
    errors: int,
    directory: str | None,
    environment: Mapping[str, str],
    identity: Credentials,
) -> tuple[int, int]:
    """Spawn the command; (pid, pidfd)."""
    # A file in memory: the child reads it at its own pace, and the daemon need not feed a pipe.
    source = os.memfd_create("stdin", os.MFD_CLOEXEC)
    try:
        written = 0
        while written < len(stdin):
            written += os.write(source, stdin[written:])
        os.lseek(source, 0, os.SEEK_SET)
        if mounts().remote_for_exec(argv, directory, environment.get("PATH")) is not None:
            pid = _popen_apart(argv, source, output, errors, directory, environment, identity)
        else:
            process = subprocess.Popen(
                list(argv),
                stdin=source,
                stdout=output,
                stderr=errors,
                cwd=directory,
                env=environment,
                user=identity.user,
                group=identity.group,
                extra_groups=identity.extra_groups,
                start_new_session=True,
            )
            process.returncode = 0  # the daemon waits for it, not the Popen object
            pid = process.pid
    finally:
        os.close(source)
    own_children.note(pid)
    try:
        return pid, os.pidfd_open(pid)
    except OSError:
        own_children.forget(pid)
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _popen_apart(
    argv: Sequence[str],
    stdin: int,
    output: int,
    errors: int,
    directory: str | None,
    environment: Mapping[str, str],
    identity: Credentials,
) -> int:
    """Spawn a command whose file system may not answer; one that cannot be executed exits with 127."""
    from supervisor.adapters.processes.apart import popen_apart  # few commands need it
    from supervisor.adapters.processes.become import Identity

    return popen_apart(
        argv,
        directory=directory,
        environment=environment,
        identity=Identity(user=identity.user, group=identity.group, extra_groups=identity.extra_groups),
        stdin=stdin,
        output=output,
        errors=errors,
    )
