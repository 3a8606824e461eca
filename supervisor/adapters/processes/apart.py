"""Starts processes whose program or directory lies on a file system that may never answer: apart from the event loop.

The parent of a vfork waits until the child has executed its program, and a forked child holds the daemon's locks until
then.  So the daemon first executes a Python interpreter, which is local, with the child's final environment, marks,
session and output.  That process enters the directory, gives up privileges and executes the program (become.py), and
it alone waits.  It keeps its pid, so it can be signalled from the beginning.  This costs some 30 ms of CPU time; what
is local is started without it (spawn.py).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor import own_sources
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux.pidfd import child_status
from supervisor.core.model.plain import to_plain

if TYPE_CHECKING:
    from supervisor.adapters.processes.become import Identity
    from supervisor.core.model.spec import SandboxSpec

UNKILLABLE_AFTER = 1.0
"""Seconds after SIGKILL from which a process counts as one that does not end."""
_ROOT = str(Path(__file__).parents[3])
_SCRIPT = f"""
import sys
sys.path.insert(0, {_ROOT!r})
from supervisor.adapters.processes.become import main
main(int(sys.argv[1]))
"""
_KEPT_SOURCES = """
import json
with open(f"/proc/self/fd/{sys.argv[1]}", "rb") as file:
    serve(json.load(file)["sources"])
"""
_LONGEST_ERROR = 4096


class FileSystemSilent(OSError):
    """A file system gave no answer in time."""

    def __init__(self, mount: str, seconds: float) -> None:
        super().__init__(f"the file system of {mount} does not answer (within {seconds:g}s)")


def popen_apart(
    command: Sequence[str],
    *,
    directory: str | None,
    environment: Mapping[bytes, bytes] | Mapping[str, str],
    identity: Identity,
    stdin: int,
    output: int,
    errors: int,
    report: int = -1,
    sockets: Sequence[int] = (),
    sandbox: SandboxSpec | None = None,
    needed: Sequence[str] = (),
) -> int:
    """Start a process that will become `command`; its pid.  OSError where there can be no process at all.

    It writes `ERRNO SUBJECT` to `report` where it fails, or says it on stderr where that is -1.  `needed`: directories
    that a sandbox does not hide.
    """
    prelude, sources = own_sources.of_children()
    job = os.memfd_create("job", os.MFD_CLOEXEC)
    try:
        asked = {
            "command": list(command),
            "directory": directory,
            "identity": identity._asdict(),
            "sockets": list(sockets),
            "report": report,
            "sandbox": None if sandbox is None else to_plain(sandbox),
            "needed": list(needed),
            "sources": sources,
        }
        os.write(job, json.dumps(asked, default=list).encode())
        os.lseek(job, 0, os.SEEK_SET)
        handed = {job, *sockets, *([report] if report >= 0 else [])}
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", f"{prelude}{_KEPT_SOURCES}{_SCRIPT}" if sources else _SCRIPT, str(job)],
            stdin=stdin,
            stdout=output,
            stderr=errors,
            env=environment,
            start_new_session=True,
            pass_fds=tuple(handed),
        )
    finally:
        os.close(job)
    process.returncode = 0  # the daemon waits for it, not the Popen object
    return process.pid


class ApartSpawns:
    """The spawns that are under way.  Each ends with one call of one of its functions.

    `begun(pid)`: it executes its program.  `failed(error, pid)`: it does not; `pid` is None, or that of a process that
    SIGKILL does not end, because the kernel waits for the file system.
    """

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop
        self._spawns: set[_Spawn] = set()

    def __bool__(self) -> bool:
        return bool(self._spawns)

    def add(
        self,
        pid: int,
        report: int,
        mount: str,
        program: str,
        timeout: float,
        begun: Callable[[int], None],
        failed: Callable[[OSError, int | None], None],
    ) -> None:
        """Watch `pid`, which reports to the other end of the pipe `report` and has `timeout` seconds."""
        spawn = _Spawn(self._loop, pid, report, program, begun, failed, self._spawns.discard)
        self._spawns.add(spawn)
        spawn.watch(FileSystemSilent(mount, timeout), timeout)

    def look(self) -> None:
        """Call `begun` for what executes its program by now: what it sends must not be read before that."""
        for spawn in list(self._spawns):
            spawn.look()


class _Spawn:
    __slots__ = ("_begun", "_error", "_failed", "_loop", "_over", "_pid", "_pidfd", "_program", "_report", "_timer")

    def __init__(
        self,
        loop: EventLoop,
        pid: int,
        report: int,
        program: str,
        begun: Callable[[int], None],
        failed: Callable[[OSError, int | None], None],
        over: Callable[[_Spawn], None],
    ) -> None:
        self._loop, self._pid, self._report, self._program = loop, pid, report, program
        self._begun, self._failed, self._over = begun, failed, over
        self._pidfd = -1
        self._error: OSError | None = None

    def watch(self, silent: OSError, timeout: float) -> None:
        os.set_blocking(self._report, False)
        self._loop.register(self._report, lambda _events: self.look())
        self._timer = self._loop.call_at(self._loop.now() + timeout, lambda: self._give_up(silent))

    def look(self) -> None:
        """Read the report: empty when the program is executed."""
        if self._report < 0:
            return
        try:
            failure = os.read(self._report, _LONGEST_ERROR)
        except BlockingIOError:
            return
        self._forget_report()
        if failure:
            number, _, subject = failure.partition(b" ")
            name = os.fsdecode(subject) or self._program
            self._await_end(OSError(int(number), os.strerror(int(number)), name))
        else:
            self._over(self)
            self._begun(self._pid)

    def _give_up(self, error: OSError) -> None:
        self._forget_report()
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)  # not reaped, so the pid cannot be another process
        self._await_end(error)

    def _await_end(self, error: OSError) -> None:
        self._error = error
        self._pidfd = os.pidfd_open(self._pid)
        self._loop.register(self._pidfd, lambda _events: self._ended())
        self._timer = self._loop.call_at(self._loop.now() + UNKILLABLE_AFTER, lambda: self._finish(self._pid))

    def _ended(self) -> None:
        with suppress(ChildProcessError):  # it was reaped elsewhere
            if child_status(self._pidfd) is None:
                return
        self._finish(None)

    def _finish(self, pid: int | None) -> None:
        self._timer.cancel()
        self._loop.unregister(self._pidfd)
        os.close(self._pidfd)
        self._over(self)
        assert self._error is not None
        self._failed(self._error, pid)

    def _forget_report(self) -> None:
        self._timer.cancel()
        self._loop.unregister(self._report)
        os.close(self._report)
        self._report = -1
