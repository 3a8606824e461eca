"""Restarts after failures: never more at once than host and group allow, and none waits beside a free place."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.model import events as ev
from supervisor.core.model.actions import Goal, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import GroupSpec, Plan, ServiceSpec, SupervisorSpec
from supervisor.core.services.service_set import ServiceSet
from supervisor.core.services.status import instance_view
from supervisor.core.text.waiting import waits_for
from tests.core.services.test_service_set import World, spec


def member(name: str, group: str | None = None, **keys: Any) -> ServiceSpec:
    rule = {"jitter": 0.0, "initial": 0.0, "max_restarts": 100}
    return spec(name, group_name=group, ready={"tcp": "x"}, start_timeout=20.0, restart=rule, **keys)


class Groups(World):
    """All services run and are ready; the limits are those of the host and of the groups."""

    def __init__(self, *services: ServiceSpec, slots: int = 8, **limits: int | None) -> None:
        super().__init__(*services, slots=slots)
        groups = tuple(GroupSpec(name=name, max_concurrent_restarts=limit) for name, limit in limits.items())
        self.plan = replace(self.plan, groups=groups)
        self.service_set = ServiceSet(self.plan, lambda: 0.5)
        self.start()
        for s in services:
            self.ready(s.name)

    def restarting(self) -> set[str]:
        instances = self.service_set.instances.values()
        return {i.name for i in instances if i.name in self.live and i.recovering and i.state is State.STARTING}

    def waiting(self) -> list[str]:
        return [i.name for i in self.service_set.instances.values() if i.waiting_for.startswith("a restart slot")]


def test_a_full_group_holds_no_other_group() -> None:
    world = Groups(*(member(f"a{n}", "shop") for n in range(4)), member("b", "mail"), member("c"), slots=4, shop=2)
    for name in ("a0", "a1", "a2", "a3", "b", "c"):
        world.dies(name)
    assert world.restarting() == {"a0", "a1", "b", "c"}
    row = instance_view(world["a2"], world.now)
    assert waits_for(row) == "a restart slot of its group shop (2 of 2 restart already)"
    world.ready("b")
    assert world.restarting() == {"a0", "a1", "c"}, "a place of the host is no place of the group"
    world.ready("a1")
    assert world.restarting() == {"a0", "a2", "c"}, "the first that waited is the next"
    assert world.waiting() == ["a3"]


def test_a_group_has_no_more_places_than_the_host() -> None:
    world = Groups(*(member(f"a{n}", "shop") for n in range(3)), slots=1, shop=2)
    for n in range(3):
        world.dies(f"a{n}")
    assert world.restarting() == {"a0"}
    assert world["a1"].waiting_for == "a restart slot"


def test_a_group_without_a_limit_and_a_first_start_have_none() -> None:
    world = Groups(*(member(f"a{n}", "shop") for n in range(3)), shop=None)
    for n in range(3):
        world.dies(f"a{n}")
    assert len(world.restarting()) == 3
    world = Groups(*(member(f"a{n}", "shop") for n in range(3)), shop=1)
    assert len(world.live) == 3, "a first start is not braked"
    world.stop()
    world.start()
    assert len(world.live) == 3, "nor is one by order"


def test_a_reload_changes_the_limit_at_once() -> None:
    world = Groups(*(member(f"a{n}", "shop") for n in range(4)), shop=1)
    for n in range(4):
        world.dies(f"a{n}")
    assert world.restarting() == {"a0"}
    wider = replace(world.plan, groups=(GroupSpec(name="shop", max_concurrent_restarts=3),))
    world.take(world.service_set.apply(wider, world.now)[1])
    assert world.restarting() == {"a0", "a1", "a2"}
    world.take(world.service_set.apply(replace(wider, groups=()), world.now)[1])
    assert world.restarting() == {"a0", "a1", "a2", "a3"}


def test_the_new_process_of_a_rollout_takes_no_place() -> None:
    """An instance that failed and has got another definition starts as a first start does."""
    late = spec("a1", group_name="shop", ready={"tcp": "x"}, restart={"initial": 10.0})
    world = Groups(member("a0", "shop"), late, shop=1)
    world.dies("a0")
    world.dies("a1")
    assert (world.restarting(), world["a1"].state) == ({"a0"}, State.BACKOFF)
    world.post("a1", ev.Replace(replace(world["a1"].spec, description="new"), "2", Cause.ROLLED_OUT))
    assert (world.live.keys(), world.waiting()) == ({"a0", "a1"}, [])


def test_a_service_that_changes_its_group_takes_a_place_of_the_new_one() -> None:
    services = [*(member(f"a{n}", "shop") for n in range(3)), member("b", "mail")]
    world = Groups(*services, shop=1)
    for n in range(3):
        world.dies(f"a{n}")
    moved = [replace(s, group_name="mail") if s.name == "a0" else s for s in services]
    world.take(world.service_set.apply(replace(world.plan, services=tuple(moved)), world.now)[1])
    assert world.restarting() == {"a0", "a1"}


def test_a_dependency_that_fails_meanwhile_takes_no_place_of_the_group() -> None:
    slow = {"jitter": 0.0, "initial": 50.0}
    services = (
        spec("db", restart=slow, ready={"tcp": "x"}, start_timeout=100.0),
        member("a0", "shop"),
        member("a1", "shop", depends_on=["db"]),
        member("a2", "shop"),
    )
    world = Groups(*services, shop=1)
    world.ready("a1")
    for name in ("a0", "a1", "a2"):
        world.dies(name)
    world.dies("db")
    world.ready("a0")
    assert world.restarting() == {"a2"}
    assert world["a1"].waiting_for == "db"


GROUPS = (None, "g", "h")
SERVICES = tuple(member(f"s{n}", GROUPS[n % 3]) for n in range(9))
NAMES = st.sampled_from([s.name for s in SERVICES])
STEPS = st.one_of(
    st.tuples(st.sampled_from(["die", "die", "die", "ready", "start", "stop"]), NAMES),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 25.0])),
    st.tuples(st.just("limits"), st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 5))),
    st.tuples(st.just("obedient"), st.booleans()),
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_never_more_than_the_limits_and_none_waits_beside_a_free_place(steps: list[tuple[str, Any]]) -> None:
    world = Groups(*SERVICES, slots=3, g=2, h=1)
    limits = {"g": 2, "h": 1}
    slots = 3
    before: set[str] = set()
    for what, detail in steps:
        match what:
            case "die" if detail in world.live:
                world.dies(detail)
            case "ready" | "start" | "stop":
                getattr(world, what)(detail)
            case "wait":
                world.advance(detail)
            case "limits":
                limits, slots = {"g": detail[0], "h": detail[1]}, detail[2]
                groups = tuple(GroupSpec(name=name, max_concurrent_restarts=limit) for name, limit in limits.items())
                plan = Plan(supervisor=SupervisorSpec(max_concurrent_restarts=slots), services=SERVICES, groups=groups)
                world.take(world.service_set.apply(plan, world.now)[1])
            case "obedient":
                world.obedient = detail
        taken = world.restarting()
        used = Counter(world[name].spec.group_name for name in taken)
        new = taken - before
        assert not new or len(taken) <= slots
        assert all(used[group] <= limit for group, limit in limits.items() if any(
            world[name].spec.group_name == group for name in new
        ))  # fmt: skip
        for name in world.waiting():
            group = world[name].spec.group_name
            assert world[name].goal is Goal.UP
            assert len(taken) >= slots or used[group] >= limits.get(str(group), slots), f"{name} waits beside a place"
        before = taken
