"""Says which instance each process of a host belongs to, and as what, from one look at all processes.

The daemon knows its processes by the same signs: the main process, the cgroup, the mark, the environment, the session
of the main process, and for what shows none of these the nearest ancestor that does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from supervisor.core.model.group_names import EXEC_GROUP

MAIN, WORKER, PROBE, HOOK, EXEC, HELPER = "main", "worker", "probe", "hook", "exec", "helper"
"""What a process is.  A worker is any process of an instance but its main one.  `exec`: of `supervisor exec`.
`helper`: the daemon's own, of no instance."""
_DEEPEST = 64


class Seen(NamedTuple):
    """A process, as /proc shows it.

    `start`: ticks since boot.  `instance`: what its mark says, empty where that says nothing.  `command`: it has the
    mark of a probe or hook.  `named`: supervisor's id and instance in its environment, where that was read; with `hook`
    and `place` of a probe or hook."""

    pid: int
    ppid: int
    session: int
    start: int
    cgroup: str | None = None
    instance: str = ""
    command: bool = False
    named: tuple[str, str] = ("", "")
    place: str = ""
    hook: bool = False


class Owner(NamedTuple):
    """`instance` is empty for what belongs to the daemon alone.  `notes`: what is unusual about it, in words."""

    instance: str
    role: str
    notes: tuple[str, ...] = ()


class Signs(NamedTuple):
    """What tells the processes of a daemon.

    `daemon`: its pid, 0 where none runs.  `directory`: the name of the directory of its cgroups, empty where it has
    none.  `mains`: the main process of each instance that has one."""

    daemon: int
    supervisor_id: str
    directory: str
    mains: Mapping[str, int]


def owners(seen: Iterable[Seen], signs: Signs) -> dict[int, Owner]:
    """The processes that belong to the daemon or its instances, without the daemon itself; each with its owner."""
    processes = {one.pid: one for one in seen}
    instances = {pid: name for name, pid in signs.mains.items() if pid in processes}
    shown: dict[int, Owner | None] = {pid: _shown(one, signs, instances, processes) for pid, one in processes.items()}
    found: dict[int, Owner] = {}
    for pid, one in processes.items():
        owner = _of_line(one, shown, processes, signs.daemon)
        if owner is not None and pid != signs.daemon:
            found[pid] = owner._replace(notes=tuple(_notes(one, owner, signs, processes)))
    return found


def _shown(one: Seen, signs: Signs, instances: Mapping[int, str], processes: Mapping[int, Seen]) -> Owner | None:
    """The owner that the process itself shows; None: it shows none, so its parent decides."""
    if one.pid in instances:
        return Owner(instances[one.pid], MAIN)
    group = group_of(one.cgroup, signs.directory)
    if group.startswith(EXEC_GROUP):
        return Owner(group.removeprefix(EXEC_GROUP), EXEC)
    if group:
        return Owner(group, WORKER)
    supervisor_id, named = one.named
    ours = bool(supervisor_id) and supervisor_id == signs.supervisor_id
    if one.command or (ours and one.place):
        return Owner(named if ours else "", HOOK if one.hook else PROBE)
    if one.instance or (ours and named):
        return Owner(one.instance or named, WORKER)
    leader = processes.get(one.session)
    if leader is not None and leader.pid in instances and one.start >= leader.start:
        return Owner(instances[leader.pid], WORKER)
    return None


def _of_line(one: Seen, shown: Mapping[int, Owner | None], processes: Mapping[int, Seen], daemon: int) -> Owner | None:
    """What it shows, or its nearest ancestor that shows anything; HELPER where that is the daemon."""
    at: Seen | None = one
    for _ in range(_DEEPEST):
        if at is None or at.pid <= 1:
            return None
        if at.pid == daemon:
            return Owner("", HELPER)
        owner = shown[at.pid]
        if owner is not None:
            return owner._replace(role=WORKER) if owner.role == MAIN and at is not one else owner
        at = processes.get(at.ppid)
    return None


def _notes(one: Seen, owner: Owner, signs: Signs, processes: Mapping[int, Seen]) -> Iterable[str]:
    main = processes.get(signs.mains.get(owner.instance, 0))
    if owner.role == MAIN:
        if signs.daemon and one.ppid != signs.daemon:
            yield "started by an earlier daemon"
    elif owner.role == WORKER:
        if main is not None and one.session != main.session:
            yield "own session"
        if signs.daemon and one.ppid == signs.daemon:
            yield "orphan, adopted by the daemon"
        elif one.ppid == 1:
            yield "orphan, child of PID 1"
    if owner.role in (MAIN, WORKER) and signs.directory and not group_of(one.cgroup, signs.directory):
        yield "outside its cgroup"


def group_of(path: str | None, directory: str) -> str:
    """The name below the daemon's `directory` in the path of a cgroup; empty where it lies elsewhere."""
    if not path or not directory:
        return ""
    _, found, below = f"{path}/".partition(f"/{directory}/")
    return below.partition("/")[0] if found else ""
