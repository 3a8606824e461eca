"""What is told of the breaker of one service: its state, the next try, and what was counted."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.model import events as ev
from supervisor.core.model.breaker_document import BreakerStatus
from supervisor.core.restart.statistics import Statistics
from supervisor.core.services.breaker_status import breaker_status
from tests.core.services.relations.test_open_breaker import API, WEB, crashed, db, up
from tests.core.services.test_service_set import World, spec


def told(world: World, service: str = "db") -> BreakerStatus:
    of = world.service_set.plan.service(service)
    assert of is not None
    instances = [world[name] for name in of.instances]
    return breaker_status(of, instances, world.service_set.counts.by_service.get(service), world.now)


def test_before_anything_happened() -> None:
    assert told(World(db())) == {
        "service": "db",
        "state": "closed",
        "ready": False,
        "since_s": None,
        "next_trial_in_s": None,
        "on_open": "stop",
        "fallback": None,
        "window_s": 60.0,
        "successes": {"ready": 0, "healthy": 0},
        "failures": {},
        "rejections": 0,
        "trials": 0,
    }


def test_the_life_of_a_breaker() -> None:
    world = World(db(), API, WEB)
    up(world)
    assert (told(world)["state"], told(world)["ready"], told(world)["successes"]["ready"]) == ("closed", True, 1)
    world.dies("db")
    world.advance(1.0)
    world.post("db", ev.Ready(world["db"].incarnation, "too late"))  # changes nothing
    world.advance(3.0)
    seen = told(world)
    assert (seen["state"], seen["ready"], seen["since_s"], seen["next_trial_in_s"]) == ("open", False, 4.0, 6.0)
    assert (seen["failures"], seen["rejections"], seen["trials"]) == ({"exited": 1}, 3, 0)  # its own, api and web
    world.advance(6.0)
    seen = told(world)
    assert (seen["state"], seen["next_trial_in_s"], seen["trials"], seen["rejections"]) == ("half-open", None, 1, 3)
    world.post("db", ev.Triggered(world["db"].incarnation))
    seen = told(world)
    assert (seen["state"], seen["next_trial_in_s"]) == ("open", 20.0)
    assert (seen["failures"], seen["rejections"]) == ({"exited": 1, "watchdog-triggered": 1}, 4)
    world.take(world.service_set.reset(["db"], world.now))
    world.ready("db")
    seen = told(world)
    assert (seen["state"], seen["successes"], seen["since_s"]) == ("closed", {"ready": 2, "healthy": 1}, 0.0)
    world.advance(61.0)
    assert told(world)["failures"] == {}
    assert told(world)["successes"] == {"ready": 0, "healthy": 0}


def test_a_stop_leaves_it_open_and_a_start_is_the_trial() -> None:
    world = World(db("hold"))
    up(world)
    world.dies("db")
    world.stop("db")
    assert (told(world)["state"], told(world)["next_trial_in_s"]) == ("open", None)
    world.start("db")
    assert (told(world)["state"], told(world)["trials"]) == ("half-open", 1)


def test_after_a_crash() -> None:
    services = [db("hold"), API]
    world = World(*services)
    up(world)
    world.dies("db")
    heir = crashed(world, services)
    heir.now += 3.0
    assert (told(heir)["state"], told(heir)["since_s"], told(heir)["next_trial_in_s"]) == ("open", 3.0, 7.0)


@pytest.mark.parametrize(("keys", "states"), [({}, "closed closed open"), ({"min_ready": 2}, "closed open open")])
def test_replicas(keys: dict[str, Any], states: str) -> None:
    world = World(db("hold", replicas=3, **keys))
    up(world)
    for number, state in enumerate(states.split(), 1):
        world.dies(f"db@{number}")
        assert told(world)["state"] == state
    world.start("db@1")
    world.start("db@2")
    assert told(world)["state"] == "half-open"


def test_maintenance_stops_the_countdown() -> None:
    world = World(db("hold"))
    up(world)
    world.dies("db")
    world.take(world.service_set.begin_maintenance(["db"], world.now, ev.BeginMaintenance(1.0)))
    assert told(world)["next_trial_in_s"] is None


def test_a_oneshot_and_an_end_without_restart() -> None:
    world = World(spec("job", type="oneshot"), spec("once", restart={"policy": "never"}))
    world.start()
    assert told(world, "job")["successes"]["ready"] == 0
    world.dies("job", 0)
    world.dies("once", 3)
    assert told(world, "job")["successes"]["ready"] == 1
    assert told(world, "once")["failures"] == {}


def test_no_more_is_kept_than_needed() -> None:
    found = Statistics()
    for number in range(3000):
        found.add("ready", number / 100.0, 60.0)
    assert found.counts(30.0, 60.0) == {"ready": 1000}
    found.add("trial", 1000.0, 60.0)
    assert found.counts(1000.0, 60.0) == {"trial": 1}
