"""The end of a daemon: what it waits for, what it leaves running on purpose, and what it cannot end."""

from __future__ import annotations

import pytest

from supervisor.core.model import actions as act
from supervisor.core.model import events as ev
from supervisor.core.model.actions import State
from supervisor.core.model.causes import Cause
from supervisor.core.services import service_set as module
from tests.core.services.test_service_set import World, spec


def test_what_will_not_die_holds_up_neither_the_rest_nor_the_end() -> None:
    world = World(spec("base"), spec("stuck", depends_on=["base"]))
    service_set = world.service_set
    world.take(service_set.start(["base", "stuck"], world.now))
    world.obedient = False
    world.take(service_set.shutdown(world.now))
    assert world.states() == {"base": "running", "stuck": "stopping"}
    told = world.now
    world.take(service_set.step("stuck", ev.KillIncomplete(1, ("7 x (D)",)), told))
    world.obedient = True  # all but one
    world.take(service_set.tick(told + 9.9))
    assert world.states()["base"] == "running", "it may yet go"
    assert not service_set.finished(told + 9.9)
    for second in range(16):
        world.now = told + second
        world.take([a for a in service_set.tick(world.now) if not isinstance(a, act.Kill)])
    assert world["stuck"].state is State.STOPPING
    assert world.states()["base"] == "stopped", "nobody waits for it any more"
    assert service_set.finished(world.now)
    assert not service_set.all_down, "and yet it is there"


def test_what_goes_after_all_is_no_longer_stuck() -> None:
    world = World(spec("web"))
    world.take(world.service_set.start(["web"], world.now))
    world.obedient = False
    world.take(world.service_set.stop(["web"], world.now))
    world.take(world.service_set.step("web", ev.KillIncomplete(1, ("7 x (D)",)), world.now))
    assert world["web"].unkillable(world.now + 10.0)
    world.take(world.service_set.step("web", ev.Exited(1, None, 9, True), world.now))
    assert not world["web"].unkillable(world.now + 10.0)
    assert world["web"].state is State.STOPPED


def test_an_end_that_is_asked_for_twice_kills_what_is_left() -> None:
    world = World(spec("web"))
    world.take(world.service_set.start(["web"], world.now))
    world.obedient = False
    assert not any(isinstance(a, act.Kill) for a in world.service_set.end(world.now))
    assert any(isinstance(a, act.Kill) for a in world.service_set.end(world.now))


def test_what_is_detached_stays_and_what_depends_on_it_goes() -> None:
    world = World(spec("kept", detach=True), spec("web", depends_on=["kept"]))
    world.take(world.service_set.start(["kept", "web"], world.now))
    world.take(world.service_set.shutdown(world.now))
    assert world.states() == {"kept": "running", "web": "stopped"}
    assert world.service_set.all_down
    assert world.service_set.finished(world.now)
    world.take(world.service_set.kill(world.now))
    assert world.states()["kept"] == "running"
    assert [r.cause for r in world.records if r.instance == "kept"][-1] is Cause.LEFT_RUNNING
    assert [r.cause for r in world.records].count(Cause.LEFT_RUNNING) == 1


def test_a_detached_service_that_fails_while_all_ends_is_not_waited_for() -> None:
    world = World(spec("kept", detach=True))
    world.take(world.service_set.start(["kept"], world.now))
    world.take(world.service_set.shutdown(world.now))
    world.take(world.service_set.step("kept", ev.Exited(1, 1, None, True), world.now))
    assert world.states() == {"kept": "backoff"}
    assert world.service_set.finished(world.now)


def test_a_detached_service_that_is_no_longer_configured_is_stopped() -> None:
    world = World(spec("kept", detach=True), spec("web"))
    world.take(world.service_set.start(["kept", "web"], world.now))
    plan = World(spec("web")).plan
    world.take(world.service_set.apply(plan, world.now)[1])
    assert world.states() == {"web": "running"}


def test_the_end_of_many_is_no_look_at_all_of_them_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"web{n:02}" for n in range(40)]
    world = World(*(spec(name) for name in names))
    world.take(world.service_set.start(names, world.now))
    world.obedient = False
    world.take(world.service_set.shutdown(world.now))
    looks: list[str] = []
    real = module._is_awaited
    monkeypatch.setattr(module, "_is_awaited", lambda i, now: (looks.append(i.name), real(i, now))[1])
    for name in names:
        assert not world.service_set.finished(world.now)
        world.dies(name)
    assert world.service_set.finished(world.now)
    assert len(looks) <= 5 * len(names)
