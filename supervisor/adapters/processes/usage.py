"""Reads the CPU time, memory and tasks of process trees and cgroups from the kernel's counters."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import NamedTuple

from supervisor.adapters.linux import procfs

Key = tuple[int, int]  # pid and start time; (0, 0) is a whole cgroup
_SCHED = 2  # CPUCLOCK_SCHED of include/linux/posix-timers_types.h: the time of all threads, as the scheduler counts it


class Usage(NamedTuple):
    """CPU seconds spent by each, bytes of memory, seconds since the oldest began, and the number of tasks (threads)."""

    spent: dict[Key, float]
    memory: int
    age: float
    tasks: int


def cpu_clock(pid: int) -> int | None:
    """Nanoseconds of CPU time that the process has spent, by its CPU clock (clock_getcpuclockid(3)): one system call, a
    tenth of the time of reading a file of /proc.  None where it has ended, or the kernel does not tell."""
    try:
        return time.clock_gettime_ns((~pid << 3) | _SCHED)
    except OSError:
        return None


def of_processes(pids: Iterable[int]) -> Usage | None:
    """The usage of those that exist, together; None where none exists."""
    spent: dict[Key, float] = {}
    memory = tasks = 0
    for pid in pids:
        stat = procfs.stat(pid)
        if stat is not None:
            spent[pid, stat.start] = (stat.utime + stat.stime) * procfs.TICK
            memory += stat.rss
            tasks += stat.threads
    if not spent:
        return None
    return Usage(spent, memory, age(min(start for _, start in spent)), tasks)


def of_cgroup(directory: str | None) -> Usage | None:
    """The usage by the controllers' counters; memory without inactive file pages, which the kernel can reclaim.

    None where `directory` is None or has no memory and cpu controllers.
    """
    if directory is None:
        return None
    current = procfs.read(f"{directory}/memory.current")
    cpu = procfs.read(f"{directory}/cpu.stat")
    if current is None or cpu is None:
        return None
    try:
        seconds = _field(cpu, b"usage_usec") / 1e6
        reclaimable = _field(procfs.read(f"{directory}/memory.stat") or b"", b"inactive_file")
        began = os.stat(directory).st_ctime  # noqa: PTH116
        tasks = int(procfs.read(f"{directory}/pids.current") or 0)  # only the kernel enforces their limit
        return Usage({(0, 0): seconds}, max(0, int(current) - reclaimable), max(0.1, time.time() - began), tasks)
    except (OSError, ValueError):
        return None


def _field(content: bytes, name: bytes) -> int:
    for line in content.splitlines():
        key, _, value = line.partition(b" ")
        if key == name:
            return int(value)
    return 0


def age(start: int) -> float:
    """Seconds since a process began, from its start time in ticks since boot."""
    return max(0.1, time.clock_gettime(time.CLOCK_BOOTTIME) - start * procfs.TICK)


def percent(spent: float, seconds: float) -> float:
    """CPU seconds as a share of the time they were spent in; 100 is one core."""
    return 100.0 * max(0.0, spent) / max(seconds, 1e-3)
