"""Membership: which instances a plan has, where their number changes while they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.spec import Plan, ServiceSpec


def regrouped(
    plan: Plan, present: Mapping[str, Instance], create: Callable[[str, ServiceSpec], Instance]
) -> dict[str, Instance]:
    """The instances in the order of the plan: those that are present, and new ones.  What the plan does not have, and
    still ends, comes last."""
    found = {name: present.get(name) or create(name, spec) for spec in plan.services for name in spec.instances}
    return found | {name: instance for name, instance in present.items() if name not in found}


def beside(plan: Plan) -> set[str]:
    """The instances that rollouts run beside the others."""
    return {name for spec in plan.services if spec.surge for name in spec.instances[spec.replicas :]}
