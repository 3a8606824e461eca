"""The plan that a daemon keeps for the one after it, where that differs from the plan in force."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.spec import Plan, ServiceSpec
from supervisor.core.services.adoption import is_taken_out


def with_what_runs(plan: Plan, instances: Collection[Instance], former: Mapping[str, ServiceSpec]) -> Plan:
    """`plan`, with the services that it no longer has but that still run: a later daemon needs their specification to
    stop them.  `former`: the definitions that take the place of those in the plan."""
    names = {spec.name for spec in plan.services}
    gone = {i.spec.name: i.spec for i in instances if i.alive and i.spec.name not in names}
    services = plan.services
    if former:
        from supervisor.core.services.rollout import in_plan_of

        services = tuple(in_plan_of(s, former[s.name]) if s.name in former else s for s in services)
    return only(replace(plan, services=(*gone.values(), *services)), names | gone.keys()) if gone or former else plan


def former_definitions(instances: Collection[Instance], rolled: Collection[str]) -> dict[str, ServiceSpec]:
    """The definition of each service of which a process still runs that a changed one is to replace.  Of those that
    were `rolled` out, the rollouts tell."""
    return {i.spec.name: i.running_spec for i in instances if i.alive and not i.current and i.spec.name not in rolled}


def without_taken_out(plan: Plan, saved: Mapping[str, Mapping[str, Any]]) -> Plan:
    """`plan` without the services that were taken out and had not ended.  `saved`: what is saved of each instance."""
    out = {s.name for s in plan.services if s.instances and all(is_taken_out(saved.get(n, {})) for n in s.instances)}
    return only(plan, {s.name for s in plan.services} - out) if out else plan


def only(plan: Plan, names: Collection[str]) -> Plan:
    """`plan` with these services alone; none depends on one that is not there."""
    return replace(plan, services=tuple(_among(s, names) for s in plan.services if s.name in names))


def _among(spec: ServiceSpec, names: Collection[str]) -> ServiceSpec:
    if all(name in names for name in spec.depends_on):
        return spec
    there = tuple(how for how in spec.dependencies if how.service in names)
    return replace(spec, depends_on=tuple(name for name in spec.depends_on if name in names), dependencies=there)
