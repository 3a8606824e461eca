"""Puts a changed plan in force: in `supervisor reload`, and at a start after the file was edited."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Protocol

from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action
from supervisor.core.model.spec import Plan
from supervisor.core.services.scaling import without_surge
from supervisor.core.services.service_set import By, ServiceSet

if TYPE_CHECKING:
    from supervisor.core.services.plan_diff import Difference


class EngineOrders(Protocol):
    """What a reload needs of the engine."""

    def order(self, actions: list[Action]) -> None: ...


class Reloadable(Protocol):
    """What a reload needs of the daemon.  `keep_plan` saves the plan for a later daemon and raises OSError."""

    @property
    def service_set(self) -> ServiceSet: ...

    @property
    def engine(self) -> EngineOrders: ...

    def now(self) -> float: ...

    def keep_plan(self, plan: Plan) -> None: ...

    def keep_rollouts(self) -> None:
        """Save the rollouts for a later daemon."""

    def forget(self, instances: AbstractSet[str]) -> None:
        """Remove what is saved of instances that no longer exist, at once."""

    def keep_logs_as_specified(self) -> None:
        """Let logs that are being written follow the plan."""

    def problem(self, message: str) -> None: ...


def put_in_force(daemon: Reloadable, plan: Plan, by: By = ev.NOTHING, *, scale: bool = False) -> Difference:
    """Replace the plan; services that did not change are not touched.  `by`: the giver of the order.  `scale`: only
    numbers of replicas changed.  OperationFailed where a service that changed is being rolled out.

    All is saved before anything is done, so that after a crash in between the next daemon continues with it.  The
    rollouts come first: they say which definition is in force.  What was saved of removed instances goes next: else one
    that is added again under its name would be restored from it after a crash.  The plan of a changed file follows the
    records of the restarts that it needs: without them a later daemon would take the processes for those of the new
    plan, while under the earlier one it finds the change once more.  Numbers that an order sets stand in no file, so
    they are saved before the instances that they concern."""
    before = set(daemon.service_set.instances)
    change, actions = daemon.service_set.apply(plan, daemon.now(), by, scale=scale)
    daemon.keep_rollouts()
    if scale:
        _keep_plan_in_force(daemon)
    daemon.forget(before - daemon.service_set.instances.keys())
    daemon.engine.order(actions)
    if not scale:
        _keep_plan_in_force(daemon)  # with what followed: without balanced services HAProxy leaves the plan
    daemon.keep_logs_as_specified()
    return change


def _keep_plan_in_force(daemon: Reloadable) -> None:
    keep_plan(daemon, daemon.service_set.with_running_services(daemon.service_set.plan))


def keep_plan(daemon: Reloadable, plan: Plan) -> None:
    """Save the plan for a later daemon, to which the rollouts tell how many instances run beside the others.
    Supervision does not depend on it, so a full disk is only reported."""
    try:
        daemon.keep_plan(without_surge(plan))
    except OSError as error:
        daemon.problem(f"the plan in force cannot be saved: {error}")
