"""How long the threads of a tree have waited for what only the host can give: CPU, memory, a quota.

Cumulative seconds, to be read twice.  Scheduler statistics are there on every usual kernel (CONFIG_SCHED_INFO);
pressure per cgroup and throttling where the tree has a cgroup of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from supervisor.adapters.linux import procfs
from supervisor.core.detection.schedulable_time import MEMORY, QUOTA, Wait, Waited

MOST_THREADS = 256


def read_waits(pids: Iterable[int], cgroup: str | None) -> dict[Wait, Waited]:
    """By thread id: the time on a run queue without running.  By MEMORY: the time in which some process of the cgroup
    (its directory) waited for memory.  By QUOTA: the time in which its CPU limit held it up."""
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
    """Some thread runs, would like to run, or waits in the kernel without being interruptible: it is not merely
    asleep, so that a second look can tell whether it gets what it waits for."""
    return any(_state(pid, thread) in ("R", "D") for pid in pids for thread in _threads(pid))


def _thread(path: str) -> Waited | None:
    """schedstat: nanoseconds on a CPU, nanoseconds on a run queue, turns."""
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
