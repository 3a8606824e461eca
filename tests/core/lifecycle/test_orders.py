"""The record of each order says who gave it; what the daemon does by itself says nothing of the kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.transitions import step
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, Record, Signal
from supervisor.core.model.causes import Cause
from tests.core.services.test_service_set import World, spec

BY = {"uid": 0, "user": "root", "pid": 9, "command": ["supervisor"]}
UP: tuple[ev.Event, ...] = (ev.Start(), ev.StartPermitted(), ev.Spawned(1, 7))
FAILED: tuple[ev.Event, ...] = (*UP, ev.Exited(1, 3, None, True))
CHANGED = replace(spec("web"), description="new")


def records(actions: list[Action]) -> list[Record]:
    return [action for action in actions if isinstance(action, Record)]


@pytest.mark.parametrize(
    ("before", "order"),
    [
        ((), ev.Start(by=BY)),
        ((*UP, ev.Stop(later=True)), ev.Start(by=BY)),
        ((*UP, ev.Stop()), ev.Start(by=BY)),
        (FAILED, ev.Stop(by=BY)),
        ((ev.Start(),), ev.Stop(by=BY)),
        (UP, ev.Stop(by=BY)),
        (UP, ev.Stop(later=True, by=BY)),
        ((*UP, ev.Restart()), ev.Stop(by=BY)),
        ((), ev.Restart(by=BY)),
        (UP, ev.Restart(by=BY)),
        ((*UP, ev.Stop()), ev.Restart(by=BY)),
        (UP, ev.Reset(BY)),
        (FAILED, ev.Reset(BY)),
        (UP, ev.SendSignal(1, BY)),
        (UP, ev.Reconfigure(CHANGED, restart=False, by=BY)),
        (UP, ev.Reconfigure(CHANGED, restart=True, by=BY)),
    ],
)
def test_an_order_is_recorded_with_who_gave_it(before: tuple[ev.Event, ...], order: ev.Event) -> None:
    instance = Instance("web", spec("web"), lambda: 0.5)
    for event in before:
        assert not [record for record in records(step(instance, event, 100.0)) if "by" in record.detail]
    (record,) = records(step(instance, order, 101.0))
    assert record.detail["by"] == BY


def test_a_detached_process_that_a_shutdown_leaves_is_recorded_with_who_ordered_that() -> None:
    instance = Instance("web", spec("web", detach=True), lambda: 0.5)
    for event in UP:
        step(instance, event, 100.0)
    (record,) = records(step(instance, ev.Stop(Cause.SHUTDOWN, by=BY), 101.0))
    assert record.detail == {"pid": 7, "by": BY}


def test_a_signal_is_no_change_of_the_instance() -> None:
    instance = Instance("web", spec("web"), lambda: 0.5)
    for event in UP:
        step(instance, event, 100.0)
    step(instance, ev.SendSignal(1), 130.0)
    assert (instance.cause, instance.cause_at) == (Cause.SPAWNED, 100.0)


def test_the_next_run_has_been_sent_no_signal() -> None:
    instance = Instance("web", spec("web"), lambda: 0.5)
    for event in (*UP, ev.SendSignal(9), ev.Restart(), ev.Exited(1, None, 9, True), ev.StartPermitted()):
        step(instance, event, 100.0)
    step(instance, ev.Spawned(2, 8), 100.0)
    (record,) = records(step(instance, ev.Exited(2, None, 9, True), 101.0))
    assert record.cause is Cause.KILLED


def test_all_orders_of_the_service_set_carry_who_gave_them() -> None:
    """Also those that wait for dependants, and those that follow for other instances."""
    world = World(spec("db"), spec("web", depends_on=["db"]))
    fleet = world.service_set
    world.take(fleet.start(["web"], 1.0, by=BY))
    world.take(fleet.refuse_reload(["web"], ev.ReloadRefused(1, "exit code 1", by=BY), 1.0))
    world.take(fleet.signal({"web": 18}, 1.0, BY))
    world.take(fleet.reset(["db"], 1.0, BY))
    world.take(fleet.restart(["db"], 1.0, BY))
    world.take(fleet.stop(["db", "web"], 1.0, by=BY))
    world.take(fleet.start(["web"], 1.0, by=BY))
    plan = replace(world.plan, services=(replace(spec("db"), description="new"), spec("other")))
    world.take(fleet.apply(plan, 1.0, BY)[1])
    world.take(fleet.end(1.0, BY))
    found = {(record.instance, record.cause) for record in world.records if record.detail.get("by") == BY}
    assert found == {
        ("db", Cause.STARTED_BY_USER), ("web", Cause.STARTED_BY_USER), ("web", Cause.SIGNALLED_BY_USER),
        ("web", Cause.RELOAD_REFUSED), ("db", Cause.RESET_BY_USER), ("db", Cause.RESTARTED_BY_USER),
        ("db", Cause.STOPPED_BY_USER),
        ("web", Cause.STOPPED_BY_USER), ("db", Cause.RELOADED), ("web", Cause.REMOVED), ("other", Cause.ADDED),
        ("db", Cause.SHUTDOWN), ("other", Cause.SHUTDOWN),
    }  # fmt: skip


def test_a_kill_of_everything_says_who_ordered_it() -> None:
    world = World(spec("web"))
    world.take(world.service_set.start(["web"], 1.0))
    world.records.clear()
    world.take(world.service_set.kill(1.0, BY))
    assert world.records[0].detail == {"by": BY}


def test_a_main_pid_that_is_the_main_one_already_is_no_event() -> None:
    instance = Instance("web", spec("web"), lambda: 0.5)
    for event in UP:
        step(instance, event, 100.0)
    assert step(instance, ev.MainPid(1, 7), 101.0) == []
    assert records(step(instance, ev.MainPid(1, 8), 101.0))


@pytest.mark.parametrize("resume", [True, False])
def test_only_a_signal_that_asks_to_reload_lets_a_stopped_process_go_on(resume: bool) -> None:
    world = World(spec("web"))
    world.take(world.service_set.start(["web"], 1.0))
    (_, action) = world.service_set.signal({"web": 1}, 1.0, resume=resume)
    assert action == Signal("web", 1, 1, resume=resume)
