"""The Python stacks of a process that plays no part in it: py-spy, where it is installed, as a process of its own.

It reads the interpreter's memory from outside, so it works in the deepest hang; it needs the right to trace.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache

from supervisor.adapters.diagnosis.stack_dump import BYTES, LINES, clean
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.processes.child_command import ChildCommand, CommandResult

Done = Callable[[list[str], str | None], None]
"""`done(lines, error)`: the stacks, or why there are none."""


@cache
def program() -> str | None:
    """Where py-spy is: beside our own interpreter, or on the PATH.  None: nowhere."""
    places = [os.path.dirname(sys.executable), *os.environ.get("PATH", "").split(":")]  # noqa: PTH120 - pathlib costs
    found = (f"{place}/py-spy" for place in places if place)
    return next((path for path in found if os.access(path, os.X_OK)), None)


def is_python(pid: int) -> bool:
    """The process runs CPython, by the name of its program."""
    try:
        return os.readlink(f"/proc/{pid}/exe").rpartition("/")[2].startswith("python")  # noqa: PTH115
    except OSError:
        return False


def stacks(loop: EventLoop, spy: str, pid: int, timeout: float, done: Done) -> ChildCommand:
    """Begin to look into `pid`; OSError where that cannot even be tried."""

    def ended(outcome: CommandResult) -> None:
        if outcome.timed_out:
            done([], "py-spy took too long")
            return
        lines = [clean(line) for line in outcome.output.splitlines()]
        # Above the first thread stands the command line, which may hold secrets.
        first = next((number for number, line in enumerate(lines) if line.startswith("Thread ")), None)
        if outcome.exit_code != 0 or first is None:
            done([], _reason(lines))
        else:
            done(lines[first : first + LINES], None)

    return ChildCommand(loop, [spy, "dump", "--pid", str(pid)], ended, timeout=timeout, keep=BYTES)


def _reason(lines: list[str]) -> str:
    said = [line.removeprefix("Error:").strip() for line in lines if line.strip()]
    return (said[0] if said else "py-spy found no stack")[:200]
