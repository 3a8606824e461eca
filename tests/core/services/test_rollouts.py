"""Rollouts in the small world of instances: what begins one, what it does to plan and instances, and what a later
daemon makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from supervisor.core.model import events as ev
from supervisor.core.model.actions import State
from supervisor.core.model.causes import ROLLOUT, Cause
from supervisor.core.model.spec import Plan, RolloutSpec, ServiceSpec
from supervisor.core.services.rollout import UNKNOWN, Stage, read
from supervisor.core.services.rollouts import services_of
from supervisor.core.services.service_set import ServiceSet
from supervisor.errors import OperationFailed, UsageError
from tests.core.services.test_service_set import World, spec

BY = {"uid": 0, "user": "root", "pid": 7, "command": ["supervisor", "reload"]}
FAST: dict[str, Any] = {"jitter": 0.0, "initial": 0.0}


def web(version: str = "old", **keys: Any) -> ServiceSpec:
    keys = {"replicas": 3, "ready": {"tcp": "x"}, "rollout": {"settle": 10.0}, "restart": FAST} | keys
    return replace(spec("web", **keys), command=(version,))


class Fleet(World):
    """A world whose services are released.  `serial` makes the ids of rollouts."""

    def __init__(self, *services: ServiceSpec) -> None:
        super().__init__(*services)
        numbers: Iterator[float] = iter(n / 2**32 for n in range(1, 1000))
        self.service_set._rng = lambda: next(numbers)
        self.start()
        for name in self.service_set.instances:
            self.ready(name)

    def reload(self, *services: ServiceSpec) -> None:
        _, actions = self.service_set.apply(replace(self.plan, services=services), self.now, BY)
        self.take(actions)

    def steer(self, verb: str) -> None:
        self.take(self.service_set.steer(verb, "web", self.now, BY))

    @property
    def rollout(self) -> Any:
        assert self.service_set.rollouts is not None
        return self.service_set.rollouts.by_service["web"]

    def versions(self) -> str:
        return " ".join(i.running_spec.command[0] for i in self.service_set.instances.values() if i.spec.name == "web")

    def told(self) -> list[str]:
        return [r.cause.value.removeprefix("rollout-") for r in self.records if r.cause in ROLLOUT]

    def problems(self) -> list[str]:
        assert self.service_set.rollouts is not None
        return self.service_set.rollouts.problems(self.now)

    def shown(self) -> Any:
        assert self.service_set.rollouts is not None
        (found,) = self.service_set.rollouts.shown(self.now)
        return found

    def crash(self, *services: ServiceSpec) -> Fleet:
        """Another service set takes over what the ledger and the runtime directory hold, under the file `services`."""
        saved = {name: i.snapshot(self.now) for name, i in self.service_set.instances.items()}
        kept = [read(one) for one in self.service_set.saved_rollouts()]
        after = Fleet.__new__(Fleet)
        World.__init__(after, *self.service_set.plan.services)
        after.now, after.live, after.records, after.obedient = self.now, self.live, self.records, self.obedient
        after.service_set = ServiceSet(after.plan, self.service_set._rng, kept)
        for name, one in saved.items():
            after.service_set.restore(name, one, crashed=True)
        found: dict[str, ev.Adopted | ev.NotFoundOnAdoption] = {
            name: ev.Adopted(i.incarnation, 1000, 5.0)
            if name in self.live
            else ev.NotFoundOnAdoption(i.incarnation, True)
            for name, i in after.service_set.instances.items()
            if i.alive
        }
        after.take(after.service_set.resume(found, after.now))
        plan: Plan = replace(after.plan, services=services or self.service_set.plan.services)
        if after.service_set.rollouts is not None:
            plan = after.service_set.rollouts.held_back(plan)
        if plan.services != after.service_set.plan.services:
            after.take(after.service_set.apply(plan, after.now)[1])
        return after


def settle(fleet: Fleet, name: str) -> None:
    fleet.ready(name)
    fleet.advance(10.0)


def test_a_changed_service_is_replaced_one_after_the_other() -> None:
    fleet = Fleet(web(), spec("other"))
    fleet.reload(web("new"), spec("other"))
    assert fleet.versions() == "new old old" and fleet["web@1"].state is State.STARTING
    assert (fleet["other"].incarnation, fleet["web@2"].incarnation) == (1, 1)
    fleet.ready("web@1")
    fleet.advance(9.9)
    assert fleet.versions() == "new old old"
    rollouts, instances = fleet.service_set.rollouts, fleet.service_set.instances
    assert rollouts is not None
    assert [name for name, i in instances.items() if not rollouts.current(i)] == ["web@2", "web@3"]
    assert fleet.shown()["waiting_for"] == ["web@1"] and fleet.shown()["changed"] == ["command"]
    fleet.advance(0.1)
    assert fleet.versions() == "new new old"
    settle(fleet, "web@2")
    settle(fleet, "web@3")
    assert fleet.versions() == "new new new"
    assert fleet.told() == ["started", "advanced", "advanced", "advanced", "finished"]
    assert fleet.rollout.stage is Stage.FINISHED
    assert fleet.service_set.rollouts is not None and fleet.service_set.rollouts.deadline is None
    assert fleet.problems() == [] and fleet.shown()["state"] == "finished"
    moved = next(r for r in fleet.records if r.cause is Cause.ROLLED_OUT)
    assert moved.detail["by"] == BY


def test_without_a_rollout_all_are_restarted_at_once() -> None:
    fleet = Fleet(web(rollout=None))
    fleet.reload(web("new", rollout=None))
    assert fleet.service_set.rollouts is None and fleet.versions() == "new new new"


def test_a_change_that_needs_no_process_begins_no_rollout() -> None:
    fleet = Fleet(web())
    fleet.reload(web(description="new"))
    assert fleet.service_set.rollouts is None


def test_what_does_not_run_takes_the_definition_at_once() -> None:
    fleet = Fleet(web())
    fleet.stop()
    fleet.reload(web("new"))
    assert fleet.service_set.rollouts is None
    fleet.start()
    assert fleet.versions() == "new new new"


def test_one_that_the_user_stopped_stays_down() -> None:
    fleet = Fleet(web())
    fleet.stop("web@3")
    fleet.reload(web("new"))
    settle(fleet, "web@1")
    settle(fleet, "web@2")
    assert fleet.rollout.stage is Stage.FINISHED and fleet["web@3"].state is State.STOPPED
    assert fleet["web@3"].spec.command == ("new",)


def test_a_bad_definition_is_rolled_back_and_not_taken_again_by_itself() -> None:
    old, new = web(), web("new")
    fleet = Fleet(old)
    fleet.reload(new)
    settle(fleet, "web@1")
    fleet.dies("web@2", 3)
    assert fleet.told() == ["started", "advanced", "failed"] and fleet.rollout.stage is Stage.ROLLING_BACK
    assert fleet.rollout.reason == "web@2: exited with code 3 before it was ready"
    assert fleet["web@2"].spec.command == ("old",) and fleet.versions() == "new old old"
    assert fleet.service_set.plan.service("web") == old
    settle(fleet, "web@2")
    settle(fleet, "web@1")
    assert fleet.versions() == "old old old" and fleet.rollout.stage is Stage.ROLLED_BACK
    assert all(i.current for i in fleet.service_set.instances.values()), "also those that it did not touch"
    (problem,) = fleet.problems()
    assert problem.startswith("web: rolled back 0 s ago (web@2: exited with code 3 before it was ready); it runs")
    assert fleet.service_set.difference(replace(fleet.plan, services=(new,))).rolled == {"web"}
    assert fleet.service_set.rollouts is not None
    assert list(fleet.service_set.rollouts.retried(replace(fleet.plan, services=(new,)), fleet.now)) == ["web"]
    after = fleet.crash(new)
    assert after.versions() == "old old old" and after.problems()
    other = fleet.crash(web("newer"))
    assert other.rollout.stage is Stage.RUNNING and other["web@1"].spec.command == ("newer",)
    after.service_set.rollouts and after.service_set.rollouts.filed(replace(fleet.plan, services=(old,)))
    assert after.problems() == []


def test_one_that_is_suspected_while_it_settles_fails_the_rollout() -> None:
    fleet = Fleet(web())
    fleet.reload(web("new"))
    fleet.ready("web@1")
    fleet.advance(1.0)
    fleet.post("web@1", ev.Triggered(2))
    assert fleet.rollout.stage is Stage.ROLLING_BACK
    assert fleet.rollout.reason == "web@1: reported that it hangs (WATCHDOG=trigger)"


def test_one_that_is_not_ready_in_time_fails_the_rollout() -> None:
    fleet = Fleet(web(start_timeout=5.0))
    fleet.reload(web("new", start_timeout=5.0))
    fleet.advance(5.0)
    assert fleet.rollout.reason.startswith("web@1: not ready")


def test_a_halt_leaves_everything_and_can_be_resumed_or_undone() -> None:
    rules = {"settle": 10.0, "on_failure": "halt"}
    fleet = Fleet(web(rollout=rules))
    fleet.reload(web("new", rollout=rules))
    fleet.dies("web@1")
    assert fleet.rollout.stage is Stage.HALTED and fleet["web@1"].spec.command == ("new",)
    (problem,) = fleet.problems()
    assert "halted" in problem and "rollout undo web" in problem
    with pytest.raises(OperationFailed, match="cannot be paused: it is halted"):
        fleet.steer("pause")
    halted = fleet.crash()
    assert halted.rollout.stage is Stage.HALTED
    assert [i.spec.command[0] for i in halted.service_set.instances.values()] == ["new", "old", "old"]
    runs = fleet["web@1"].incarnation
    fleet.steer("resume")
    assert fleet.rollout.stage is Stage.RUNNING and fleet["web@1"].incarnation == runs + 1
    fleet.steer("undo")
    assert fleet.rollout.stage is Stage.ROLLING_BACK
    settle(fleet, "web@1")
    assert fleet.versions() == "old old old" and fleet.rollout.reason == "undone by an order"


def test_another_definition_takes_over_from_a_halted_rollout() -> None:
    rules = {"settle": 10.0, "on_failure": "halt"}
    fleet = Fleet(web(rollout=rules))
    fleet.reload(web("bad", rollout=rules))
    fleet.dies("web@1")
    fleet.reload(web("good", rollout=rules))
    assert (fleet.rollout.wanted.command, fleet.rollout.previous.command) == (("good",), ("old",))
    for name in ("web@1", "web@2", "web@3"):
        settle(fleet, name)
    assert fleet.versions() == "good good good"


def test_two_rollouts_of_one_service_are_one_too_many() -> None:
    fleet = Fleet(web(), spec("other"))
    fleet.reload(web("new"), spec("other"))
    for attempt in (
        lambda: fleet.reload(web("newer"), spec("other")),
        lambda: fleet.service_set.roll(["web"], fleet.now),
    ):
        with pytest.raises(OperationFailed, match="web is being rolled out already: a reload, ordered by root, with"):
            attempt()
    assert fleet.service_set.plan.services[0].command == ("new",)
    fleet.steer("pause")
    with pytest.raises(OperationFailed, match="paused already"):
        fleet.steer("pause")
    with pytest.raises(OperationFailed, match=", paused"):
        fleet.reload(web("newer"), spec("other"))
    fleet.reload(web("new"), spec("other", description="x"))
    fleet.steer("undo")
    with pytest.raises(OperationFailed, match="being rolled back"):
        fleet.reload(web("newer"), spec("other", description="x"))
    with pytest.raises(OperationFailed, match="on its previous definition, or on the way to it"):
        fleet.steer("undo")
    with pytest.raises(OperationFailed, match="neither paused nor halted"):
        fleet.steer("resume")


def test_nothing_happens_while_it_is_paused() -> None:
    fleet = Fleet(web())
    fleet.reload(web("new"))
    fleet.steer("pause")
    settle(fleet, "web@1")
    fleet.advance(100.0)
    assert fleet.versions() == "new old old" and fleet.shown()["paused"]
    fleet.steer("resume")
    assert fleet.told() == ["started", "paused", "resumed"], "it settles from the moment at which it is looked at"
    fleet.advance(10.0)
    assert fleet.versions() == "new new old"


def test_an_undo_of_a_finished_rollout_and_back() -> None:
    old, new = web(replicas=1), web("new", replicas=1)
    fleet = Fleet(old)
    fleet.reload(new)
    settle(fleet, "web")
    fleet.steer("undo")
    settle(fleet, "web")
    assert fleet.versions() == "old" and fleet.rollout.stage is Stage.FINISHED
    (problem,) = fleet.problems()
    assert "taken back 0 s ago by an undo" in problem
    assert fleet.crash(new).versions() == "old"
    fleet.steer("undo")
    settle(fleet, "web")
    assert fleet.versions() == "new" and fleet.problems() == []


@pytest.mark.parametrize("verb", ["restart", "reload"])
def test_what_follows_a_halted_rollout_goes_back_to_what_worked(verb: str) -> None:
    """A rolling restart of the halted definition forgot the one before, which some still ran."""
    rules = {"settle": 10.0, "on_failure": "halt"}
    fleet = Fleet(web(rollout=rules))
    fleet.reload(web("bad", rollout=rules))
    fleet.dies("web@1")
    if verb == "restart":
        fleet.take(fleet.service_set.roll(["web"], fleet.now, BY))
    else:
        fleet.reload(web("worse", rollout=rules))
    halted = {"restart": "bad", "reload": "worse"}[verb]
    fleet.dies("web@1")
    assert fleet.rollout.stage is Stage.HALTED and fleet.versions() == f"{halted} old old"
    assert fleet.crash(web(halted, rollout=rules)).versions() == f"{halted} old old"
    assert "takes it back" in fleet.problems()[0]
    fleet.steer("undo")
    settle(fleet, "web@1")
    assert fleet.rollout.stage is Stage.ROLLED_BACK and fleet.versions() == "old old old"


def test_one_with_a_halted_definition_is_replaced_on_the_way_back_too() -> None:
    """It was not yet replaced by the next definition, and has neither that nor the one to go back to."""
    rules = {"settle": 10.0, "on_failure": "halt"}
    fleet = Fleet(web(rollout=rules))
    fleet.reload(web("bad", rollout=rules))
    settle(fleet, "web@1")
    fleet.dies("web@2")
    fleet.ready("web@2")
    fleet.reload(web("worse", rollout=rules))
    assert fleet.versions() == "worse bad old"
    fleet.dies("web@1")
    fleet.steer("undo")
    settle(fleet, "web@1")
    settle(fleet, "web@2")
    assert fleet.rollout.stage is Stage.ROLLED_BACK and fleet.versions() == "old old old"


def test_a_rolling_restart() -> None:
    fleet = Fleet(web(rollout=None), spec("job", type="oneshot"))
    fleet.take(fleet.service_set.roll(["web"], fleet.now, BY))
    settle(fleet, "web@1")
    settle(fleet, "web@2")
    fleet.steer("undo")
    assert fleet.rollout.stage is Stage.HALTED and fleet.rollout.reason == "ended by an undo"
    assert [fleet[f"web@{n}"].incarnation for n in (1, 2, 3)] == [2, 2, 2]
    assert "takes it back" not in fleet.problems()[0]
    with pytest.raises(OperationFailed, match="nothing to undo: the last rollout of web was a restart"):
        fleet.steer("undo")
    fleet.take(fleet.service_set.roll(["web"], fleet.now))
    assert fleet.shown()["changed"] == [] and fleet.shown()["by"] == {}


def test_a_restart_keeps_in_mind_that_the_file_was_rejected() -> None:
    fleet = Fleet(web())
    fleet.reload(web("new"))
    fleet.steer("undo")
    settle(fleet, "web@1")
    assert fleet.rollout.stage is Stage.ROLLED_BACK
    fleet.take(fleet.service_set.roll(["web"], fleet.now))
    for name in ("web@1", "web@2", "web@3"):
        settle(fleet, name)
    assert fleet.rollout.deviates and fleet.crash(web("new")).versions() == "old old old"


def test_which_services_a_rolling_restart_means() -> None:
    fleet = Fleet(web(), spec("job", type="oneshot"), spec("down"))
    fleet.stop("down")
    instances = fleet.service_set.instances
    assert services_of(list(instances), instances, named=False) == ["web"]
    assert services_of(["down"], instances, named=True) == []
    with pytest.raises(UsageError, match="takes whole services: web"):
        services_of(["web@2"], instances, named=True)
    with pytest.raises(UsageError, match="job is a oneshot"):
        services_of(["job"], instances, named=True)


def test_a_service_that_was_never_rolled_out_cannot_be_steered() -> None:
    fleet = Fleet(web())
    with pytest.raises(OperationFailed, match="web has not been rolled out"):
        fleet.steer("undo")


def test_instances_that_a_reload_adds_have_the_definition_from_the_beginning() -> None:
    fleet = Fleet(web())
    fleet.reload(web("new", replicas=4))
    assert fleet["web@4"].spec.command == ("new",) and fleet["web@4"].incarnation == 1
    assert fleet.versions() == "old old old new", "the added one is the first to be tried"
    settle(fleet, "web@4")
    assert fleet.versions() == "new old old new"


def test_a_service_that_is_removed_or_changed_otherwise_has_no_rollout_any_more() -> None:
    fleet = Fleet(web(), spec("other"))
    fleet.reload(web("new"), spec("other"))
    fleet.reload(spec("other"))
    assert fleet.service_set.rollouts is not None and not fleet.service_set.rollouts.by_service
    done = Fleet(web(replicas=1))
    done.reload(web("new", replicas=1))
    settle(done, "web")
    done.reload(web("newer", replicas=1, rollout=None))
    assert done.service_set.rollouts is not None and not done.service_set.rollouts.by_service


def test_a_reload_that_adds_to_another_service_leaves_a_rollout_alone() -> None:
    fleet = Fleet(web(), spec("other"))
    fleet.reload(web("new"), spec("other"))
    fleet.reload(web("new"), spec("other", replicas=3))
    assert fleet["other@2"].revision == "" and fleet.rollout.stage is Stage.RUNNING
    after = fleet.crash()
    assert after["other"].spec.replicas == 3


def test_a_shutdown_ends_every_move() -> None:
    fleet = Fleet(web())
    fleet.reload(web("new"))
    fleet.take(fleet.service_set.shutdown(fleet.now))
    fleet.advance(100.0)
    assert fleet.versions() == "new old old" and not fleet.live
    assert not fleet.service_set.difference(replace(fleet.plan, services=(web("newer"),))).rolled


@pytest.mark.parametrize("bad", [False, True])
@pytest.mark.parametrize("after", range(12))
def test_a_later_daemon_goes_on_wherever_the_crash_came(after: int, bad: bool) -> None:
    """A crash after so many seconds, in the middle of a stop too."""
    new = web("new", replicas=2, rollout={"settle": 3.0})
    fleet = Fleet(web(replicas=2, rollout={"settle": 3.0}))
    fleet.obedient = after % 2 == 0
    fleet.reload(new)
    for second in range(200):
        if second == after:
            fleet = fleet.crash(new)
        fleet.advance(1.0)
        for name, instance in fleet.service_set.instances.items():
            if instance.state is State.STARTING and name in fleet.live:
                fails = bad and name == "web@2" and instance.running_spec.command == ("new",)
                (fleet.dies if fails else fleet.ready)(name)
        if not fleet.rollout.moving:
            break
    assert fleet.versions() == ("old old" if bad else "new new")
    assert fleet.rollout.stage is (Stage.ROLLED_BACK if bad else Stage.FINISHED)


def test_the_process_that_is_being_stopped_keeps_its_own_way_to_stop() -> None:
    fleet = Fleet(web(stop_timeout=3.0))
    fleet.obedient = False
    fleet.reload(web("new", stop_timeout=60.0))
    after = fleet.crash(web("new", stop_timeout=60.0))
    assert after["web@1"].running_spec.stop_timeout == 3.0 and after["web@1"].spec.stop_timeout == 60.0
    fleet.steer("undo")
    back = fleet.crash(web("new", stop_timeout=60.0))
    assert back["web@1"].running_spec.stop_timeout == 60.0


def test_a_process_without_a_record_is_replaced() -> None:
    fleet = Fleet(web())
    fleet.reload(web("new"))
    after = fleet.crash()
    after.service_set.assume_spawning("web@2", 7)
    assert after["web@2"].revision == UNKNOWN
    after.live["web@2"] = 7
    after.post("web@2", ev.Spawned(7, 1000))
    after.ready("web@2")
    settle(after, "web@1")
    assert after["web@2"].incarnation == 8


def test_a_rollout_of_a_service_that_is_in_no_plan_is_forgotten() -> None:
    fleet = Fleet(web())
    fleet.reload(web("new"))
    kept = [read(one) for one in fleet.service_set.saved_rollouts()]
    assert ServiceSet(replace(fleet.plan, services=()), lambda: 0.5, kept).rollouts is None
    gone = replace(kept[0], wanted=replace(kept[0].wanted, rollout=RolloutSpec()), service="web")
    assert ServiceSet(fleet.plan, lambda: 0.5, [gone]).plan.services[0].command == ("new",)


def test_in_a_shutdown_no_moment_of_a_rollout_is_waited_for() -> None:
    """A moment that has passed, and that nothing takes, kept the daemon busy until the last process had ended."""
    fleet = Fleet(web(rollout={"settle": 5.0}))
    fleet.reload(web("new", rollout={"settle": 5.0}))
    fleet.ready("web@1")
    assert fleet.service_set.deadline == fleet.now + 5.0
    fleet.obedient = False
    fleet.take(fleet.service_set.shutdown(fleet.now))
    assert fleet.service_set.deadline == fleet.now + fleet["web@1"].spec.stop_timeout == fleet.now + 10.0


def test_the_beginning_of_a_rollout_is_told_before_what_follows_from_it() -> None:
    """The change also lets a start go on that waited; it was told first, with a later run than the beginning had."""
    fleet = Fleet(web(), spec("db"))
    fleet.service_set.starts_held = True
    fleet.stop("web@1")
    fleet.start("web@1")
    fleet.service_set.starts_held = False
    before = len(fleet.records)
    fleet.reload(web("new"), spec("db"))
    told = [r for r in fleet.records[before:] if r.instance == "web@1"]
    assert told[0].cause is Cause.ROLLOUT_STARTED
    assert [r.incarnation for r in told] == sorted(r.incarnation for r in told)
