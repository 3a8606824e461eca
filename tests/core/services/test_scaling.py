"""Other numbers of replicas than the file says: what is refused, what is kept, and what each order changes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.model.actions import Goal, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.plain import from_plain, to_plain
from supervisor.core.model.spec import (
    HeartbeatSpec,
    LogSpec,
    Plan,
    RolloutSpec,
    ServiceSpec,
    ServiceType,
    SupervisorSpec,
)
from supervisor.core.services.scaling import (
    Scale,
    Spread,
    as_configured,
    configured,
    deviations,
    enough_ready,
    kept,
    phase,
    scaled,
    surge_of,
    wanted,
    with_present_names,
)
from supervisor.core.services.settled import settled
from supervisor.core.services.status import instance_view, not_ready
from supervisor.core.services.unresolved import completed
from supervisor.errors import NoSuchService, UsageError
from tests.core.services.test_service_set import World, spec

BY = {"uid": 0}


def plan_of(*services: ServiceSpec) -> Plan:
    return Plan(supervisor=SupervisorSpec(), services=services)


def service(name: str = "web", **keys: Any) -> ServiceSpec:
    return ServiceSpec(name=name, command=("x",), **keys)


PLAN = plan_of(
    service(),
    service("db", replicas=3, min_ready=2),
    service("api", ports=(80, 82), replicas=2),
    service("shop", ports=(90, 92), replicas=2, rollout=RolloutSpec(max_surge=1)),
    service("log", log=LogSpec(path="/srv/log")),
    service("logs", log=LogSpec(path="/srv/{instance}.log")),
    service("errors", log=LogSpec(stderr="/srv/log")),
    service("job", type=ServiceType.ONESHOT),
    service("haproxy", heartbeat=HeartbeatSpec(source="haproxy")),
)


def test_numbers_by_service() -> None:
    assert wanted(PLAN, ["web=4", "db=2", "logs=2", "log=1", "api=3"]) == {
        "web": 4, "db": 2, "logs": 2, "log": 1, "api": 3
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        ([], UsageError, "no service is named"),
        (["web"], UsageError, "web: write SERVICE=N, for example web=4"),
        (["web=many"], UsageError, "web=many: write SERVICE=N, for example web=4"),
        (["web=-1"], UsageError, "web=-1: write SERVICE=N, for example web=4"),
        (["web=٤"], UsageError, "web=٤: write SERVICE=N, for example web=4"),
        (["web=0"], UsageError, "web=0: 0 replicas: `supervisor stop web` stops all of them"),
        (["web=10001"], UsageError, "web=10001: at most 10000 replicas"),
        ([f"web={'9' * 5000}"], UsageError, f"web={'9' * 5000}: at most 10000 replicas"),
        (
            ["haproxy=2"],
            UsageError,
            "haproxy=2: there is one HAProxy: others would take its port and its sockets from it",
        ),
        (["job=2"], UsageError, "job=2: a oneshot runs to completion; its number is set in the file"),
        (["db=1"], UsageError, "db=1: min_ready = 2 needs as many replicas"),
        (["api=4"], UsageError, "api=4: ports = 80-82 has 3 ports for 4"),
        (["shop=3"], UsageError, "shop=3: ports = 90-92 has 3 ports for 3 + 1 of rollout.max_surge"),
        (["log=2"], UsageError, "log=2: log.path would be the log of them all: write {instance} in it"),
        (["errors=2"], UsageError, "errors=2: log.stderr would be the log of them all: write {instance} in it"),
        (["web=2", "web=3"], UsageError, "web=3: web is named twice"),
        (["wbe=2"], NoSuchService, "wbe=2: no service is named 'wbe'; did you mean \"web\"?"),
        (["db@1=2"], NoSuchService, "db@1=2: no service is named 'db@1'; scale its service"),
        (
            ["zzz=1", "web=0", "db=x"],
            UsageError,
            "web=0: 0 replicas: `supervisor stop web` stops all of them\ndb=x: write SERVICE=N, for example web=4\n"
            "zzz=1: no service is named 'zzz'",
        ),
    ],
)
def test_all_that_is_wrong_is_said_at_once(words: list[str], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind) as raised:
        wanted(PLAN, words)
    assert (raised.value.message, raised.value.hint) == (said, "Nothing was changed.")  # type: ignore[attr-defined]


def test_a_deviation_is_the_difference_to_the_file() -> None:
    more = scaled(PLAN, {"web": 4, "db": 3})
    assert deviations(more) == {"web": (4, 1)}
    assert deviations(scaled(more, {"web": 2})) == {"web": (2, 1)}
    assert scaled(more, {"web": 1}) == configured(more) == PLAN
    assert from_plain(Plan, to_plain(more)) == more


def test_a_later_daemon_keeps_the_number_until_the_file_changes() -> None:
    more = scaled(PLAN, {"web": 4})
    assert kept(more, PLAN) == more
    assert kept(PLAN, PLAN) == PLAN
    edited = replace(PLAN, services=(service(description="new"), *PLAN.services[1:]))
    assert kept(more, edited) == edited
    lacks = replace(PLAN, services=(service(unresolved=(("command", "gone"),)), *PLAN.services[1:]))
    assert deviations(kept(more, lacks)) == {"web": (4, 1)}
    removed = replace(PLAN, services=PLAN.services[1:])
    assert kept(more, removed) == removed


def test_a_service_that_is_completed_keeps_its_number_and_its_name() -> None:
    lacks = service(unresolved=(("command", "gone"),), replicas=3, configured_replicas=1, first_name="web")
    assert completed(lacks, plan_of(service())) == replace(lacks, unresolved=())
    assert isinstance(completed(lacks, plan_of(service(replicas=2))), str)


def test_a_name_stays_while_its_instance_is_there() -> None:
    one, two = plan_of(service()), plan_of(service(replicas=2))
    assert with_present_names(one, two, {"web"}).services[0].instances == ("web", "web@2")
    assert with_present_names(one, two, set()) == two
    alone = with_present_names(two, one, {"web@1", "web@2"})
    assert alone.services[0].instances == ("web@1",)
    assert with_present_names(alone, two, {"web@1"}) == two
    assert with_present_names(alone, alone, set()) == one
    assert with_present_names(plan_of(), one, {"web"}) == one
    assert as_configured(alone.services[0]) == one.services[0]


@given(st.integers(1, 20), st.none() | st.integers(1, 20), st.integers(0, 20))
def test_enough_are_ready(replicas: int, min_ready: int | None, ready: int) -> None:
    found = enough_ready(service(replicas=replicas, min_ready=min_ready), ready)
    assert found == (ready >= (min(min_ready, replicas) if min_ready is not None else replicas))


# -- orders ------------------------------------------------------------------------------------------------------------


def order(world: World, **numbers: int) -> None:
    plan = scaled(world.service_set.plan, numbers)
    world.take(world.service_set.apply(plan, world.now, BY, scale=True)[1])


@pytest.mark.parametrize(
    ("limit", "replicas", "beside"), [(2, 5, 2), ("1%", 200, 2), ("100%", 200, 200), ("25%", 5, 2), ("1%", 1, 1)]
)
def test_a_part_of_the_replicas_runs_beside_them_rounded_up(limit: int | str, replicas: int, beside: int) -> None:
    assert surge_of(RolloutSpec(max_surge=limit), replicas) == beside


def test_more_and_fewer() -> None:
    world = World(spec("db"), spec("web", replicas=2, depends_on=["db"]))
    world.start()
    order(world, web=4)
    assert world.order[-2:] == ["+web@3", "+web@4"]
    order(world, web=1)
    assert sorted(world.order[-3:]) == ["-web@2", "-web@3", "-web@4"]
    order(world, web=2)
    assert world.order[-1] == "+web@2"
    assert world.states() == {"db": "running", "web@1": "running", "web@2": "running"}
    assert (world["web@1"].incarnation, world["web@1"].restarts) == (1, 0)
    assert not [r for r in world.records if r.cause is Cause.RELOADED], "nothing has changed for those that stay"
    assert world["web@1"].spec.replicas == world["web@1"].running_spec.replicas == 2
    assert {r.instance for r in world.records if r.cause is Cause.SCALED and r.detail.get("by") == BY} == {
        "web@2", "web@3", "web@4"
    }  # fmt: skip


def test_a_service_that_is_stopped_stays_stopped() -> None:
    world = World(spec("web", replicas=2), spec("lazy", autostart=False))
    world.start("lazy")
    order(world, web=3, lazy=2)
    assert world.states() == {
        "web@1": "stopped", "web@2": "stopped", "web@3": "stopped", "lazy": "running", "lazy@2": "running"
    }  # fmt: skip


def test_a_dependency_can_have_fewer() -> None:
    world = World(spec("db", replicas=3, ready={"tcp": "x"}), spec("web", depends_on=["db"]))
    world.start()
    for name in ("db@1", "db@2"):
        world.ready(name)
    assert world.states()["web"] == "starting"
    order(world, db=2)
    assert world.states() == {"db@1": "running", "db@2": "running", "web": "running"}


def test_what_is_left_of_a_scale() -> None:
    world = World(spec("web", replicas=2, ready={"tcp": "x"}))
    world.start()
    order(world, web=3)
    scale = Scale("web", 2, 3, ("web@3", "web@9"), (), world.now, BY)
    world.now += 2.0
    shown = scale.shown(world.service_set.instances, world.now)
    assert shown == {
        "service": "web", "before": 2, "replicas": 3, "starting": ["web@3"], "stopping": [], "began_s": 2.0, "by": BY
    }  # fmt: skip
    world.ready("web@3")
    assert scale.shown(world.service_set.instances, world.now) is None
    fewer = Scale("web", 3, 2, (), ("web@3",), world.now, BY)
    shown = fewer.shown(world.service_set.instances, world.now)
    assert shown is not None and shown["stopping"] == ["web@3"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("scale"), st.integers(1, 5)),
        st.tuples(st.just("dies"), st.integers(1, 5)),
        st.tuples(st.just("stubborn"), st.booleans()),
        st.tuples(st.just("end"), st.integers(1, 5)),
        st.tuples(st.just("reload"), st.integers(1, 5)),
    ),
    max_size=30,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.integers(1, 4), STEPS)
def test_whatever_is_ordered_so_many_run_in_the_end(replicas: int, steps: list[tuple[str, int]]) -> None:
    """As many as were wanted last run, numbered from the lowest; no living one that stays is touched."""
    world = World(spec("db"), spec("web", replicas=replicas, depends_on=["db"], restart={"max_restarts": 1000}))
    world.start()
    number = replicas
    for kind, argument in steps:
        before = {name: world.live[name] for name in world.live}
        if kind == "scale":
            number = argument
            order(world, web=number)
        elif kind == "reload":
            number = argument
            changed = (world.plan.services[0], replace(world.plan.services[1], replicas=number))
            world.take(world.service_set.apply(replace(world.plan, services=changed), world.now)[1])
        elif kind == "stubborn":
            world.obedient = not argument
        elif argument <= len(world.live):
            world.dies(sorted(world.live)[argument - 1])
            continue
        wanted_now = world.service_set.plan.services[1].instances
        staying = {n: i for n, i in before.items() if n in wanted_now and world[n].goal is Goal.UP}
        assert all(world.live.get(n, i) == i for n, i in staying.items() if n not in ("db",))
    world.obedient = True
    for name in list(world.live):
        if world[name].state is State.STOPPING:
            world.dies(name)
    world.advance(200)
    names = world.service_set.plan.services[1].instances
    assert len(names) == number
    assert [name.partition("@")[2] or "1" for name in names] == [str(n) for n in range(1, number + 1)]
    assert set(world.live) == {"db", *names}
    assert world.service_set.removed == set()
    assert deviations(world.service_set.plan).keys() <= {"web"}


# -- not in step -------------------------------------------------------------------------------------------------------


@given(st.integers(2, 50), st.text("abcdefgh", min_size=1, max_size=8))
def test_replicas_take_their_turns_far_from_each_other(count: int, name: str) -> None:
    phases = sorted(phase(f"{name}@{number}") for number in range(1, count + 1))
    gaps = [b - a for a, b in zip(phases, [*phases[1:], phases[0] + 1], strict=True)]
    assert min(gaps) > 0.3 / count
    assert all(0 <= one < 1 for one in phases)
    assert phase(name) == phase(f"{name}@1")
    assert phase("a@b") == phase("a@b@1")


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 20))
def test_delays_of_replicas_differ_at_each_attempt(draw: float, attempts: int) -> None:
    """Whatever the daemon draws, replicas that fail together do not try again together."""
    numbers = [Spread(f"web@{n}", lambda: draw) for n in range(1, 6)]
    for _ in range(attempts):
        drawn = sorted(one() for one in numbers)
        assert all(0 <= number < 1 for number in drawn)
        assert min(b - a for a, b in pairwise(drawn)) > 0.03


def test_replicas_that_fail_together_are_not_started_together() -> None:
    world = World(spec("web", replicas=8, restart={"initial": 1.0, "jitter": 0.2}))
    world.start()
    for name in list(world.live):
        world.dies(name)
    moments: dict[str, float] = {}
    while len(moments) < 8:
        assert world.service_set.deadline is not None
        world.advance(max(0.0, world.service_set.deadline - world.now))
        moments |= {name: world.now for name in world.live if name not in moments}
    assert len(set(moments.values())) == 8
    assert all(0.8 <= at - 100.0 <= 1.2 for at in moments.values())


# -- enough of them ----------------------------------------------------------------------------------------------------


def test_readiness_waits_for_no_more_than_enough() -> None:
    world = World(
        spec("web", replicas=3, min_ready=2, ready={"tcp": "x"}, ports=[80, 82]),
        spec("other", replicas=2, ready={"tcp": "x"}),
    )
    world.start()
    for name in ("web@1", "other@1"):
        world.ready(name)

    def views() -> list[Any]:
        return [instance_view(i, world.now) for i in world.service_set.instances.values()]

    def reached(verb: str, name: str) -> object:
        return settled(verb, name, {view["name"]: view for view in views()}, {})

    assert [view["port"] for view in views()] == [80, 81, 82, None, None]
    assert not_ready(views()) == ["web@2", "web@3", "other@2"]
    assert reached("start", "web@3") is False
    world.ready("web@2")
    assert not_ready(views()) == ["other@2"]
    assert [reached("start", name) for name in ("web@3", "other@2")] == [True, False]
    assert reached("restart", "web@3") is False
