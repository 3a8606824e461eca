"""Looks once at all processes of the host, for commands that show those of a daemon.  The daemon itself never does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from supervisor.adapters.linux import freezer, procfs
from supervisor.adapters.processes import marks
from supervisor.adapters.processes.usage import age
from supervisor.core.services.process_owners import Seen, group_of

STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "blocked in I/O",
    "T": "stopped",
    "t": "traced",
    "Z": "zombie",
    "X": "dead",
    "I": "idle",
    "P": "parked",
}
FROZEN = "frozen"


class Figures(NamedTuple):
    """`state` in words.  `cpu_s`: seconds of CPU since it began.  `command`: its words; empty where it has none (then
    `name` tells).  `pss`: None where that was not asked for, or may not be read."""

    name: str
    command: list[str]
    state: str
    age_s: float
    cpu_s: float
    rss: int
    pss: int | None
    threads: int


def directory_name(name: str, supervisor_id: str) -> str:
    """The name of the directory of the daemon's cgroups (trees.py)."""
    return f"phi-{name}-{supervisor_id[:8]}"


def look(supervisor_id: str, instances: Iterable[str], directory: str) -> list[Seen]:
    """All processes but threads of the kernel.  An environment is read only where nothing cheaper tells."""
    by_mark = {marks.mark_for(supervisor_id, name): name for name in instances}
    places = {marks.mark_for(*marks.command_identity(supervisor_id, place)) for place in range(marks.PLACES)}
    found = []
    for pid in procfs.pids():
        stat = procfs.stat(pid)
        if stat is None or stat.kernel_thread:
            continue
        mark = marks.mark_of(pid)
        cgroup = procfs.cgroup_of(pid)
        one = Seen(pid, stat.ppid, stat.session, stat.start, cgroup, by_mark.get(mark or 0, ""), mark in places)
        if not one.instance and not group_of(cgroup, directory):
            owner, instance, place, hook = procfs.environment_values(
                pid, marks.MARKER, "SUPERVISOR_INSTANCE", marks.COMMAND, marks.HOOK
            )
            one = one._replace(named=(owner or "", instance or ""), place=place or "", hook=hook is not None)
        found.append(one)
    return found


def figures(pids: Iterable[int], *, pss: bool = False) -> dict[int, Figures]:
    """What is shown of each process; one that has ended is left out."""
    frozen: dict[str, bool] = {}
    found = {}
    for pid in pids:
        stat = procfs.stat(pid)
        if stat is None:
            continue
        found[pid] = Figures(
            name=stat.name,
            command=procfs.command_line(pid),
            state=_state(pid, stat, frozen),
            age_s=age(stat.start),
            cpu_s=(stat.utime + stat.stime) * procfs.TICK,
            rss=stat.rss,
            pss=_pss(pid) if pss else None,
            threads=stat.threads,
        )
    return found


def shares(before: Mapping[int, Figures], wait: Callable[[float], object], seconds: float) -> dict[int, float | None]:
    """The share of CPU (100 is one core) that each has used from the look `before` until `seconds` later."""
    wait(seconds)
    now = _cpu(before)
    return {
        pid: None if pid not in now else 100.0 * max(0.0, now[pid][0] - one.cpu_s) / max(now[pid][1] - one.age_s, 1e-3)
        for pid, one in before.items()
    }


def _cpu(pids: Iterable[int]) -> dict[int, tuple[float, float]]:
    """Seconds of CPU, and of age."""
    stats = ((pid, procfs.stat(pid)) for pid in pids)
    return {pid: ((s.utime + s.stime) * procfs.TICK, age(s.start)) for pid, s in stats if s is not None}


def _state(pid: int, stat: procfs.Stat, frozen: dict[str, bool]) -> str:
    path = procfs.cgroup_of(pid) if stat.state in "SD" else None
    if path is not None:
        if path not in frozen:
            directory = procfs.cgroup_directory(path)
            frozen[path] = directory is not None and freezer.is_frozen(directory)
        if frozen[path] or (stat.state == "D" and freezer.v1_frozen_by(pid)):
            return FROZEN
    if stat.state == "Z" and not stat.ended:
        return "running"  # its main thread alone has ended
    return STATES.get(stat.state, stat.state)


def _pss(pid: int) -> int | None:
    for line in (procfs.read(f"/proc/{pid}/smaps_rollup") or b"").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return None
