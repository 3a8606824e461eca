"""Which of the processes that are there belong to whom, when a supervisor finds another one's children.

Pure: what was saved and what was found go in, who is to be adopted and who must go comes out.  The rules hold that
there is never a second copy: of each instance at most one process is a candidate, and everything else that carries our
mark and belongs to no live instance is a stray.

A start is recorded before it is carried out.  So whoever bears a later incarnation than the record knows of was started
in words that were lost: by a full disk, or with the whole ledger.  It is what the instance is now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.events import Adopted, NotFoundOnAdoption


class MarkedProcess(NamedTuple):
    """A process that carries our mark.  `start`: clock ticks since boot; `leader`: it leads its session, as every
    main process does that we spawn."""

    pid: int
    start: int
    instance: str
    incarnation: int | None
    leader: bool


class Running(Protocol):
    """The main process of an instance, as the daemon that started it knows it."""

    @property
    def incarnation(self) -> int: ...

    @property
    def pid(self) -> int: ...

    @property
    def start(self) -> int | None: ...


class Seen(Protocol):
    """The process that has a pid now.  `state` is the letter of /proc/PID/stat."""

    @property
    def start(self) -> int: ...

    @property
    def state(self) -> str: ...


class AdoptionPlan(NamedTuple):
    """`main_processes`: (pid, start) to adopt by instance.  `candidates`: what a live instance may have left beside its main
    process.  `orphans`: what must not live on.  `unrecorded`: incarnations that live, and of which the record says nothing;
    the instance has to be told (`ServiceSet.assume_spawning`)."""

    main_processes: dict[str, tuple[int, int]]
    candidates: dict[str, list[MarkedProcess]]
    orphans: list[MarkedProcess]
    unrecorded: dict[str, int]


def saved(instance: Instance, process: Running | None, now: float) -> dict[str, Any]:
    """What is saved of an instance: its snapshot, with the (pid, start time) by which a later daemon knows its main
    process again.  A pid alone may be another process by then."""
    snapshot = instance.snapshot(now)
    if process is not None and process.incarnation == instance.incarnation and instance.pid is not None:
        snapshot |= {"pid": process.pid, "start": process.start}
    return snapshot


def is_main(start: int, seen: Seen | None) -> bool:
    """Whether the process that has the pid of a main process is that process: it began when that began.  A zombie is,
    for it still tells its exit status; a process that is being removed (X) tells nothing any more."""
    return seen is not None and seen.start == start and seen.state != "X"


def adoption_event(incarnation: int, pid: int | None, age: float, *, tree_empty: bool) -> Adopted | NotFoundOnAdoption:
    """What the instance is told.  `pid` and `age` are those of its main process, None where that is not there."""
    return NotFoundOnAdoption(incarnation, tree_empty) if pid is None else Adopted(incarnation, pid, age)


def plan_adoption(
    instances: Mapping[str, Instance], started: Mapping[str, int | None], found: Iterable[MarkedProcess]
) -> AdoptionPlan:
    """`instances` as restored; `started`: the start time that was saved with an instance's pid, for all of which
    anything was saved."""
    found = list(found)
    main_processes: dict[str, tuple[int, int]] = {}
    unrecorded = _unrecorded(instances, started, found)
    candidates: dict[str, list[MarkedProcess]] = {
        name: [] for name, i in instances.items() if i.alive or name in unrecorded
    }
    orphans: list[MarkedProcess] = []
    for process in found:
        name = process.instance
        current = unrecorded.get(name, instances[name].incarnation if name in candidates else None)
        if current is None or process.incarnation not in (None, current):
            orphans.append(process)
        else:
            candidates[name].append(process)
    for name, processes in candidates.items():
        pid, start = instances[name].pid, started.get(name)
        if name in unrecorded:
            main_processes[name] = _first(p for p in processes if p.leader)
        elif pid is not None and start is not None:
            main_processes[name] = (pid, start)
        elif instances[name].spawning:
            leaders = [p for p in processes if p.leader and p.incarnation is not None]
            if leaders:
                main_processes[name] = _first(leaders)
    return AdoptionPlan(main_processes, candidates, orphans, unrecorded)


def _unrecorded(
    instances: Mapping[str, Instance], started: Mapping[str, int | None], found: Iterable[MarkedProcess]
) -> dict[str, int]:
    """The newest incarnation that lives, where it is newer than what is recorded.  One whose program has overwritten
    its environment tells none, and counts where nothing at all is recorded."""
    newest: dict[str, int] = {}
    for process in found:
        instance = instances.get(process.instance)
        if instance is None or not process.leader:
            continue
        incarnation = process.incarnation
        if incarnation is None and process.instance not in started:
            incarnation = instance.incarnation + 1
        if incarnation is not None and incarnation > max(instance.incarnation, newest.get(process.instance, 0)):
            newest[process.instance] = incarnation
    return newest


def _first(leaders: Iterable[MarkedProcess]) -> tuple[int, int]:
    """Whatever was spawned first is it: all else descends from it."""
    first = min(leaders, key=lambda p: (p.start, p.pid))
    return first.pid, first.start
