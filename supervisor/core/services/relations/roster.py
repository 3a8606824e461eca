"""The roster: the instances by name, and what the plan says of their services.  Rules between instances look here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.actions import State
from supervisor.core.model.spec import Condition, Plan, ServiceSpec
from supervisor.core.services.relations.open_breaker import OpenBreakers

if TYPE_CHECKING:
    from supervisor.core.services.lease_gate import LeaseGate


class Roster:
    """`instances` stand in start order; `removed` names those that are no longer wanted and still end.  `dropped` names
    those that have ended since `ServiceSet.taken_dropped` was called last."""

    specs: dict[str, ServiceSpec]
    dependants: dict[str, list[str]]
    """The services that name a service in depends_on."""
    ends_with_one: bool
    """Some service ends everything when it ends."""
    spawns_matter: bool
    """Some service waits only until another is started."""
    breakers: OpenBreakers
    gate: LeaseGate | None
    """The leases of exclusive services; None where there are none."""

    def __init__(self, plan: Plan) -> None:
        self.instances: dict[str, Instance] = {}
        self.removed: set[str] = set()
        self.dropped: set[str] = set()
        self.gate = None
        self.index(plan)

    def index(self, plan: Plan) -> None:
        """Take over what this plan says of its services."""
        self.specs = {s.name: s for s in plan.services}
        self.dependants = {}
        for spec in plan.services:
            for service in spec.depends_on:
                self.dependants.setdefault(service, []).append(spec.name)
        self.ends_with_one = any(spec.end_with for spec in plan.services)
        self.spawns_matter = Condition.STARTED in {how.condition for s in plan.services for how in s.dependencies}
        self.breakers = OpenBreakers(self.specs, self.dependants, lambda: self.instances)
        if self.gate is None and any(spec.exclusive for spec in plan.services):
            from supervisor.core.services.lease_gate import LeaseGate

            self.gate = LeaseGate()

    def names(self, pattern: str) -> list[str]:
        """The instances that a service, instance or group name means; empty if there are none (any more)."""
        known = self.instances.get(pattern)
        alone = known is not None
        if known is not None and known.spec.name == pattern:
            alone = len(self.specs.get(pattern, known.spec).instances) == 1
        if alone and pattern not in self.removed:
            return [pattern]
        meant = [i.name for i in self.instances.values() if pattern in (i.spec.name, i.spec.group_name)]
        service = pattern.removesuffix("@1")
        if not meant and service in self.specs:  # its first instance, which has another name (scaling.py)
            meant = [self.specs[service].instances[0]]
        return [name for name in meant if name not in self.removed]

    def missing_dependency(self, instance: Instance) -> str:
        """An instance that this one depends on and that is not ready, or is silent itself; empty: there is none."""
        for name in self.needed_by(instance.spec):
            other = self.instances[name]
            if not other.ready_for_dependants or other.silent_since is not None:
                return name
        return ""

    def needed_by(self, spec: ServiceSpec) -> Iterator[str]:
        """The instances of the services that this one requires."""
        for service in spec.depends_on:
            if spec.dependency(service).required:
                yield from self.specs[service].instances

    def covers(self, needed: Instance, condition: Condition) -> bool:
        """A dependant need not wait for the instance although it is not there."""
        if self.breakers.covers(needed, condition):
            return True
        return self.gate is not None and self.gate.covers(needed, condition)

    def drop_stopped(self) -> None:
        """Forget the removed instances that have ended."""
        for name in list(self.removed):
            if self.instances[name].state is State.STOPPED:
                self.removed.discard(name)
                self.dropped.add(name)
                del self.instances[name]
