"""What a start takes from the runs before it, on the simulated host."""

from __future__ import annotations

import json

import pytest

from supervisor.core.model.actions import Goal, State
from supervisor.core.model.spec import Plan, SupervisorSpec
from supervisor.core.services.adoption import has_state
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
