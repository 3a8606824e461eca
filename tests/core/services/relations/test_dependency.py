"""Conditions of dependencies, and dependencies that are not required."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.model import events as ev
from tests.core.services.test_service_set import World, spec


def web(**how: Any) -> Any:
    return spec("web", depends_on=["cache"], dependencies=[{"service": "cache", **how}])


def test_the_condition_started_is_met_by_a_running_process() -> None:
    world = World(spec("cache", ready={"notify": True}), web(condition="started"))
    world.start()
    assert world.states() == {"cache": "starting", "web": "running"}


def test_a_oneshot_that_is_over_was_started() -> None:
    world = World(spec("cache", type="oneshot"), web(condition="started"))
    world.start("cache")
    world.dies("cache", 0)
    world.start("web")
    assert world.states() == {"cache": "exited", "web": "running"}


@pytest.mark.parametrize(("kind", "code", "met"), [("oneshot", 0, True), ("service", 0, True), ("service", 3, False)])
def test_the_condition_completed_is_met_by_success(kind: str, code: int, met: bool) -> None:
    world = World(spec("cache", type=kind, restart={"policy": "never"}), web(condition="completed"))
    world.start()
    assert (world.states()["web"], world["web"].waiting_for) == ("starting", "cache")
    world.dies("cache", code)
    assert world.states()["web"] == ("running" if met else "starting")


def test_one_that_is_not_required_is_waited_for_while_it_is_on_its_way() -> None:
    world = World(spec("cache", ready={"notify": True}), web(required=False))
    world.start("cache", "web")
    assert (world.states()["web"], world["web"].waiting_for) == ("starting", "cache")
    world.ready("cache")
    assert world.states()["web"] == "running"


def test_one_that_fails_is_waited_for_no_longer() -> None:
    world = World(spec("cache", ready={"notify": True}), web(required=False))
    world.start("cache", "web")
    world.dies("cache")
    assert world.states() == {"cache": "backoff", "web": "running"}


def test_one_that_is_stopped_is_neither_waited_for_nor_started() -> None:
    world = World(spec("cache"), web(required=False))
    world.start("web")
    assert world.states() == {"cache": "stopped", "web": "running"}
    world.start("cache")
    world.obedient = False
    world.stop()
    assert world.states() == {"cache": "running", "web": "stopping"}  # it orders the stops as well


def test_a_chain_of_dependencies_is_waited_for_only_while_its_end_is_starting() -> None:
    db = spec("db", ready={"notify": True})
    world = World(db, spec("cache", depends_on=["db"]), web(required=False))
    world.start("db", "cache", "web")
    assert [world[n].waiting_for for n in ("cache", "web")] == ["db", "cache"]
    world.ready("db")
    assert world.states()["web"] == "running"
    stuck = World(db, spec("cache", depends_on=["db"]), web(required=False))
    stuck.start("cache", "web")
    stuck.stop("db")
    assert stuck.states() == {"db": "stopped", "cache": "starting", "web": "running"}


def test_a_running_oneshot_is_waited_for_and_one_in_maintenance_is_not() -> None:
    world = World(spec("cache", type="oneshot"), web(required=False))
    world.start("cache", "web")
    assert (world.states()["cache"], world["web"].waiting_for) == ("running", "cache")
    world.dies("cache", 0)
    assert world.states()["web"] == "running"
    kept = World(spec("cache", ready={"notify": True}), web(required=False))
    kept.take(kept.service_set.begin_maintenance(["cache"], kept.now, ev.BeginMaintenance(0.0)))
    kept.take(kept.service_set.start(["cache", "web"], kept.now, by={}))
    assert kept.states()["web"] == "starting"
    kept.stop()
    from supervisor.core.model.causes import Cause

    kept.take(kept.service_set.start(["cache", "web"], kept.now, Cause.AUTOSTART))
    assert kept.states() == {"cache": "starting", "web": "running"}
