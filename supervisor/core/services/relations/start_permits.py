"""Permits starts: an instance waits for its dependencies and, after a failure, for a restart slot."""

from __future__ import annotations

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.actions import Goal
from supervisor.core.model.spec import Plan
from supervisor.core.services import maintenance
from supervisor.core.services.breaker_status import Counts
from supervisor.core.services.relations.dependency import first_awaited
from supervisor.core.services.relations.restart_slots import RestartSlots
from supervisor.core.services.relations.roster import Roster


class StartPermits:
    """The instances that wait to start.  They are looked at again only after `recheck` was set: something changed that
    they may have waited for."""

    def __init__(self, roster: Roster, counts: Counts, plan: Plan) -> None:
        self.recheck = True
        self._roster, self._counts = roster, counts
        self._waiting: dict[str, None] = {}
        self.slots = RestartSlots(plan)

    def update(self, instance: Instance) -> None:
        """Note whether this instance waits to start, and whether it takes a restart slot."""
        name = instance.name
        if not instance.waiting:
            self._waiting.pop(name, None)
            self.slots.forget(name)
        elif name not in self._waiting and name not in self.slots:
            self._waiting[name] = None
            self.recheck = True
        self.slots.seen(instance)

    def granted(self, now: float) -> list[Instance]:
        """The instances that may start now: their dependencies are ready and, for a restart after a failure, a slot is
        free."""
        granted: list[Instance] = []
        instances = self._roster.instances
        if self.recheck:
            self.recheck = False
            for name in list(self._waiting):
                instance = instances[name]
                if not self._waits(instance, now):
                    del self._waiting[name]
                    if instance.recovering:
                        self.slots.wait(instance)
                    else:
                        granted.append(instance)
        return granted + self.slots.grant(lambda instance: self._still_permitted(instance, now))

    def _still_permitted(self, instance: Instance, now: float) -> bool:
        """Its dependencies are still ready; otherwise it waits for them again."""
        waits = self._waits(instance, now)
        if waits:
            self._waiting[instance.name] = None
        return not waits

    def _waits(self, instance: Instance, now: float) -> bool:
        instance.waiting_for = self._unready(instance, now)
        self._counts.waits(instance, self._roster.instances.get(instance.waiting_for), now)
        return bool(instance.waiting_for)

    def _unready(self, instance: Instance, now: float) -> str:
        """What to wait for: a dependency that is not ready, or what may hold the same port: a fallback that still runs
        and, for an instance that never ran, one that is being removed (it may have been renamed)."""
        spec, roster = instance.spec, self._roster
        if instance.awaits_end_of_maintenance:
            return maintenance.ITS_END
        if not instance.incarnation:
            for name in roster.removed:
                if roster.instances[name].alive and not roster.instances[name].lingering:
                    return f"{name}, which is being removed"
        for name in roster.names(spec.restart.fallback) if spec.restart.fallback else ():
            if roster.instances[name].alive and roster.instances[name].goal is Goal.DOWN:
                return name
        if roster.gate is not None and spec.exclusive and (lease := roster.gate.awaited(instance, now)):
            return lease
        found = roster.breakers.awaited(spec.name)
        return found or first_awaited(spec, roster.specs, roster.instances, roster.covers)
