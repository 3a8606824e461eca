"""Puts a changed plan in force: in `supervisor reload`, and at a start after the file was edited."""

from __future__ import annotations

from typing import Protocol

from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action
from supervisor.core.model.spec import Plan
from supervisor.core.services.plan_diff import Difference
from supervisor.core.services.service_set import By, ServiceSet


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

    def keep_logs_as_specified(self) -> None:
        """Let logs that are being written follow the plan."""

    def problem(self, message: str) -> None: ...


def put_in_force(daemon: Reloadable, plan: Plan, by: By = ev.NOTHING) -> Difference:
    """Replace the plan; services that did not change are not touched.  `by`: the giver of the order.

    The plan is saved first, so that after a crash in between the next daemon continues with it."""
    keep_plan(daemon, daemon.service_set.with_running_services(plan))
    change, actions = daemon.service_set.apply(plan, daemon.now(), by)
    daemon.engine.order(actions)
    daemon.keep_logs_as_specified()
    return change


def keep_plan(daemon: Reloadable, plan: Plan) -> None:
    """Save the plan for a later daemon.  Supervision does not depend on it, so a full disk is only reported."""
    try:
        daemon.keep_plan(plan)
    except OSError as error:
        daemon.problem(f"the plan in force cannot be saved: {error}")
