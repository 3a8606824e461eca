"""Puts a changed plan in force: in `supervisor reload`, and at a start after the file was edited."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from functools import partial
from typing import TYPE_CHECKING, Protocol

from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action
from supervisor.core.model.spec import Plan
from supervisor.core.services.scaling import without_surge
from supervisor.core.services.service_set import By, ServiceSet

if TYPE_CHECKING:
    from supervisor.core.services.plan_diff import Difference
    from supervisor.daemon.previous_run import PreviousRun


PAUSE = 1.0
"""Seconds between two savings of the plan while removed services end: a plan of a thousand services takes 30 ms."""


class EngineOrders(Protocol):
    """What a reload needs of the engine."""

    def order(self, actions: list[Action]) -> None: ...


class Written(Protocol):
    """What a reload needs of the ledger."""

    @property
    def behind(self) -> bool:
        """The disk has not taken everything."""
        ...


class Reloadable(Protocol):
    """What a reload needs of the daemon.  `keep_plan` saves the plan for a later daemon and raises OSError."""

    @property
    def service_set(self) -> ServiceSet: ...

    @property
    def engine(self) -> EngineOrders: ...

    @property
    def ledger(self) -> Written: ...

    @property
    def previous_run(self) -> PreviousRun: ...

    def now(self) -> float: ...

    def later(self, seconds: float, callback: Callable[[], None]) -> None: ...

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
    plan, while under the earlier one it finds the change once more.  Where a full disk does not take them, the plan has
    the earlier definition of these services until their processes have ended.  Numbers that an order sets stand in no
    file, so they are saved before the instances that they concern."""
    before = set(daemon.service_set.instances)
    change, actions = daemon.service_set.apply(plan, daemon.now(), by, scale=scale)
    daemon.keep_rollouts()
    if scale:
        keep_plan_in_force(daemon)
    daemon.forget(before - daemon.service_set.instances.keys())
    daemon.engine.order(actions)
    if not scale:
        keep_plan_in_force(daemon)  # with what followed: without balanced services HAProxy leaves the plan
    daemon.keep_logs_as_specified()
    return change


def keep_plan_in_force(daemon: Reloadable) -> None:
    """Save the plan in force for a later daemon, as the ledger tells what runs."""
    service_set, unwritten = daemon.service_set, daemon.ledger.behind
    plan = service_set.plan_to_keep(unwritten=unwritten)
    daemon.previous_run.plan_behind = unwritten and plan != service_set.plan_to_keep()
    keep_plan(daemon, plan)


def keep_without_ended(daemon: Reloadable) -> None:
    """Some removed instances have ended: save the plan without the services of which none is left.  Called before what
    was saved of them goes: where the file is refused, a later daemon would start what it knows only from the plan.

    While others have yet to end, it is done for all of them once in a while."""
    previous, service_set = daemon.previous_run, daemon.service_set
    if previous.kept is None or (previous.plan_due and service_set.removed):
        return
    there = {s.name for s in service_set.plan.services} | {i.spec.name for i in service_set.instances.values()}
    if all(spec.name in there for spec in previous.kept.services):
        return
    from supervisor.core.services.kept_plan import only

    keep_plan(daemon, only(previous.kept, there))
    if service_set.removed:
        previous.plan_due = True
        daemon.later(PAUSE, partial(_keep_without_ended_again, daemon))


def _keep_without_ended_again(daemon: Reloadable) -> None:
    daemon.previous_run.plan_due = False
    keep_without_ended(daemon)


def keep_plan(daemon: Reloadable, plan: Plan) -> None:
    """Save the plan for a later daemon, to which the rollouts tell how many instances run beside the others.
    Supervision does not depend on it, so a full disk is only reported."""
    try:
        daemon.keep_plan(without_surge(plan))
    except OSError as error:
        daemon.problem(f"the plan in force cannot be saved: {error}")
