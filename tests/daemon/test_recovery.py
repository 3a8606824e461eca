"""What a start takes from the runs before it, on the simulated host."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

import pytest

from supervisor.core.model.actions import Goal, Record, State
from supervisor.core.model.spec import Plan, ServiceSpec, SupervisorSpec
from supervisor.core.services.adoption import has_state
from supervisor.core.services.kept_plan import without_taken_out
from tests.simulation import faults
from tests.simulation.daemon import Daemon
from tests.simulation.plans import service
from tests.simulation.world import World


@pytest.fixture
def world() -> World:
    """`web` is started with the supervisor, `spare` by an order; nothing fails by itself."""
    world = World(0)
    world.peaceful = True
    world.plan = Plan(supervisor=SupervisorSpec(), services=(service("web"), service("spare", autostart=False)))
    world.start()
    return world


def order(world: World, verb: str, *names: str) -> None:
    assert world.daemon is not None
    world.invariants.commanded(verb, names, world.daemon)
    world.command(lambda d: d.engine.order(getattr(d.service_set, verb)(names, world.now)))
    world.run_until(world.now + 5.0)


def down(world: World) -> None:
    world.invariants.wishes.closes()
    world.command(lambda d: d.engine.order(d.service_set.end(world.now)))
    while world.daemon is not None:
        world.run_until(world.now + 0.1)


def crash_and_start(world: World) -> None:
    world.crashed("here")
    while world.daemon is None:
        world.run_until(world.now + 1.0)


def state(world: World, name: str) -> tuple[State, Goal]:
    assert world.daemon is not None
    instance = world.daemon.service_set.instances[name]
    return instance.state, instance.goal


RUNS, STOPPED = (State.RUNNING, Goal.UP), (State.STOPPED, Goal.DOWN)


def test_after_a_crash_what_was_ordered_holds(world: World) -> None:
    order(world, "start", "spare")
    order(world, "stop", "web")
    crash_and_start(world)
    assert (state(world, "web"), state(world, "spare")) == (STOPPED, RUNS)
    assert world.daemon is not None
    assert not world.daemon.previous_run.instances, "of thousands it takes more memory than the services"


def test_a_new_service_does_not_start_what_was_stopped_by_order(world: World) -> None:
    """It waits, as after a reload."""
    order(world, "stop", "web")
    new = service("new", depends_on=("web",))
    world.plan = Plan(supervisor=SupervisorSpec(), services=(*world.plan.services, new))
    crash_and_start(world)
    assert (state(world, "web"), state(world, "new")) == (STOPPED, (State.STARTING, Goal.UP))
    order(world, "start", "web")
    assert (state(world, "web"), state(world, "new")) == (RUNS, RUNS)


def test_what_ran_before_a_reboot_is_not_started_by_a_crash_after_it(world: World) -> None:
    order(world, "start", "spare")
    world.reboot()
    world.run_until(world.now + 30.0)
    assert (state(world, "web"), state(world, "spare")) == (RUNS, STOPPED)
    assert not has_state(json.loads(world.disk.snapshots["spare"]))
    crash_and_start(world)
    assert (state(world, "web"), state(world, "spare")) == (RUNS, STOPPED)
    assert world.daemon is not None and world.daemon.service_set.instances["spare"].incarnation == 1, "history stays"


@pytest.mark.parametrize("end", ["down", "reboot"])
@pytest.mark.parametrize("steps", range(4))
def test_a_crash_in_the_middle_of_a_start_leaves_nothing_unstarted(world: World, end: str, steps: int) -> None:
    world.run_until(world.now + 5.0)
    down(world) if end == "down" else world.reboot()
    world.daemon_fuse = steps
    world.run_until(world.now + 600.0)
    assert world.faults.total() > (end == "reboot"), "it was killed"
    assert (state(world, "web"), state(world, "spare")) == (RUNS, STOPPED)


@pytest.mark.parametrize("end", ["down", "crash"])
def test_what_was_saved_of_a_removed_service_is_forgotten(world: World, end: str) -> None:
    order(world, "start", "spare")
    order(world, "stop", "spare")
    assert set(world.disk.snapshots) == {"web", "spare"}
    if end == "down":
        down(world)
        world.plan = Plan(supervisor=SupervisorSpec(), services=(service("web"),))
        world.run_until(world.now + 120.0)
    else:
        world.disk.plan = world.plan = Plan(supervisor=SupervisorSpec(), services=(service("web"),))
        crash_and_start(world)
        order(world, "restart", "web")  # it is written with the next record
    assert set(world.disk.snapshots) == {"web"}


def plan(*services: ServiceSpec) -> Plan:
    return Plan(supervisor=SupervisorSpec(), services=services)


def reload(world: World, *services: ServiceSpec) -> None:
    assert world.daemon is not None
    world.plan = plan(*services)
    faults.reload(world, world.daemon)
    world.run_until(world.now + 5.0)


def causes(world: World, name: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Filled with the causes of all that is recorded of an instance from now on."""
    found: list[str] = []
    record = Daemon.record

    def noted(self: Daemon, records: Sequence[Record]) -> None:
        found.extend(r.cause.value for r in records if r.instance == name)
        record(self, records)

    monkeypatch.setattr(Daemon, "record", noted)
    return found


def test_what_a_reload_took_out_is_not_started_by_a_crash(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan that a daemon kept which saved it no more has it still, and the ledger knows nothing of it."""
    before = world.disk.plan
    reload(world, service("spare", autostart=False))
    world.disk.plan = before
    recorded = causes(world, "web", monkeypatch)
    crash_and_start(world)
    assert recorded == []
    assert world.daemon is not None and "web" not in world.daemon.service_set.instances


@pytest.mark.parametrize("steps", range(5))
@pytest.mark.parametrize("name", ["web", "spare"])
def test_what_was_saved_of_it_goes_with_what_a_reload_takes_out(world: World, name: str, steps: int) -> None:
    """Also of one that had been stopped before: else the next one of this name is stopped after a crash."""
    order(world, "start", "spare")
    order(world, "stop", "web", "spare")
    left = [spec for spec in world.plan.services if spec.name != name]
    reload(world, *left)
    assert name not in world.disk.snapshots
    assert world.daemon is not None
    world.daemon.fuse = steps
    reload(world, *left, service(name))
    assert world.faults.total() == 1
    world.run_until(world.now + 300.0)
    assert state(world, name) == RUNS


def test_what_the_file_takes_out_is_not_started_once_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was about to be spawned when the daemon died."""
    order(world, "stop", "web")
    assert world.daemon is not None
    world.daemon.fuse = 1
    order(world, "start", "web")
    assert world.daemon is None and json.loads(world.disk.snapshots["web"])["goal"] == "up"
    world.plan = plan(service("spare", autostart=False))
    recorded = causes(world, "web", monkeypatch)
    world.run_until(world.now + 300.0)
    assert world.daemon is not None and set(world.daemon.service_set.instances) == {"spare"}
    assert recorded == ["spawn-interrupted", "removed"]


def test_what_the_file_changes_is_not_started_by_its_old_definition(world: World) -> None:
    """It was waiting for the file to be read, not for the end of a process of the old definition."""
    order(world, "stop", "web")
    assert world.daemon is not None
    world.daemon.fuse = 1
    order(world, "start", "web")
    world.plan = plan(service("web", environment=[["N", "2"]]))
    world.run_until(world.now + 300.0)
    assert state(world, "web") == RUNS and world.daemon is not None
    assert world.daemon.processes["web"].environment == (("N", "2"),)
    assert world.daemon.service_set.instances["web"].incarnation == 3


def test_what_was_taken_out_and_comes_back_is_new(world: World) -> None:
    """It had not ended when the daemon died, so it was in the plan that is kept; its goal was that of the removal."""
    assert world.daemon is not None
    for process in world.processes.living():
        process.stubborn = True
    reload(world, service("spare", autostart=False))
    world.crashed("while web is stopping")
    assert json.loads(world.disk.snapshots["web"])["wanted_by"] == "removed"
    world.plan = plan(service("web"), service("spare", autostart=False))
    world.run_until(world.now + 300.0)
    assert state(world, "web") == RUNS


@pytest.mark.parametrize("steps", range(6))
def test_the_plan_of_a_run_that_has_ended_is_never_in_force(world: World, steps: int) -> None:
    """Also where the start is interrupted that marks the next run as one that may have crashed."""
    world.run_until(world.now + 5.0)
    down(world)
    world.plan = plan(service("web", environment=[["N", "2"]]))
    world.daemon_fuse = steps
    world.run_until(world.now + 600.0)
    assert state(world, "web") == RUNS and world.daemon is not None
    assert world.daemon.service_set.instances["web"].incarnation <= 3
    assert world.processes.by_instance["web"].environment == (("N", "2"),)


@pytest.mark.parametrize("steps", range(7))
def test_a_changed_definition_is_taken_wherever_the_daemon_died_in_the_reload(world: World, steps: int) -> None:
    """Where the plan alone had been saved, the process was taken for one of the new definition."""
    world.run_until(world.now + 5.0)
    assert world.daemon is not None
    world.daemon.fuse = steps
    reload(world, service("web", environment=[["NEW", "1"]]), service("spare", autostart=False))
    world.run_until(world.now + 300.0)
    assert world.faults.total() == 1 and state(world, "web") == RUNS
    assert world.processes.by_instance["web"].environment == (("NEW", "1"),)


def test_a_plan_that_was_lost_is_saved_again_by_the_next_daemon(world: World) -> None:
    """Else what runs would be watched by nobody once the file cannot be read."""
    world.crashed("here")
    world.disk.plan = None
    while world.daemon is None:
        world.run_until(world.now + 1.0)
    world.run_until(world.now + 5.0)
    assert state(world, "web") == RUNS
    assert world.disk.plan is not None and world.disk.plan.services == world.plan.services


def refused_file(world: World) -> None:
    """The next daemon cannot use the file: it takes the plan that was kept for the configured one (plan_left)."""
    assert world.disk.plan is not None
    saved = {name: json.loads(text) for name, text in world.disk.snapshots.items()}
    world.plan = without_taken_out(world.disk.plan, saved)


@pytest.mark.parametrize("ended", [False, True])
def test_what_a_reload_took_out_is_not_started_under_a_refused_file(
    world: World, monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    """Neither where it had ended before the daemon died, nor where it had not."""
    for process in world.processes.living():
        process.stubborn = True
    reload(world, service("spare", autostart=False))
    assert state(world, "web")[0] is State.STOPPING
    assert world.disk.plan is not None and world.disk.plan.service("web") is not None
    if ended:
        world.run_until(world.now + 60.0)
        assert world.disk.plan.service("web") is None
    world.crashed("here")
    refused_file(world)
    recorded = causes(world, "web", monkeypatch)
    world.run_until(world.now + 300.0)
    assert world.daemon is not None and set(world.daemon.service_set.instances) == {"spare"}
    assert ended is (recorded == []) and "autostart" not in recorded


@pytest.mark.parametrize("steps", range(8))
def test_wherever_the_daemon_died_while_it_ended_a_refused_file_does_not_start_it(
    world: World, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    for process in world.processes.living():
        process.stubborn = True
    reload(world, service("spare", autostart=False))
    assert world.daemon is not None
    world.daemon.fuse = steps
    with monkeypatch.context() as patch:
        patch.setattr(World, "start", lambda _: None)
        world.run_until(world.now + 300.0)
    if world.daemon is not None:
        world.crashed("at last")
    refused_file(world)
    recorded = causes(world, "web", monkeypatch)
    world.run_until(world.now + 300.0)
    world.start()
    world.run_until(world.now + 300.0)
    assert world.daemon is not None and "web" not in world.daemon.service_set.instances
    assert "autostart" not in recorded


def test_of_several_that_end_the_plan_follows_once_in_a_while(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("a", "b", "c", "last")
    reload(world, *(service(name) for name in names), service("web"))
    for process in world.processes.living():
        process.stubborn = True
    reload(world, service("web"))
    written: list[list[str]] = []
    monkeypatch.setattr(world.disk, "write_plan", lambda plan: written.append([spec.name for spec in plan.services]))
    for name, after in zip(names, (0.1, 0.1, 2.0, 0.1), strict=True):
        process = world.processes.by_instance[name]
        world.later(0.0, partial(world.exit, process, None, 15))
        world.run_until(world.now + after)
    assert written == [["b", "c", "last", "web"], ["last", "web"], ["web"]]


def test_where_a_full_disk_takes_no_record_the_former_definition_is_kept_until_its_process_has_ended(
    world: World,
) -> None:
    for process in world.processes.living():
        process.stubborn = True
    world.disk.full = True
    reload(world, service("web", environment=[["N", "2"]]), service("spare", autostart=False))
    assert state(world, "web")[0] is State.STOPPING
    assert world.disk.plan is not None and world.disk.plan.service("web") == service("web")
    crash_and_start(world)
    world.run_until(world.now + 60.0)
    assert state(world, "web") == RUNS
    assert world.processes.by_instance["web"].environment == (("N", "2"),)
    assert world.disk.plan == world.plan, "it is saved with the record of the new process"
    world.disk.full = False
    crash_and_start(world)
    assert state(world, "web") == RUNS
