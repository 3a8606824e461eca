"""Rollouts that meet other orders and edits: a maintenance, another number of replicas, a removed dependency."""

from __future__ import annotations

from dataclasses import replace

import pytest

from supervisor.core.model import events as ev
from supervisor.core.model.actions import State
from supervisor.core.services.rollout import Stage
from supervisor.core.services.scaling import scaled
from tests.core.services.test_rollouts import BY, Fleet, settle, web
from tests.core.services.test_service_set import spec


def leave_alone(fleet: Fleet, *names: str) -> None:
    order = ev.BeginMaintenance(at=fleet.now, by=BY)
    fleet.take(fleet.service_set.begin_maintenance(names, fleet.now, order))


def supervise(fleet: Fleet, *names: str) -> None:
    fleet.take(fleet.service_set.end_maintenance(names, fleet.now, BY))


# -- maintenance -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["reload", "restart"])
def test_what_is_left_alone_is_replaced_when_that_is_over(order: str) -> None:
    fleet = Fleet(web())
    leave_alone(fleet, "web@1")
    if order == "reload":
        fleet.reload(web("new"))
    else:
        fleet.take(fleet.service_set.roll(["web"], fleet.now, BY))
    settle(fleet, "web@2")
    settle(fleet, "web@3")
    assert fleet["web@1"].state is State.RUNNING and fleet["web@1"].incarnation == 1
    assert fleet.rollout.stage is Stage.RUNNING and fleet.shown()["waiting_for"] == ["web@1"]
    supervise(fleet, "web@1")
    settle(fleet, "web@1")
    assert fleet["web@1"].incarnation == 2 and fleet.rollout.stage is Stage.FINISHED


def test_an_undo_ends_the_waiting_for_what_is_left_alone() -> None:
    fleet = Fleet(web())
    leave_alone(fleet, "web@1")
    fleet.reload(web("new"))
    fleet.steer("undo")
    settle(fleet, "web@2")
    assert fleet.rollout.stage is Stage.ROLLED_BACK and fleet["web@1"].incarnation == 1


def test_nothing_follows_from_what_a_replaced_one_does_while_it_is_left_alone() -> None:
    fleet = Fleet(web())
    fleet.reload(web("new"))
    leave_alone(fleet, "web@1")
    fleet.dies("web@1", 3)
    fleet.advance(100.0)
    assert fleet.rollout.stage is Stage.RUNNING and fleet["web@1"].state is State.EXITED
    supervise(fleet, "web@1")
    assert fleet.rollout.stage is Stage.ROLLING_BACK
    assert fleet["web@1"].state is State.STARTING and fleet["web@1"].running_spec.command == ("old",)


def test_it_settles_after_the_maintenance() -> None:
    fleet = Fleet(web())
    fleet.reload(web("new"))
    leave_alone(fleet, "web@1")
    settle(fleet, "web@1")
    assert fleet.told() == ["started"]
    supervise(fleet, "web@1")
    fleet.advance(9.0)
    assert fleet.told() == ["started"]
    fleet.advance(1.0)
    assert fleet.told() == ["started", "advanced"]


def test_a_replacement_that_has_begun_is_finished_in_maintenance() -> None:
    fleet = Fleet(web())
    fleet.obedient = False
    fleet.reload(web("new"))
    leave_alone(fleet, "web@1")
    fleet.dies("web@1", 0)
    assert fleet.live["web@1"] == 2 and fleet.versions() == "new old old"


# -- the plan as a whole ---------------------------------------------------------------------------------------------


def test_what_is_not_replaced_yet_no_longer_waits_for_a_removed_dependency() -> None:
    fleet = Fleet(spec("db"), web(depends_on=("db",)))
    fleet.reload(web("new"))
    fleet.dies("web@3")
    fleet.advance(1.0)
    assert fleet["web@3"].incarnation == 2 and fleet.versions() == "new old old"


def test_what_a_rollback_did_not_touch_has_the_number_of_replicas_in_force() -> None:
    fleet = Fleet(web(replicas=4))
    fleet.reload(web("new"))
    fleet.steer("undo")
    settle(fleet, "web@1")
    assert fleet.service_set.rollouts is not None and fleet.rollout.stage is Stage.ROLLED_BACK
    assert all(map(fleet.service_set.rollouts.current, fleet.service_set.instances.values()))


# -- scale -----------------------------------------------------------------------------------------------------------


def scale(fleet: Fleet, number: int) -> None:
    plan = scaled(fleet.service_set.plan, {"web": number})
    fleet.take(fleet.service_set.apply(plan, fleet.now, BY, scale=True)[1])


def test_a_scale_after_a_rollback_does_not_bring_the_rejected_definition_back() -> None:
    old, new = web(), web("new")
    fleet = Fleet(old)
    fleet.reload(new)
    fleet.dies("web@1", 3)
    settle(fleet, "web@1")
    scale(fleet, 4)
    assert fleet.problems() and fleet.versions() == "old old old old"
    assert fleet.service_set.rollouts is not None
    assert list(fleet.service_set.rollouts.retried(fleet.plan, fleet.now)) == []
    assert list(fleet.service_set.rollouts.retried(replace(fleet.plan, services=(new,)), fleet.now)) == ["web"]
    after = fleet.crash(new)
    assert after.versions() == "old old old old" and after.problems()
    after.reload(new)
    assert after.rollout.stage is Stage.RUNNING and "web@4" not in after.live


def test_a_scale_of_a_halted_rollout_keeps_both_definitions() -> None:
    halt = {"settle": 10.0, "on_failure": "halt"}
    fleet = Fleet(web(rollout=halt), spec("other"))
    fleet.reload(web("new", rollout=halt), spec("other"))
    fleet.dies("web@1", 3)
    scale(fleet, 4)
    assert fleet.rollout.stage is Stage.HALTED and fleet.versions() == "new old old new"
    fleet = fleet.crash()
    fleet.steer("undo")
    for name in ("web@1", "web@4"):
        settle(fleet, name)
    assert fleet.rollout.stage is Stage.ROLLED_BACK and fleet.versions() == "old old old old"


def test_an_undo_after_a_scale_keeps_the_number() -> None:
    fleet = Fleet(web(), spec("other"))
    fleet.reload(web("new"), spec("other"))
    for name in ("web@1", "web@2", "web@3"):
        settle(fleet, name)
    plan = scaled(fleet.service_set.plan, {"web": 2, "other": 2})
    fleet.take(fleet.service_set.apply(plan, fleet.now, BY, scale=True)[1])
    fleet.steer("undo")
    settle(fleet, "web@1")
    settle(fleet, "web@2")
    assert fleet.versions() == "old old" and fleet.rollout.stage is Stage.FINISHED and "other@2" in fleet.live


@pytest.mark.parametrize("there", [1, 3])
def test_a_rollout_of_a_service_whose_first_instance_has_its_own_name(there: int) -> None:
    """1 → 3 → 1 with the same first instance; a rollout meets it in between or afterwards, and is undone."""
    fleet = Fleet(web(replicas=1))
    scale(fleet, 3)
    for name in ("web@2", "web@3"):
        fleet.ready(name)
    if there == 1:
        scale(fleet, 1)
    names = [i.name for i in fleet.service_set.instances.values()]
    assert names == ["web", "web@2", "web@3"][:there]
    fleet.take(fleet.service_set.roll(["web"], fleet.now, BY))
    fleet = fleet.crash()
    for name in names:
        settle(fleet, name)
    assert fleet.rollout.stage is Stage.FINISHED and all(fleet[name].incarnation == 2 for name in names)
    scale(fleet, 2)
    assert next(iter(fleet.live)) == "web" and set(fleet.live) == {"web", "web@2"}
