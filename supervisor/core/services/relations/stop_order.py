"""The order of stops: an instance is stopped after those that depend on it, the reverse of the order of starts.

What the plan has no longer, because of another number of replicas, is stopped while enough others are ready.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Goal, State
from supervisor.core.model.causes import Cause
from supervisor.core.services.relations.roster import Roster


class StopOrder:
    """The stops that are `postponed`, by instance: others that depend on it are stopped first."""

    def __init__(self, roster: Roster) -> None:
        self.postponed: dict[str, ev.Stop] = {}
        self._roster = roster

    def stop(self, instance: Instance, cause: Cause, by: Mapping[str, Any]) -> ev.Stop:
        """What follows for the instance now: its goal becomes DOWN, and it stops at once unless others depend on it, or
        fewer than `min_ready` might be left."""
        leaves = instance.name in self._roster.removed and instance.spec.min_ready is not None
        if leaves or self._roster.dependants.get(instance.spec.name):
            self.postponed[instance.name] = ev.Stop(cause, by=by)
            return ev.Stop(cause, later=True, by=by)
        return ev.Stop(cause, by=by)

    def due(self, now: float) -> list[tuple[Instance, ev.Stop]]:
        """The postponed stops whose dependants are gone, or cannot be stopped, of what is not missed."""
        found: list[tuple[Instance, ev.Stop]] = []
        for name in list(self.postponed):
            instance = self._roster.instances[name]
            if name in self._roster.removed and self._is_missed(instance):
                continue
            if not any(self._is_stopping(d, now) for d in self._roster.dependants.get(instance.spec.name, ())):
                event = self.postponed.pop(name)
                if instance.state is not State.STOPPED:
                    found.append((instance, event))
        return found

    def _is_missed(self, leaving: Instance) -> bool:
        """Without it fewer than `min_ready` of those that are wanted would be ready."""
        spec = self._roster.specs.get(leaving.spec.name)
        if spec is None or spec.min_ready is None or not leaving.ready:
            return False
        ours = [i for i in self._roster.instances.values() if i.spec.name == spec.name and i is not leaving]
        wanted = sum(i.goal is Goal.UP for i in ours)
        ready = sum(i.ready for i in ours if i.goal is Goal.UP or i.name in self.postponed)
        return ready < min(spec.min_ready, wanted)

    def _is_stopping(self, service: str, now: float) -> bool:
        """Some instance of the service is being stopped and may still end."""
        roster = self._roster
        for name in roster.specs[service].instances if service in roster.specs else ():
            other = roster.instances.get(name)
            if other is not None and other.goal is Goal.DOWN and other.alive and not other.unkillable(now):
                return True
        return False
