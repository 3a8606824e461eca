"""Adoption: decides which processes of an earlier daemon are adopted by which instances, and which are orphans.

The input is what was saved and what was found.  The rules guarantee that there is never a second copy of an instance:
at most one process becomes its main process, and every process that carries this supervisor's mark and belongs to no
live instance is an orphan, which is killed.

A start is recorded before it is carried out.  So where a process has a later incarnation than the record, the record of
its start was lost, by a full disk or with the whole ledger, and that incarnation is the present one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.actions import Goal
from supervisor.core.model.causes import Cause
from supervisor.core.model.events import Adopted, NotFoundOnAdoption


class MarkedProcess(NamedTuple):
    """A process that carries this supervisor's mark in its environment.

    `incarnation`: None where its program has overwritten the environment.  `start`: clock ticks since boot.  `leader`:
    it leads its session, as every main process does that a daemon spawned."""

    pid: int
    start: int
    instance: str
    incarnation: int | None
    leader: bool


class Running(Protocol):
    """The main process of an instance, as the daemon that started it sees it."""

    @property
    def incarnation(self) -> int: ...

    @property
    def pid(self) -> int: ...

    @property
    def start(self) -> int | None: ...


class Seen(Protocol):
    """The process that has a pid now.  `state`: the letter of /proc/PID/stat."""

    @property
    def start(self) -> int: ...

    @property
    def state(self) -> str: ...


class AdoptionPlan(NamedTuple):
    """`main_processes`: the (pid, start) to adopt, by instance.  `candidates`: the processes that were found of each
    live instance, its main process included.  `orphans`: the processes to kill.  `unrecorded`: live incarnations
    without a record, by instance; pass them to `ServiceSet.assume_spawning`."""

    main_processes: dict[str, tuple[int, int]]
    candidates: dict[str, list[MarkedProcess]]
    orphans: list[MarkedProcess]
    unrecorded: dict[str, int]


def saved(instance: Instance, process: Running | None, now: float) -> dict[str, Any]:
    """What is saved of an instance: its snapshot, and the (pid, start time) by which a later daemon recognizes its main
    process.  The pid alone may belong to another process by then."""
    snapshot = instance.snapshot(now)
    if process is not None and process.incarnation == instance.incarnation and instance.pid is not None:
        snapshot |= {"pid": process.pid, "start": process.start}
    return snapshot


def has_state(saved: Mapping[str, Any]) -> bool:
    """Whether the state of an instance was saved, and not its history alone."""
    return "state" in saved


def is_kept(saved: Mapping[str, Any]) -> bool:
    """Whether an instance keeps its goal.  One that was taken out, and was still in the plan in force because it had
    not ended, does not: where the file has it again, it is new."""
    return has_state(saved) and not is_taken_out(saved)


def is_taken_out(saved: Mapping[str, Any]) -> bool:
    """Whether an instance was ending because the configuration no longer has it."""
    return saved.get("goal") == Goal.DOWN and saved.get("wanted_by") == Cause.REMOVED


def is_main(start: int, seen: Seen | None) -> bool:
    """Whether the process that now has the pid of a main process is that process, by its start time.

    A zombie is, because it still has its exit status; a process that is being removed (X) is not."""
    return seen is not None and seen.start == start and seen.state != "X"


def adoption_event(incarnation: int, pid: int | None, age: float, *, tree_empty: bool) -> Adopted | NotFoundOnAdoption:
    """The event for the instance.  `pid` and `age`: those of its main process; `pid` is None where that is gone."""
    return NotFoundOnAdoption(incarnation, tree_empty) if pid is None else Adopted(incarnation, pid, age)


def plan_adoption(
    instances: Mapping[str, Instance], started: Mapping[str, int | None], found: Iterable[MarkedProcess]
) -> AdoptionPlan:
    """Plan the adoption of the processes `found`.

    `instances`: as restored.  `started`: the start time that was saved with the pid, for every instance of which
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
        elif pid is not None and name in started:  # no descriptor was free to read the start time
            same = [p for p in processes if p.leader and p.pid == pid]
            if same:
                main_processes[name] = _first(same)
        elif instances[name].spawning:
            leaders = [p for p in processes if p.leader and p.incarnation is not None]
            if leaders:
                main_processes[name] = _first(leaders)
    return AdoptionPlan(main_processes, candidates, orphans, unrecorded)


def _unrecorded(
    instances: Mapping[str, Instance], started: Mapping[str, int | None], found: Iterable[MarkedProcess]
) -> dict[str, int]:
    """The newest live incarnation of each instance where it is newer than the recorded one.

    Where nothing at all is recorded, every incarnation counts, because a daemon that could not read the ledger counted
    from 1 again; so does a process without an incarnation in its environment."""
    newest: dict[str, int] = {}
    for process in found:
        instance = instances.get(process.instance)
        if instance is None or not process.leader:
            continue
        incarnation = process.incarnation
        if incarnation is None and process.instance not in started:
            incarnation = instance.incarnation + 1
        recorded = instance.incarnation if process.instance in started else 0
        if incarnation is not None and incarnation > max(recorded, newest.get(process.instance, 0)):
            newest[process.instance] = incarnation
    return newest


def _first(leaders: Iterable[MarkedProcess]) -> tuple[int, int]:
    """The (pid, start) of the leader that was spawned first; all others descend from it."""
    first = min(leaders, key=lambda p: (p.start, p.pid))
    return first.pid, first.start
