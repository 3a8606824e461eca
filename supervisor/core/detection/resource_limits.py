"""Limits on memory, CPU and tasks of an incarnation.

Short peaks are ignored; a sustained breach is reported once, and again only after usage fell below the limit.
"""

from __future__ import annotations

from supervisor.core.model.events import LimitExceeded
from supervisor.core.model.spec import ResourcesSpec


class ResourceLimit:
    """The limit of one resource.  `sustained` is the time in seconds for which a breach has to last to be reported."""

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
    """The limits of one incarnation."""

    __slots__ = ("_cpu", "_incarnation", "_memory", "_tasks", "spec")

    def __init__(self, incarnation: int, spec: ResourcesSpec) -> None:
        self.spec = spec
        self._incarnation = incarnation
        self._memory = ResourceLimit("memory", spec.max_memory, spec.sustained) if spec.max_memory is not None else None
        self._cpu = ResourceLimit("cpu", spec.max_cpu, spec.sustained) if spec.max_cpu is not None else None
        self._tasks = ResourceLimit("tasks", spec.max_tasks, 0.0) if spec.max_tasks is not None else None

    def check(self, cpu: float, memory_bytes: int, now: float, tasks: int = 0) -> list[LimitExceeded]:
        """The breaches to report now.  `cpu` is a fraction of one core.

        The limit of tasks is reported at once, because a fork bomb leaves no time to wait."""
        found = []
        if self._memory is not None:
            found.append(self._memory.check(self._incarnation, memory_bytes, now))
        if self._cpu is not None:
            found.append(self._cpu.check(self._incarnation, cpu, now))
        if self._tasks is not None:
            found.append(self._tasks.check(self._incarnation, tasks, now))
        return [excess for excess in found if excess is not None]
