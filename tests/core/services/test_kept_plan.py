"""The plan that a daemon keeps for the one after it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from supervisor.core.services.kept_plan import only, without_taken_out
from tests.core.services.test_service_set import World, spec

REMOVED = {"state": "stopping", "goal": "down", "wanted_by": "removed"}


def changed(**more: Any) -> World:
    """`old` runs, and does not end, while a changed plan wants it in another environment."""
    world = World(spec("db"), spec("old", depends_on=["db"], **more), spec("web"))
    world.start()
    world.obedient = False
    plan = replace(world.plan, services=(spec("old", environment=[["N", "2"]], **more), spec("web")))
    world.take(world.service_set.apply(plan, world.now)[1])
    return world


def test_where_nothing_was_written_the_former_definition_is_kept_until_its_process_has_ended() -> None:
    world = changed()
    assert world.service_set.plan_to_keep().services[-2].environment == (("N", "2"),)
    kept = world.service_set.plan_to_keep(unwritten=True)
    assert [s.name for s in kept.services] == ["db", "old", "web"]
    assert kept.services[1].environment == () and kept.services[1].depends_on == (), "as in the plan in force"
    world.obedient = True
    world._end("old", 1, 0, None)
    world._end("db", 1, 0, None)
    world.take([])
    assert world.service_set.plan_to_keep(unwritten=True) is world.service_set.plan


def test_of_what_is_rolled_out_the_rollouts_tell() -> None:
    world = changed(rollout={})
    assert world.service_set.rollouts is not None
    assert [s.name for s in world.service_set.plan_to_keep(unwritten=True).services] == ["db", "old", "web"]


def test_what_is_left_depends_on_nothing_that_is_not_there() -> None:
    tables = [{"service": "a"}, {"service": "b"}]
    plan = World(spec("a"), spec("b"), spec("c", depends_on=["a", "b"], dependencies=tables), spec("d")).plan
    found = only(plan, {"b", "c", "d"}).services
    assert [s.name for s in found] == ["b", "c", "d"] and found[2] is plan.services[3]
    assert found[1].depends_on == ("b",) and [d.service for d in found[1].dependencies] == ["b"]


@pytest.mark.parametrize(
    ("saved", "left"),
    [
        ({}, ["a", "b"]),
        ({"a": REMOVED}, ["b"]),
        ({"a": {**REMOVED, "wanted_by": "stopped-by-user"}}, ["a", "b"]),
        ({"b@1": REMOVED}, ["a", "b"]),
        ({"b@1": REMOVED, "b@2": REMOVED}, ["a"]),
    ],
)
def test_what_was_taken_out_is_not_in_the_plan_of_a_refused_file(saved: dict[str, Any], left: list[str]) -> None:
    plan = World(spec("a"), spec("b", replicas=2)).plan
    assert [s.name for s in without_taken_out(plan, saved).services] == left
