"""Rollouts that run more instances than `replicas` for a while, in the small world of instances."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from supervisor.core.model.actions import Goal, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import ServiceSpec
from supervisor.core.services.rollout import Stage
from supervisor.core.services.scaling import scaled, without_surge
from supervisor.errors import OperationFailed
from tests.core.services.test_rollouts import Fleet, settle, web
from tests.core.services.test_service_set import spec

RULES: dict[str, Any] = {"settle": 10.0, "max_unavailable": 0, "max_surge": 1}


def one_more(version: str = "old", **keys: Any) -> ServiceSpec:
    rules = RULES | keys.pop("rules", {})
    return web(version, **({"rollout": rules, "restart": {"jitter": 0.0, "initial": 1.0}} | keys))


def names(fleet: Fleet) -> list[str]:
    return [i.name for i in fleet.service_set.instances.values() if i.spec.name == "web"]


def scale(fleet: Fleet, number: int) -> None:
    plan = scaled(fleet.service_set.plan, {"web": number})
    fleet.take(fleet.service_set.apply(plan, fleet.now, {}, scale=True)[1])


def test_one_runs_beside_the_others_until_the_last_has_settled() -> None:
    fleet = Fleet(one_more(), spec("other"))
    fleet.reload(one_more("new"), spec("other"))
    assert fleet.versions() == "old old old new" and fleet["web@4"].state is State.STARTING
    assert fleet["other"].incarnation == 1 and list(fleet.service_set.instances)[-1] == "other"
    assert fleet.service_set.names("web") == ["web@1", "web@2", "web@3", "web@4"]
    fleet.ready("web@4")
    assert fleet.versions() == "old old old new"
    shown = fleet.shown()
    assert (shown["instances"], shown["surge"], shown["max_surge"], shown["ready"]) == (3, ["web@4"], 1, 4)
    assert shown["waiting_for"] == ["web@4"]
    fleet.advance(10.0)
    assert fleet.versions() == "new old old new"
    for name in ("web@1", "web@2"):
        settle(fleet, name)
    fleet.ready("web@3")
    assert names(fleet) == ["web@1", "web@2", "web@3", "web@4"]
    fleet.advance(10.0)
    assert names(fleet) == ["web@1", "web@2", "web@3"] and fleet.versions() == "new new new"
    assert fleet.rollout.stage is Stage.FINISHED and fleet.service_set.plan.services[0].surge == 0
    assert fleet.told() == ["started", "advanced", "advanced", "advanced", "advanced", "finished"]
    done = [r.detail["done"] for r in fleet.records if r.cause is Cause.ROLLOUT_ADVANCED]
    assert done == [0, 1, 2, 3], "of three"
    assert [r.instance for r in fleet.records if r.cause is Cause.SURGE_OVER] == ["web@4"]
    assert "surge" not in fleet.shown()


def test_a_bad_release_fails_beside_the_others_and_touches_none() -> None:
    fleet = Fleet(one_more())
    fleet.reload(one_more("new"))
    fleet.dies("web@4", 3)
    assert fleet.rollout.stage is Stage.ROLLED_BACK and names(fleet) == ["web@1", "web@2", "web@3"]
    assert fleet.rollout.reason == "web@4: exited with code 3 before it was ready"
    assert [fleet[n].incarnation for n in names(fleet)] == [1, 1, 1] and fleet.versions() == "old old old"
    rollouts = fleet.service_set.rollouts
    assert rollouts is not None and all(fleet[n].current and rollouts.current(fleet[n]) for n in names(fleet))


@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("moment", range(6))
def test_a_later_daemon_goes_on(replicas: int, moment: int) -> None:
    fleet = Fleet(one_more(replicas=replicas))
    fleet.reload(one_more("new", replicas=replicas))
    for step in range(2 * replicas + 4):
        if step == moment:
            fleet = fleet.crash(one_more("new", replicas=replicas))
        for name in names(fleet):
            if fleet[name].state is State.STARTING:
                fleet.ready(name)
        assert sum(i.alive for i in fleet.service_set.instances.values()) <= replicas + 1
        assert sum(i.ready for i in fleet.service_set.instances.values()) >= replicas
        fleet.advance(10.0)
    assert fleet.rollout.stage is Stage.FINISHED and fleet.versions() == " ".join(["new"] * replicas)
    assert tuple(names(fleet)) == one_more(replicas=replicas).instances


def test_a_later_daemon_starts_what_was_only_decided() -> None:
    fleet = Fleet(one_more())
    fleet.reload(one_more("new"))
    del fleet.live["web@4"], fleet.service_set.instances["web@4"]
    after = fleet.crash(one_more("new"))
    assert after["web@4"].state is State.STARTING and after.versions() == "old old old new"


def test_a_single_instance_keeps_its_name() -> None:
    fleet = Fleet(one_more(replicas=1))
    fleet.reload(one_more("new", replicas=1))
    assert names(fleet) == fleet.service_set.names("web") == ["web", "web@2"]
    settle(fleet, "web@2")
    settle(fleet, "web")
    assert names(fleet) == ["web"] and fleet.rollout.stage is Stage.FINISHED


def test_another_reload_and_a_scale_in_the_middle() -> None:
    fleet = Fleet(one_more(), spec("other"))
    fleet.reload(one_more("new"), spec("other"))
    with pytest.raises(OperationFailed, match="web is being rolled out already"):
        scale(fleet, 5)
    fleet.reload(one_more("new"), spec("other", description="changed"))
    assert fleet["web@4"].goal is Goal.UP and fleet["web@4"].state is State.STARTING
    assert without_surge(fleet.service_set.plan).services[0].instances == ("web@1", "web@2", "web@3")
    settle(fleet, "web@4")
    assert fleet.versions().startswith("new old old new")


def test_dependants_do_not_wait_for_it() -> None:
    fleet = Fleet(one_more(), spec("shop", depends_on=("web",)))
    fleet.reload(one_more("new"), spec("shop", depends_on=("web",)))
    fleet.stop("shop")
    fleet.start("shop")
    assert fleet["shop"].state is State.RUNNING


def test_a_pause_a_stop_and_an_undo_in_the_middle() -> None:
    fleet = Fleet(one_more())
    fleet.reload(one_more("new"))
    settle(fleet, "web@4")
    fleet.steer("pause")
    settle(fleet, "web@1")
    assert fleet.versions() == "new old old new"
    fleet.steer("resume")
    fleet.advance(10.0)
    assert fleet.versions() == "new new old new"
    fleet.steer("undo")
    assert fleet.versions() == "new old old new", "web@2 was not ready"
    settle(fleet, "web@2")
    assert fleet.versions() == "old old old new"
    settle(fleet, "web@1")
    assert names(fleet) == ["web@1", "web@2", "web@3"] and fleet.rollout.stage is Stage.ROLLED_BACK


def test_one_that_the_user_stops_stays_down_and_is_missed() -> None:
    fleet = Fleet(one_more())
    fleet.reload(one_more("new"))
    fleet.stop("web@4")
    assert fleet["web@4"].state is State.STOPPED and fleet.versions() == "old old old new"
    fleet.start("web@4")
    settle(fleet, "web@4")
    assert fleet.versions() == "new old old new"
    fleet.stop()
    assert fleet.rollout.stage is Stage.FINISHED and names(fleet) == ["web@1", "web@2", "web@3"]
    assert {fleet[name].spec.command for name in names(fleet)} == {("new",)}


def test_a_halted_one_that_is_scaled_or_reloaded() -> None:
    """What ran beside the others becomes one of them where the number grows."""
    halting: dict[str, Any] = {"rules": {"on_failure": "halt"}}
    for by in ("scale", "reload"):
        fleet = Fleet(one_more(**halting))
        fleet.reload(one_more("bad", **halting))
        settle(fleet, "web@4")
        fleet.dies("web@1", 3)
        assert fleet.rollout.stage is Stage.HALTED and names(fleet)[3:] == ["web@4"]
        if by == "scale":
            scale(fleet, 4)
            assert fleet["web@4"].goal is Goal.UP and names(fleet)[3:] == ["web@4"]
            continue
        fleet.reload(one_more("good", replicas=4, **halting))
        for name in ("web@5", "web@1", "web@4", "web@2", "web@3"):
            settle(fleet, name)
        assert fleet.versions() == "good good good good", fleet.shown()


def test_an_undone_restart_lets_it_go() -> None:
    fleet = Fleet(one_more())
    fleet.take(fleet.service_set.roll(["web"], fleet.now))
    settle(fleet, "web@4")
    assert fleet["web@1"].state is State.STARTING
    fleet.steer("undo")
    assert fleet.rollout.stage is Stage.HALTED and names(fleet)[3:] == ["web@4"]
    fleet.ready("web@1")
    assert names(fleet)[3:] == [] and [fleet[n].incarnation for n in names(fleet)] == [2, 1, 1]


def test_a_removed_service_takes_it_along() -> None:
    fleet = Fleet(one_more(), spec("other"))
    fleet.reload(one_more("new"), spec("other"))
    with pytest.raises(OperationFailed):
        fleet.reload(replace(one_more("new"), description="x"), spec("other"))
    fleet.reload(spec("other"))
    assert names(fleet) == []


def test_the_way_back_to_fewer_ports_and_forth_again() -> None:
    slow: dict[str, Any] = {"restart": {"jitter": 0.0, "initial": 1.0}}
    few = web(replicas=3, ports=(1000, 1002), **slow)
    more = web("new", replicas=4, ports=(2000, 2007), **slow)
    fleet = Fleet(few)
    fleet.reload(more)
    assert names(fleet)[3:] == ["web@4"]
    fleet.dies("web@4", 3)
    assert names(fleet) == ["web@1", "web@2", "web@3"] and fleet.versions() == "old old old"
    assert fleet.rollout.stage is Stage.ROLLED_BACK
    assert "the previous ports = 1000-1002 hold 3 of 4 instances" in fleet.problems()[0]
    fleet.reload(more)
    for name in ("web@4", "web@1", "web@2", "web@3"):
        settle(fleet, name)
    assert fleet.versions() == "new new new new"
    fleet.steer("undo")
    assert names(fleet) == ["web@1", "web@2", "web@3"]
    fleet.dies("web@1", 3)
    assert fleet["web@4"].goal is Goal.UP and fleet["web@4"].spec.command == ("new",)


# -- fewer instances by `scale` --------------------------------------------------------------------------------------


def test_fewer_instances_never_leave_fewer_ready_than_min_ready() -> None:
    fleet = Fleet(web(replicas=6, min_ready=2))
    fleet.dies("web@1")
    fleet.dies("web@2")
    scale(fleet, 3)
    assert fleet["web@6"].goal is Goal.DOWN
    alive = [name for name in names(fleet) if fleet[name].ready]
    assert alive == ["web@3", "web@6"], "one of those that leave is kept"
    fleet.ready("web@1")
    assert names(fleet) == ["web@1", "web@2", "web@3"]


def test_what_leaves_is_kept_for_nothing_that_is_stopped() -> None:
    for order in ("stop", "down", "away"):
        fleet = Fleet(web(replicas=3, min_ready=1), spec("shop", depends_on=("web",)))
        fleet.dies("web@1")
        scale(fleet, 1)
        assert [name for name in names(fleet) if fleet[name].ready] == ["web@3"]
        if order == "stop":
            fleet.stop("web@1")
        elif order == "away":
            fleet.reload(spec("shop"))
        else:
            fleet.take(fleet.service_set.shutdown(fleet.now))
        assert not any(i.alive for i in fleet.service_set.instances.values() if i.spec.name == "web"), order


def test_those_that_ran_beside_the_others_are_dropped_together_and_then_forgotten() -> None:
    """What a daemon has saved of the first that ended must go too, though it has no record any more."""
    fleet = Fleet(one_more(replicas=2, rules={"max_surge": 2}))
    fleet.reload(one_more("new", replicas=2, rules={"max_surge": 2}))
    fleet.obedient = False
    for name in ("web@3", "web@4"):
        fleet.ready(name)
    fleet.dies("web@3", 3)
    assert fleet["web@4"].state is State.STOPPING and names(fleet) == ["web@1", "web@2", "web@3", "web@4"]
    assert fleet.service_set.taken_dropped() == set()
    fleet.records.clear()
    fleet.dies("web@4", 0)
    assert names(fleet) == ["web@1", "web@2"] and "web@3" not in {r.instance for r in fleet.records}
    assert fleet.service_set.taken_dropped() == {"web@3", "web@4"}
    assert fleet.service_set.taken_dropped() == set(), "once"
