"""Gets the Python stacks of a process with py-spy, where that is installed, run as a child process.

py-spy reads the interpreter's memory from outside, so the process need not cooperate: it works in any hang.  It needs
the right to trace the process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache

from supervisor.adapters.diagnosis.stack_dump import BYTES, LINES, clean
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux import procfs
from supervisor.adapters.processes.child_command import ChildCommand, CommandResult

Done = Callable[[list[str], str | None], None]
"""`done(lines, error)`: the stacks, or why there are none."""


@cache
def program() -> str | None:
    """The path of py-spy: beside the daemon's interpreter or on the PATH.  None: not installed."""
    places = [os.path.dirname(sys.executable), *os.environ.get("PATH", "").split(":")]  # noqa: PTH120 - pathlib costs
    found = (f"{place}/py-spy" for place in places if place)
    return next((path for path in found if os.access(path, os.X_OK)), None)


def is_python(pid: int) -> bool:
    """Whether the process runs CPython, by the name of its program."""
    return procfs.executable(pid).rpartition("/")[2].startswith("python")


def stacks(loop: EventLoop, spy: str, pid: int, timeout: float, done: Done) -> ChildCommand:
    """Begin to read the stacks of `pid`; OSError where py-spy cannot be started.

    The full names of the files tell the program's own code from that of its libraries."""

    def ended(outcome: CommandResult) -> None:
        if outcome.timed_out:
            done([], "py-spy took too long")
            return
        lines = [clean(line) for line in outcome.output.splitlines()]
        # Above the first thread is the command line, which can contain secrets.
        first = next((number for number, line in enumerate(lines) if line.startswith("Thread ")), None)
        if outcome.exit_code != 0 or first is None:
            done([], _reason(lines))
        else:
            done(lines[first : first + LINES], None)

    # py-spy stops a process before it reads, and waits for ever for one that is stopped already.
    stat = procfs.stat(pid)
    stopped = ["--nonblocking"] if stat is not None and stat.state in "Tt" else []
    command = [spy, "dump", *stopped, "--full-filenames", "--pid", str(pid)]
    return ChildCommand(loop, command, ended, timeout=timeout, keep=BYTES)


def _reason(lines: list[str]) -> str:
    messages = [line.removeprefix("Error:").strip() for line in lines if line.strip()]
    return (messages[0] if messages else "py-spy found no stack")[:200]
