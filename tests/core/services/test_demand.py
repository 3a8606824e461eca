"""On demand: what waits for a connection, what that means for others, and when a run is idle."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.history.outlook import prospect, standing
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Goal, State
from supervisor.core.model.causes import Cause
from supervisor.core.services.demand import SLICE, IdleClock, idle_specs, waiting_specs
from supervisor.core.services.settled import settled
from supervisor.core.services.socket_policy import open_sockets
from supervisor.core.services.status import instance_view, not_ready, should_be_up_but_is_not
from tests.core.services.test_service_set import World, spec

URL = "unix:/run/web"
ON_DEMAND = {"sockets": [{"url": URL, "on_demand": True, "idle": 60.0}]}


def world(*others: Any, **keys: Any) -> World:
    """As when the daemon starts."""
    found = World(spec("web", **{**ON_DEMAND, **keys}), *others)
    found.take(found.service_set.start(list(found.service_set.instances), 100.0, Cause.AUTOSTART))
    return found


def test_what_waits_is_available_and_nothing_runs() -> None:
    one = world(spec("front", depends_on=["web"]))
    assert one.order == ["+front"]
    web = instance_view(one["web"], one.now)
    assert (web["state"], web["goal"], web["ready"], web["pid"]) == ("stopped", "up", True, None)
    assert (web["on_demand"], web["waiting_for"], web["cause"]) == (True, "a connection", "on-demand")
    assert standing(web) == "on demand: it waits for a connection, for 0 s"
    told = "the next connection starts it (at once with: supervisor start web)"
    assert prospect(web) == {"what": told, "in_s": None}
    rows = {name: instance_view(i, one.now) for name, i in one.service_set.instances.items()}
    assert not should_be_up_but_is_not(web)
    assert not not_ready(list(rows.values()))
    assert settled("start", "web", rows, {}) is True
    assert open_sockets(one.service_set.instances.values()) == {URL}
    assert set(waiting_specs(one.service_set.instances.values())) == {"web"}


def test_a_connection_starts_it_and_without_one_it_is_stopped() -> None:
    one = world(spec("front", depends_on=["web"], on_dependency_restart="restart"))
    for run in (1, 2):
        one.post("web", ev.Connected(URL))
        assert (one["web"].state, one["web"].incarnation) == (State.RUNNING, run)
        assert set(idle_specs(one.service_set.instances.values())) == {("web", run)}
        assert not waiting_specs(one.service_set.instances.values())
        one.post("web", ev.Idle(run, 60.0))
        assert one["web"].dormant
    assert one["front"].incarnation == 1, "what depends on it does not notice"
    assert one["web"].restarts == 0


def test_each_replica_waits() -> None:
    one = world(replicas=2, sockets=[{"url": "tcp://127.0.0.1:80", "on_demand": True, "reuseport": True}])
    waiting = waiting_specs(one.service_set.instances.values())
    assert {name: [s.url for s in found.sockets] for name, found in waiting.items()} == {
        "web@1": ["tcp://127.0.0.1:80#1"],
        "web@2": ["tcp://127.0.0.1:80#2"],
    }
    one.post("web@1", ev.Connected("tcp://127.0.0.1:80#1"))
    assert not idle_specs(one.service_set.instances.values()), "without idle it stays"


def test_only_by_name_it_is_started_at_once() -> None:
    one = world(spec("front", depends_on=["web"]))
    one.stop()
    one.start("front")
    assert (one["web"].goal, one["web"].dormant, one["front"].state) == (Goal.UP, True, State.RUNNING)
    one.start("web")
    assert one["web"].state is State.RUNNING


def test_its_connection_waits_for_what_it_depends_on() -> None:
    one = world(spec("db", ready={"notify": True}), depends_on=["db"])
    one.post("web", ev.Connected(URL))
    assert (one["web"].state, one["web"].waiting_for) == (State.STARTING, "db")
    one.ready("db")
    assert one["web"].state is State.RUNNING


@pytest.mark.parametrize("verb", ["stop", "shutdown", "remove"])
def test_what_is_no_longer_wanted_is_not_started_by_a_connection(verb: str) -> None:
    one = world()
    if verb == "stop":
        one.stop("web")
    elif verb == "shutdown":
        one.take(one.service_set.shutdown(one.now))
    else:
        one.take(one.service_set.apply(one.plan.__class__(supervisor=one.plan.supervisor, services=()), one.now)[1])
    one.post("web", ev.Connected(URL))
    assert not one.order
    assert not open_sockets(one.service_set.instances.values())


def test_a_fallback_waits_on_the_same_socket() -> None:
    one = world(
        spec(
            "main",
            sockets=[{"url": URL}],
            restart={"fallback": "web", "max_restarts": 1, "initial": 1.0, "jitter": 0.0},
        ),
        autostart=False,
    )
    one.stop("web")
    for _ in range(2):
        one.dies("main")
        one.advance(1.0)
    assert (one["main"].state, one["web"].dormant) == (State.FAILED, True)
    assert open_sockets(one.service_set.instances.values()) == {URL}


def test_it_counts_as_started() -> None:
    one = world(spec("front", depends_on=["web"], dependencies=[{"service": "web", "condition": "started"}]))
    assert one["front"].state is State.RUNNING


def test_maintenance_leaves_it_alone() -> None:
    one = world()
    one.take(one.service_set.step("web", ev.BeginMaintenance(at=0.0), one.now))
    assert one["web"].dormant
    assert not waiting_specs(one.service_set.instances.values()), "its connection waits until that is over"
    assert open_sockets(one.service_set.instances.values()) == {URL}
    one.start("web")
    assert not idle_specs(one.service_set.instances.values())


def test_one_that_is_idle_and_not_stopped_is_idle_again_later() -> None:
    clock = IdleClock(IDLE, 0.0)
    assert [(clock.due, clock.looked(0, clock.due)) for _ in range(3)] == [(6.0, False), (66.0, True), (126.0, True)]


def test_the_connection_that_started_it_may_have_been_open_until_a_moment_ago() -> None:
    clock = IdleClock(IDLE, 0.0)
    assert not clock.looked(1, clock.due)
    while clock.due < 59.0:
        assert not clock.looked(1, clock.due)
    assert not clock.looked(0, clock.due)
    assert clock.due >= 59.0 + IDLE


# -- idle --------------------------------------------------------------------------------------------------------------

IDLE = 60.0
STAYS = st.tuples(st.floats(0.0, 400.0), st.floats(0.0, 200.0))
"""When a connection comes, and for how long it is open."""


@given(st.lists(STAYS, max_size=12))
def test_it_is_idle_at_the_latest_a_tenth_after_it_could_be(stays: list[tuple[float, float]]) -> None:
    """Plays connections against one clock: never earlier than `idle` after the last was closed, and not much later."""
    opened, closed = sorted(at for at, _ in stays), [at + lasts for at, lasts in stays]
    clock, now, noticing, looks = IdleClock(IDLE, 0.0), 0.0, False, 0
    while True:
        nearest = next((at for at in opened if at >= now), None) if noticing else None
        if nearest is not None and nearest <= clock.due:
            now, noticing = nearest, False
            opened = [at for at in opened if at > nearest]
            clock.connected(now)
            continue
        assert clock.due >= now
        now, noticing, looks = clock.due, True, looks + 1
        opened = [at for at in opened if at > now]
        if clock.looked(sum(at <= now < at + lasts for at, lasts in stays), now):
            break
    before = [0.0, *(end for (at, _), end in zip(stays, closed, strict=True) if at <= now)]
    assert max(before) + IDLE <= now + 1e-6
    assert now <= max(before) + IDLE * (1 + 1 / SLICE) + 1e-6
    assert looks <= (now / IDLE + 1) * (SLICE + 1), "looks are rare"
