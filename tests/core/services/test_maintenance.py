"""Maintenance over several instances: what dependants, groups, fallbacks, the start and a reload do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from supervisor.core.history.outlook import prospect, standing
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model import events as ev
from supervisor.core.model.causes import Cause
from supervisor.core.services.maintenance import problems, view
from supervisor.core.services.settled import Failure, settled
from supervisor.core.services.status import instance_view, should_be_up_but_is_not
from supervisor.core.text.causes import phrase
from supervisor.core.text.maintenance import short
from supervisor.display.status_row import note
from tests.core.services.test_service_set import World, spec


def alone(world: World, *names: str, lasts: float | None = None, reason: str = "new disk") -> None:
    order = ev.BeginMaintenance(world.now + 1e6, lasts, reason, {"user": "ann"})
    world.take(world.service_set.begin_maintenance(names, world.now, order))


def supervised(world: World, *names: str) -> None:
    world.take(world.service_set.end_maintenance(names, world.now))


def rows(world: World) -> dict[str, Any]:
    return {name: instance_view(i, world.now) for name, i in world.service_set.instances.items()}


def test_what_ends_is_not_restarted_and_its_dependants_wait() -> None:
    world = World(spec("db"), spec("web", depends_on=["db"]), spec("api", depends_on=["db"]))
    world.start("db", "web")
    alone(world, "db")
    world.dies("db")
    assert world.states() == {"db": "exited", "web": "running", "api": "stopped"}
    world.start("api")
    assert world["api"].waiting_for == "db"
    seen = rows(world)
    assert seen["db"]["maintenance"]["ended"]
    assert not should_be_up_but_is_not(seen["db"])
    assert settled("start", "api", seen, {}) == "it waits for db, which is in maintenance"
    assert isinstance(settled("start", "db", seen, {}), Failure)
    supervised(world, "db")
    assert world["db"].state.value == "backoff"
    world.advance(2.0)
    assert world.states() == {"db": "running", "web": "running", "api": "running"}


def test_maintenance_ends_with_its_time() -> None:
    world = World(spec("db"))
    world.start()
    alone(world, "db", lasts=60.0)
    world.dies("db")
    world.advance(59.0)
    assert (world.states(), world["db"].restarts) == ({"db": "exited"}, 0)
    world.advance(3.0)
    assert (world.states(), world["db"].restarts) == ({"db": "running"}, 1)
    assert world["db"].maintenance is None


def test_an_instance_in_maintenance_is_not_restarted_with_others() -> None:
    group = {"group_name": "g", "restart": {"strategy": "one-for-all", "jitter": 0.0}}
    world = World(spec("a", **group), spec("b", **group, on_dependency_restart="restart", depends_on=["a"]))
    world.start()
    alone(world, "b")
    world.dies("a")
    world.advance(5.0)
    assert (world["a"].incarnation, world["b"].incarnation) == (2, 1)
    world.take(world.service_set.restart(["b"], world.now, {"user": "ann"}))
    assert world["b"].incarnation == 2


def test_the_start_of_the_daemon_waits_for_the_end_and_an_order_does_not() -> None:
    world = World(spec("db"), spec("web", depends_on=["db"]))
    alone(world, "db")
    world.take(world.service_set.start(["db", "web"], world.now, Cause.AUTOSTART))
    assert world["db"].waiting_for == "the end of its maintenance"
    assert isinstance(settled("start", "db", rows(world), {}), Failure)
    world.take(world.service_set.start(["web"], world.now, by={"user": "ann"}))  # names its dependant alone
    assert world.states() == {"db": "starting", "web": "starting"}
    world.take(world.service_set.start(["db"], world.now, by={"user": "ann"}))
    assert world.states() == {"db": "running", "web": "running"}


def test_a_fallback_and_a_restart_slot_wait() -> None:
    main = spec("main", restart={"fallback": "page", "max_restarts": 0, "jitter": 0.0})
    world = World(spec("page", autostart=False), main)
    world.start("main")
    alone(world, "page")
    world.dies("main")
    assert (world.states(), world["page"].waiting_for) == (
        {"page": "starting", "main": "failed"},
        "the end of its maintenance",
    )
    supervised(world, "page")
    assert world.states()["page"] == "running"
    alone(world, "main")
    world.advance(3600.0)
    assert world.states() == {"page": "running", "main": "failed"}
    assert settled("start", "main", rows(world), {})
    world.take(world.service_set.restart(["main"], world.now, {"user": "ann"}))
    assert world.states()["main"] == "running"


def test_a_start_that_waits_is_stopped_and_restarted() -> None:
    world = World(spec("db"))
    alone(world, "db")
    world.take(world.service_set.start(["db"], world.now, Cause.AUTOSTART))
    world.stop("db")
    assert (world.states(), world["db"].waiting_for) == ({"db": "stopped"}, "")
    world.take(world.service_set.start(["db"], world.now, Cause.AUTOSTART))
    world.take(world.service_set.restart(["db"], world.now, {"user": "ann"}))
    assert world.states() == {"db": "running"}


def test_a_reload_during_maintenance_restarts_at_the_end() -> None:
    world = World(spec("db"))
    world.start()
    alone(world, "db")
    changed = replace(world.plan, services=(spec("db", environment=[["A", "1"]]),))
    world.take(world.service_set.apply(changed, world.now)[1])
    assert (world["db"].incarnation, rows(world)["db"]["current"]) == (1, False)
    supervised(world, "db")
    assert (world["db"].incarnation, rows(world)["db"]["current"]) == (2, True)


def test_maintenance_is_kept_over_a_crash_a_reboot_and_an_orderly_end() -> None:
    world = World(spec("db"))
    world.start()
    alone(world, "db", lasts=60.0)
    saved = world["db"].snapshot(world.now)
    for kept, ahead, until in (
        (saved, None, 160.0),
        (world["db"].history(world.now), 1e6 - 5.0, 165.0),
        (saved | {"maintenance": {"since": "never"}}, None, None),
    ):
        later = Instance("db", spec("db"), lambda: 0.5)
        later.restore(kept, crashed=ahead is None, ahead=ahead)
        assert (later.maintenance.until if later.maintenance else None) == until
    assert "maintenance" not in Instance("db", spec("db"), lambda: 0.5).snapshot(world.now)


def test_why_and_events_tell_of_maintenance() -> None:
    world = World(spec("db"), spec("web"))
    world.start()
    alone(world, "db", lasts=1800.0)
    alone(world, "web", reason="")
    instances = world.service_set.instances.values()
    assert problems(instances, world.now) == [
        "db: in maintenance for another 30 min: new disk (by ann)",
        "web: in maintenance until it is ended (by ann)",
    ]
    told = view(world["db"], world.now)
    assert told is not None
    assert (told["since"], told["ends_at"]) == ("1970-01-12T13:48:20.000Z", "1970-01-12T14:18:20.000Z")
    seen = rows(world)["db"]
    assert standing(seen).startswith("in maintenance for another 30 min: new disk (by ann); running and ready (run 1")
    assert prospect(seen) == {"what": "nothing before its maintenance is over, whatever is found", "in_s": 1800.0}
    web = prospect(rows(world)["web"])["what"]
    assert web == "nothing until it is ended (supervisor maintenance off web), whatever is found"
    world.dies("db")
    ended = prospect(rows(world)["db"])
    assert ended["what"] == "nothing before its maintenance is over; then its restart policy decides"
    world.stop("db")
    assert prospect(rows(world)["db"])["what"] == "nothing until it is started (supervisor start db)"
    assert view(world["db"], world.now) is not None


def test_the_rows_of_the_status_tell_of_maintenance() -> None:
    world = World(spec("db"), spec("web"))
    world.start()
    alone(world, "db", lasts=1800.0)
    alone(world, "web", reason="")
    seen = rows(world)
    assert note(seen["db"]) == "maintenance 30 min (new disk)"
    assert short(seen["web"]["maintenance"]) == "maintenance"
    assert (
        phrase("maintenance-begun", world.records[-2].detail) == "in maintenance for 30 min: new disk; ordered by ann"
    )
    assert phrase("maintenance-begun", {}) == "in maintenance"
    world.dies("db")
    told = world.records[-1]
    assert phrase(told.cause, told.detail) == "exited with code 1; left as it is, in maintenance"
    assert view(Instance("x", spec("x"), lambda: 0.5), world.now) is None


def test_what_beats_or_has_no_end_is_listened_to_again() -> None:
    world = World(spec("db", heartbeat={"interval": 1.0}), spec("web"))
    world.start()
    for name in ("db", "web"):
        world.post(name, ev.Heartbeat(1, world.now))
        alone(world, name)
    world.advance(3600.0)
    supervised(world, "db", "web")
    assert world["db"].suspect_at is not None
    assert world["db"].suspect_at > world.now
    dead = World(spec("db", restart={"max_restarts": 0, "cooldown": 5.0}))
    dead.start()
    dead.dies("db")
    alone(dead, "db")
    dead.advance(60.0)
    supervised(dead, "db")
    dead.advance(0.0)
    assert dead.states() == {"db": "running"}
