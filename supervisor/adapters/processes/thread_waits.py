"""Reads how long the threads of a tree have waited for the host: for a CPU, for memory, for the end of a CPU quota.

The values are cumulative seconds, so two readings give the wait in between.  Scheduler statistics exist on every usual
kernel (CONFIG_SCHED_INFO), memory pressure and throttling where the tree has its own cgroup.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from supervisor.adapters.linux import procfs
from supervisor.core.detection.schedulable_time import MEMORY, QUOTA, Wait, Waited

MOST_THREADS = 256
"""Threads that are read at most, of one process and of a tree."""


def read_waits(pids: Iterable[int], cgroup: str | None) -> dict[Wait, Waited]:
    """The waits by thread id: seconds on a run queue without running.  By MEMORY: seconds in which some process of the
    cgroup (a directory) waited for memory.  By QUOTA: seconds in which its CPU limit stopped it."""
    found: dict[Wait, Waited] = {}
    for pid in pids:
        for thread in _threads(pid):
            if len(found) >= MOST_THREADS:
                break
            if (of_thread := _thread(f"/proc/{pid}/task/{thread}")) is not None:
                found[int(thread)] = of_thread
    if cgroup is not None:
        for line in (procfs.read(f"{cgroup}/memory.pressure") or b"").splitlines():
            if line.startswith(b"some"):
                _count(found, MEMORY, line.rpartition(b"total=")[2])
        for line in (procfs.read(f"{cgroup}/cpu.stat") or b"").splitlines():
            if line.startswith(b"throttled_usec"):
                _count(found, QUOTA, line.split()[1])
    return found


def any_awake(pids: Iterable[int]) -> bool:
    """Whether some thread runs, could run, or is in uninterruptible sleep.

    Only then can a second look tell whether it gets what it waits for.
    """
    return any(_state(pid, thread) in ("R", "D") for pid in pids for thread in _threads(pid))


def _thread(path: str) -> Waited | None:
    """From schedstat, whose fields are nanoseconds on a CPU, nanoseconds on a run queue, and turns."""
    stat = procfs.parse_stat(procfs.read(f"{path}/stat") or b"")
    fields = (procfs.read(f"{path}/schedstat") or b"").split()
    status = (procfs.read(f"{path}/status") or b"").partition(b"\nvoluntary_ctxt_switches:")[2].split()
    try:
        return Waited(
            int(fields[1]) / 1e9, int(fields[0]) / 1e9, int(status[0]), stat is not None and stat.state == "R"
        )
    except (ValueError, IndexError):
        return None


def _count(found: dict[Wait, Waited], key: str, micros: bytes) -> None:
    with suppress(ValueError):
        found[key] = Waited(int(micros) / 1e6)


def _threads(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")[:MOST_THREADS]  # noqa: PTH208
    except OSError:
        return []


def _state(pid: int, thread: str) -> str:
    stat = procfs.parse_stat(procfs.read(f"/proc/{pid}/task/{thread}/stat") or b"")
    return stat.state if stat is not None else "X"
