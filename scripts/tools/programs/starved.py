"""Takes the CPU away from a process tree: it may run on one CPU alone, beside loops that have a higher share of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from supervisor.adapters.linux import procfs

LOOPS = 2
LEAST, MOST = 19, -20
"""The niceness with the lowest and with the highest share."""
SPINS = """
import os, sys
parent = os.getppid()
os.sched_setaffinity(0, {int(sys.argv[1])})
while os.getppid() == parent:
    sum(range(100_000))
"""


@contextmanager
def starved(main: int) -> Iterator[None]:
    """Give the process and what is below it nearly nothing of the CPU; afterwards as before."""
    allowed = os.sched_getaffinity(main)
    one = min(allowed)
    loops = [
        subprocess.Popen([sys.executable, "-S", "-c", SPINS, str(one)], start_new_session=True) for _ in range(LOOPS)
    ]
    try:
        for loop in loops:
            _prefer(loop.pid, MOST)
        tree = [main, *procfs.descendants(main)]
        for pid in tree:
            _prefer(pid, LEAST)
            _bind(pid, {one})
        try:
            yield
        finally:
            for pid in [main, *procfs.descendants(main)]:
                _bind(pid, allowed)
                _prefer(pid, 0)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def _threads(pid: int) -> list[int]:
    try:
        return [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def _prefer(pid: int, niceness: int) -> None:
    """Set the share of a process within its session, and that of its session where the kernel divides by sessions."""
    for thread in _threads(pid):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, niceness)
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness))


def _bind(pid: int, cpus: set[int]) -> None:
    for thread in _threads(pid):
        with suppress(OSError):
            os.sched_setaffinity(thread, cpus)
