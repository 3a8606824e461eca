"""Limits on resources: a peak is nothing, and a breach is told once."""

from __future__ import annotations

from supervisor.core.model.events import LimitExceeded
from supervisor.core.model.spec import ResourcesSpec


class ResourceLimit:
    """One resource: says once when it has been over its limit for too long, and again only after it was below."""

    __slots__ = ("_limit", "_reported", "_resource", "_since", "_sustained")

    def __init__(self, resource: str, limit: float, sustained: float) -> None:
        self._resource, self._limit, self._sustained = resource, limit, sustained
        self._since: float | None = None
        self._reported = False

    def check(self, incarnation: int, value: float, now: float) -> LimitExceeded | None:
        if value <= self._limit:
            self._since, self._reported = None, False
            return None
        if self._since is None:
            self._since = now
        if self._reported or now - self._since < self._sustained:
            return None
        self._reported = True
        return LimitExceeded(incarnation, self._resource, value, self._limit)


class ResourceLimits:
    """The ceilings of one incarnation."""

    __slots__ = ("_cpu", "_incarnation", "_memory", "_tasks", "spec")

    def __init__(self, incarnation: int, spec: ResourcesSpec) -> None:
        self.spec = spec
        self._incarnation = incarnation
        self._memory = ResourceLimit("memory", spec.max_memory, spec.sustained) if spec.max_memory is not None else None
        self._cpu = ResourceLimit("cpu", spec.max_cpu, spec.sustained) if spec.max_cpu is not None else None
        self._tasks = ResourceLimit("tasks", spec.max_tasks, 0.0) if spec.max_tasks is not None else None

    def check(self, cpu: float, memory_bytes: int, now: float, tasks: int = 0) -> list[LimitExceeded]:
        """What is now exceeded for too long (tasks: at all, for a fork bomb leaves no time).  `cpu` is a fraction of
        one core."""
        found = []
        if self._memory is not None:
            found.append(self._memory.check(self._incarnation, memory_bytes, now))
        if self._cpu is not None:
            found.append(self._cpu.check(self._incarnation, cpu, now))
        if self._tasks is not None:
            found.append(self._tasks.check(self._incarnation, tasks, now))
        return [excess for excess in found if excess is not None]
