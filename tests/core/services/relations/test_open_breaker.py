"""`breaker.on_open`: what dependants do while the breaker of a service is open."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.history.outlook import prospect
from supervisor.core.lifecycle.snapshot import Phase
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Goal, State
from supervisor.core.model.causes import Cause
from supervisor.core.restart.tracker import Breaker
from supervisor.core.services.hook_triggers import triggers
from supervisor.core.services.status import instance_view
from supervisor.core.text.causes import phrase
from supervisor.display.status_row import note
from tests.core.services.test_service_set import World, spec

FRAGILE = {"max_restarts": 0, "jitter": 0.0, "cooldown": 10.0, "reset_after": 20.0}


def db(on_open: str = "stop", **keys: Any) -> Any:
    restart = FRAGILE | keys.pop("restart", {})
    return spec("db", breaker={"on_open": on_open}, ready={"notify": True}, restart=restart, **keys)


API, WEB = spec("api", depends_on=["db"]), spec("web", depends_on=["api"])


def up(world: World) -> None:
    world.start()
    for name in [name for name in world.live if name.startswith("db")]:
        world.ready(name)


def test_hold() -> None:
    world = World(db("hold"), API, spec("late", depends_on=["db"], autostart=False))
    up(world)
    world.stop("late")
    world.dies("db")
    assert world.states() == {"db": "failed", "api": "running", "late": "stopped"}
    world.start("late")  # that is a trial of what it depends on
    world.dies("db")
    assert world.states() == {"db": "failed", "api": "running", "late": "starting"}
    assert (world["late"].waiting_for, world["late"].waiting_because) == ("db", "its breaker is open")
    world.advance(20.0)
    assert (world.states()["db"], world["late"].waiting_because) == ("starting", "its breaker has not closed yet")
    world.ready("db")
    assert world.states() == {"db": "running", "api": "running", "late": "running"}


def test_stop_in_order_and_start_again_when_it_has_closed() -> None:
    world = World(db(), API, WEB, spec("other"))
    up(world)
    world.order.clear()
    world.dies("db")
    assert world.order == ["-db", "-web", "-api"]
    assert world.states() == {"db": "failed", "api": "starting", "web": "starting", "other": "running"}
    assert {world[name].waiting_for for name in ("api", "web")} == {"db"}
    ended = [r for r in world.records if r.cause is Cause.DEPENDENCY_FAILED and r.after is State.STOPPING]
    assert [(r.instance, r.detail) for r in ended] == [("web", {"service": "db"}), ("api", {"service": "db"})]
    assert phrase(ended[0].cause, ended[0].detail) == "stopped until the breaker of db closes"
    assert phrase(ended[0].cause, {}) == "starts again when the breaker of what it depends on closes"
    row = instance_view(world["web"], world.now)
    assert note(row) == "waiting for db (its breaker is open)"
    assert "it still waits for db (its breaker is open)" in prospect(row)["what"]
    world.advance(10.0)
    world.ready("db")
    assert world["db"].tracker.breaker is Breaker.HALF_OPEN
    assert world.states() == {"db": "running", "api": "starting", "web": "starting", "other": "running"}
    world.advance(20.0)
    assert world["db"].tracker.breaker is Breaker.CLOSED
    assert world.order[3:] == ["+db", "+api", "+web"]
    assert world["other"].incarnation == 1
    again = [r for r in world.records if r.detail.get("phase") == "spawn" and r.cause is Cause.DEPENDENCY_FAILED]
    assert [triggers(r) for r in again] == [{"restarted"}, {"restarted"}]


def test_a_reset_closes_it_at_once() -> None:
    world = World(db(), API)
    up(world)
    world.dies("db")
    world.advance(10.0)
    world.ready("db")
    assert world.states()["api"] == "starting"
    world.take(world.service_set.reset(["db"], world.now))
    assert world.states()["api"] == "running"


def test_the_stop_of_a_person_holds() -> None:
    world = World(db(), API, WEB)
    world.start("api")
    world.ready("db")
    world.dies("db")
    world.stop("api")
    assert world.states() == {"db": "failed", "api": "stopped", "web": "stopped"}
    world.advance(10.0)
    world.ready("db")
    world.advance(60.0)
    assert world.states() == {"db": "running", "api": "stopped", "web": "stopped"}


def test_what_was_stopped_before_stays_so() -> None:
    world = World(db(), API, WEB)
    world.start("db")
    world.ready("db")
    world.dies("db")
    world.advance(10.0)
    world.ready("db")
    world.advance(60.0)
    assert world.states() == {"db": "running", "api": "stopped", "web": "stopped"}


def test_each_waits_for_the_end_of_its_own_dependants() -> None:
    world = World(db(), API, WEB)
    up(world)
    world.obedient = False
    world.dies("db")
    assert world.states() == {"db": "failed", "api": "running", "web": "stopping"}
    world.obedient = True
    world._end("web", 1, 0, None)
    world.take([])
    assert world.states() == {"db": "failed", "api": "starting", "web": "starting"}


def test_a_start_under_way_is_ended_too() -> None:
    world = World(db(), spec("api", depends_on=["db"], ready={"notify": True}))
    up(world)
    assert world["api"].phase is Phase.UP
    world.dies("db")
    assert (world.states()["api"], world["api"].phase) == ("starting", Phase.WAITING)


def test_who_is_left_alone() -> None:
    job = spec("job", type="oneshot", depends_on=["db"])
    how = [{"service": "db", "required": False}]
    optional = spec("optional", depends_on=["db"], dependencies=how)
    kept = spec("kept", depends_on=["db"])
    front = spec("front", depends_on=["kept"])
    world = World(db(), job, optional, kept, front)
    up(world)
    world.take(world.service_set.begin_maintenance(["kept"], world.now, ev.BeginMaintenance(1.0)))
    world.dies("db")
    assert world.states() == {
        "db": "failed", "job": "running", "optional": "running", "kept": "running", "front": "starting",
    }  # fmt: skip


def test_a_shutdown_goes_its_own_way() -> None:
    world = World(db(), API)
    up(world)
    world.obedient = False
    world.take(world.service_set.shutdown(world.now))
    world._end("db", 1, 1, None)
    world.take([])
    assert world.states() == {"db": "stopped", "api": "stopping"}
    assert not [r for r in world.records if r.cause is Cause.DEPENDENCY_FAILED]


@pytest.mark.parametrize(("keys", "stopped"), [({}, 3), ({"min_ready": 2}, 2), ({"min_ready": 3}, 1)])
def test_replicas(keys: dict[str, Any], stopped: int) -> None:
    """It is open when too few instances are left."""
    world = World(db(replicas=3, **keys), API)
    up(world)
    for number in (1, 2, 3):
        world.dies(f"db@{number}")
        assert world.states()["api"] == ("running" if number < stopped else "starting"), number


def test_one_that_a_person_stopped_is_not_missed() -> None:
    world = World(db(replicas=2), API)
    up(world)
    world.stop("db@2")
    assert world.states()["api"] == "running"
    world.dies("db@1")
    assert world.states()["api"] == "starting"
    world.stop("db@1")  # it waits for one that is stopped now, whatever its breaker is
    assert (world["api"].waiting_for, world["api"].waiting_because) == ("db@1", "")


def test_ignore() -> None:
    world = World(db("ignore"), API, WEB)
    world.start("db")
    world.dies("db")
    world.take(world.service_set.step("api", ev.Start(), world.now))
    assert world.states() == {"db": "failed", "api": "running", "web": "stopped"}
    world.stop("api")
    world.stop("db")
    world.take(world.service_set.step("api", ev.Start(), world.now))
    assert (world.states()["api"], world["api"].waiting_for) == ("starting", "db")  # a person stopped it


def test_ignore_while_it_is_tried() -> None:
    world = World(db("ignore"), API)
    world.start("db")
    world.dies("db")
    world.start("api")
    assert world.states() == {"db": "starting", "api": "running"}


def test_a_reload_takes_effect_at_once() -> None:
    world = World(db(), API)
    up(world)
    world.dies("db")
    ignoring = replace(world.plan, services=(db("ignore"), API))
    world.take(world.service_set.apply(ignoring, world.now)[1])
    assert world.states() == {"db": "failed", "api": "running"}
    world.take(world.service_set.apply(world.plan, world.now)[1])
    assert world.states() == {"db": "failed", "api": "starting"}


PAGE = spec("page", autostart=False, ready={"notify": True}, replicas=2, min_ready=1)


@pytest.mark.parametrize("on_open", ["hold", "stop"])
def test_a_fallback_that_is_up_counts_as_the_service(on_open: str) -> None:
    world = World(PAGE, db(on_open, restart={"fallback": "page"}), API)
    world.start("db", "api")
    world.dies("db")
    assert (world.states()["api"], world["api"].waiting_for) == ("starting", "db")
    world.ready("page@1")
    assert world.states()["api"] == "running"
    world.advance(10.0)  # the trial: the fallback is over, and what is up goes on
    assert world.states() == {"page@1": "stopped", "page@2": "stopped", "db": "starting", "api": "running"}
    world.dies("db")
    assert world.states()["api"] == "running"


def test_a_fallback_completes_nothing() -> None:
    how = [{"service": "db", "condition": "completed"}, {"service": "page", "condition": "started"}]
    job = spec("db", type="oneshot", restart=FRAGILE | {"fallback": "page"})
    world = World(spec("page", autostart=False), job, spec("api", depends_on=["db"], dependencies=how[:1]))
    world.start("db", "api")
    world.dies("db")
    assert (world.states()["page"], world["api"].waiting_for) == ("running", "db")


def test_a_fallback_that_has_failed_too() -> None:
    page = spec("page", autostart=False, restart=FRAGILE)
    world = World(page, db(restart={"fallback": "page"}), API)
    world.start("db", "api")
    world.ready("db")
    world.dies("db")
    assert world.states() == {"page": "running", "db": "failed", "api": "running"}
    world.dies("page")
    assert world.states() == {"page": "failed", "db": "failed", "api": "starting"}


def crashed(world: World, services: list[Any]) -> World:
    """The world with another daemon, which took over after a crash."""
    heir = World(*services)
    heir.now, heir.live, heir.order = world.now, world.live, world.order
    for name, instance in world.service_set.instances.items():
        heir.service_set.restore(name, instance.snapshot(world.now), crashed=True)
    found: dict[str, Any] = {
        name: ev.Adopted(i.incarnation, 1000, 1.0) if name in heir.live else ev.NotFoundOnAdoption(i.incarnation, True)
        for name, i in heir.service_set.instances.items()
        if i.alive
    }
    heir.take(heir.service_set.resume(found, heir.now))
    return heir


def test_a_crash_in_the_middle_changes_nothing() -> None:
    services = [db(), API, WEB]
    world = World(*services)
    up(world)
    world.obedient = False
    world.dies("db")
    assert world.states() == {"db": "failed", "api": "running", "web": "stopping"}
    heir = crashed(world, services)  # web has its signal, api not yet
    assert heir.order[-2:] == ["-web", "-api"]
    assert heir.states() == {"db": "failed", "api": "starting", "web": "starting"}
    heir = crashed(heir, services)
    assert heir.states() == {"db": "failed", "api": "starting", "web": "starting"}
    heir.advance(10.0)
    heir.ready("db")
    heir.advance(20.0)
    assert heir.states() == {"db": "running", "api": "running", "web": "running"}


NAMES = st.sampled_from(["db", "api", "web", "page"])
STEPS = st.one_of(
    st.tuples(st.sampled_from(["die", "ready"]), NAMES),
    st.tuples(st.sampled_from(["start", "stop", "restart", "reset"]), st.sampled_from(["db", "api", "web"])),
    st.tuples(st.just("advance"), st.sampled_from([0.5, 5.0, 11.0, 30.0])),
    st.tuples(st.just("crash"), st.just("")),
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=40), st.sampled_from(["stop", "hold", "ignore"]), st.booleans())
def test_whatever_happens(steps: list[tuple[str, Any]], on_open: str, with_fallback: bool) -> None:
    """What is wanted is what was ordered last; with `stop` nothing runs below an open breaker, and nothing is started
    below one that has not closed; and in the end everything that is wanted runs."""
    page = spec("page", autostart=False)
    services = [page, db(on_open, restart={"fallback": "page"} if with_fallback else {}), API, WEB]
    world = World(*services)
    wanted: dict[str, bool] = dict.fromkeys(("db", "api", "web"), False)
    for what, arg in [*steps, ("advance", 200.0), ("ready", "db"), ("advance", 300.0), ("ready", "db")]:
        started = dict(world.live)
        was_closed = world["db"].tracker.breaker is Breaker.CLOSED
        if what == "die" and arg in world.live:
            world.dies(arg)
        elif what == "ready" and arg in world.live:
            world.ready(arg)
        elif what == "advance":
            world.advance(arg)
        elif what == "crash":
            world = crashed(world, services)
        elif what == "start":
            below = {"db": ["db"], "api": ["db", "api"], "web": ["db", "api", "web"]}[arg]
            wanted.update(dict.fromkeys(below, True))
            world.start(arg)
        elif what == "stop":
            wanted[arg] = False
            world.stop(arg)
        elif what == "restart":
            wanted[arg] = True
            world.take(world.service_set.restart([arg], world.now))
        elif what == "reset":
            world.take(world.service_set.reset([arg], world.now))
        assert {name: world[name].goal is Goal.UP for name in wanted} == wanted
        covered = world["page"].goal is Goal.UP and world["page"].state not in (State.FAILED, State.EXITED)
        if on_open == "stop" and world["db"].state is State.FAILED and not covered:
            assert not {"api", "web"} & world.live.keys()
        closed = world["db"].tracker.breaker is Breaker.CLOSED or world["db"].goal is Goal.DOWN
        if on_open == "stop" and not (closed or was_closed or with_fallback):
            assert not {n for n in ("api", "web") if world.live.get(n, 0) > started.get(n, world[n].incarnation)}
    world.take(world.service_set.reset(["db", "api", "web"], world.now))
    for name in ("db", "api", "web"):
        if wanted["db"] and wanted[name] and (name != "web" or wanted["api"]):
            world.ready("db")
            assert world[name].state in (State.RUNNING, State.BACKOFF, State.FAILED), name
