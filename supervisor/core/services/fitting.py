"""A plan as it fits to what runs: what is there keeps its name, and its balancer as long as something is behind it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.spec import Plan
from supervisor.core.services.scaling import with_present_names

if TYPE_CHECKING:
    from supervisor.core.services.rollout import Rollout


def fitting(
    in_force: Plan,
    plan: Plan,
    instances: Mapping[str, Instance],
    removed: Collection[str],
    rollouts: Iterable[Rollout],
) -> Plan:
    """`plan` as it takes the place of the one in force.  `removed`: the instances that are no longer wanted."""
    if any(spec.is_balancer for spec in (*in_force.services, *plan.services)):
        from supervisor.core.services.balanced import with_fitting_balancer  # most daemons have none

        plan = with_fitting_balancer(in_force, plan, instances.values(), rollouts)
    return with_present_names(in_force, plan, instances.keys() - set(removed))
