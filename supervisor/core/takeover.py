"""Which of the processes that are there belong to whom, when a supervisor finds another one's children.

Pure: what was saved and what was found go in, who is to be adopted and who must go comes out.  The rules hold that
there is never a second copy: of each instance at most one process is a candidate, and everything else that carries our
mark and belongs to no live instance is a stray.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from supervisor.core.instance import Instance


class Found(NamedTuple):
    """A process that carries our mark.  `start`: clock ticks since boot; `leader`: it leads its session, as every
    main process does that we spawn."""

    pid: int
    start: int
    instance: str
    incarnation: int | None
    leader: bool


class Takeover(NamedTuple):
    """`mains`: (pid, start) to adopt by instance.  `remains`: what a live instance may have left beside its main
    process.  `strays`: what must not live on."""

    mains: dict[str, tuple[int, int]]
    remains: dict[str, list[Found]]
    strays: list[Found]


def takeover(instances: Mapping[str, Instance], started: Mapping[str, int | None], found: Iterable[Found]) -> Takeover:
    """`instances` as restored; `started`: the start time that was saved with an instance's pid."""
    mains: dict[str, tuple[int, int]] = {}
    remains: dict[str, list[Found]] = {name: [] for name, i in instances.items() if i.alive}
    strays: list[Found] = []
    for process in found:
        instance = instances.get(process.instance)
        if instance is None or not instance.alive or process.incarnation not in (None, instance.incarnation):
            strays.append(process)
        else:
            remains[process.instance].append(process)
    for name, processes in remains.items():
        pid, start = instances[name].pid, started.get(name)
        if pid is not None and start is not None:
            mains[name] = (pid, start)
        elif instances[name].spawning:  # whatever was spawned first is it: all else descends from it
            leaders = [p for p in processes if p.leader and p.incarnation is not None]
            if leaders:
                first = min(leaders, key=lambda p: (p.start, p.pid))
                mains[name] = (first.pid, first.start)
    return Takeover(mains, remains, strays)
