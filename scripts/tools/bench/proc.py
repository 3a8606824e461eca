"""Reads CPU time, context switches, memory and descendants of processes.

psutil provides the last two. It reports CPU time in ticks of 10 ms, where /proc has nanoseconds, and context switches
of the main thread only, so these are read from /proc.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time in nanoseconds and context switches of some processes since they began."""

    cpu_ns: int
    switches: int

    def __sub__(self, earlier: Usage) -> Usage:
        return Usage(self.cpu_ns - earlier.cpu_ns, self.switches - earlier.switches)


def usage(pids: Iterable[int]) -> Usage:
    """The usage of all threads, from schedstat: in nanoseconds, where /proc/PID/stat counts ticks."""
    cpu = switches = 0
    for pid in pids:
        for task in _tasks(pid):
            cpu += int(_read(task / "schedstat").split(maxsplit=1)[0] or 0)
            for line in _read(task / "status").splitlines():
                if "ctxt_switches" in line:
                    switches += int(line.rsplit(maxsplit=1)[-1])
    return Usage(cpu, switches)


def pss(pids: Iterable[int]) -> int:
    """Proportional set size in bytes; 0 for processes that have ended."""
    total = 0
    for pid in pids:
        with suppress(psutil.Error):
            total += psutil.Process(pid).memory_full_info().pss
    return total


def descendants(root: int) -> list[int]:
    """Every living process (no zombies) below `root`, parents before children."""
    try:
        below = psutil.Process(root).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [process.pid for process in below if _lives(process)]


def executable(pid: int) -> Path | None:
    """The executable of a process; None if it has ended or may not be examined."""
    try:
        return Path(found) if (found := psutil.Process(pid).exe()) else None
    except psutil.Error:
        return None


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def _tasks(pid: int) -> list[Path]:
    try:
        return list((PROC / str(pid) / "task").iterdir())
    except OSError:
        return []


def _read(path: Path) -> str:
    """The content of a file; "0" if its process has ended, which adds nothing to any sum."""
    try:
        return path.read_text()
    except OSError:
        return "0"
