"""What the balancer gets of the instances of a service: which take requests, and where; and how long HAProxy runs.

Whether a process is behind the balancer follows from the definition under which it runs: in a rollout that adds
`balance` or takes it away, instances of both kinds run side by side.  The fallback of a service takes its place behind
the same balancer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from supervisor.core.balancing.slots import Wanted
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.actions import State
from supervisor.core.model.spec import BALANCER, BalanceSpec, Plan, ServiceSpec
from supervisor.core.services.replica import balanced_at, behind

if TYPE_CHECKING:
    from supervisor.core.services.rollout import Rollout

OTHER_HOST = "/"
"""Stands in the name of another host's instance, after the host: b/web@1.  No host and no instance has it."""


def balanced(plan: Plan) -> list[ServiceSpec]:
    """The services with `balance`, in the order of their names: the file does not depend on the order of the start."""
    return sorted((spec for spec in plan.services if spec.balance is not None), key=lambda spec: spec.name)


def wanted(instances: Iterable[Instance]) -> list[Wanted]:
    """Instances that are ready and beyond suspicion take requests; those that run and take none are drained."""
    return [_wanted(one) for one in instances if one.running_spec.balance is not None]


def _wanted(one: Instance) -> Wanted:
    serving = one.state is State.RUNNING and one.ready
    return Wanted(one.name, one.incarnation, balanced_at(one.running_spec, one.name), serving, one.draining)


def standing_in(
    balance: BalanceSpec, own: Iterable[Instance], served: Iterable[Wanted], fallback: Iterable[Instance]
) -> list[Wanted]:
    """The instances of a `fallback` behind the balancer of the service that it replaces.

    They take its requests while the breaker of an instance of the service is open and no instance of it takes any.  One
    without a port that the balancer needs is left out."""
    needed = any(one.state is State.FAILED for one in own) and not any(one.serving for one in served)
    return [
        Wanted(one.name, one.incarnation, address, needed and one.state is State.RUNNING and one.ready)
        for one in fallback
        if (address := behind(balance, one.running_spec, one.name))
    ]


def leaving(instances: Iterable[Instance]) -> dict[str, ServiceSpec]:
    """The definitions of the processes behind the balancer, by the name of the service, also where the plan has
    others."""
    return {one.spec.name: one.running_spec for one in instances if one.alive and one.running_spec.balance is not None}


def with_fitting_balancer(
    in_force: Plan, plan: Plan, instances: Iterable[Instance], rollouts: Iterable[Rollout]
) -> Plan:
    """`plan`, with the balancer of the plan in force where processes or a rollout that is not over still need it, and
    without one that nothing needs."""
    present, wanted_one = _ours(in_force), _ours(plan)
    if present is wanted_one is None:
        return plan
    needed = (
        any(spec.balance is not None for spec in plan.services)
        or bool(leaving(instances))
        or any(r.open and (r.wanted.balance or r.previous.balance) is not None for r in rollouts)
    )
    if wanted_one is not None and not needed:
        return replace(plan, services=tuple(spec for spec in plan.services if spec is not wanted_one))
    if present is not None and needed and plan.service(BALANCER) is None:
        return replace(plan, services=(present, *plan.services))
    return plan


def _ours(plan: Plan) -> ServiceSpec | None:
    return next((spec for spec in plan.services if spec.is_balancer), None)
