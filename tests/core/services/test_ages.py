"""Ages and remaining times in what is shown are exact from the first moment to the last, and never below 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from supervisor.core.balancing.load import Load
from supervisor.core.balancing.slots import Slot, SlotState
from supervisor.core.cluster.orders import Order
from supervisor.core.cluster.requests import Node
from supervisor.core.detection.members import Ended
from supervisor.core.model import events as ev
from supervisor.core.services.breaker_status import breaker_status
from supervisor.core.services.maintenance import view
from supervisor.core.services.rollout import Stage
from supervisor.core.services.scaling import Scale
from supervisor.core.services.status import instance_view
from supervisor.core.text.units import span
from tests.core.balancing.test_load import SPEC
from tests.core.cluster.test_orders import carried_out
from tests.core.services.test_processes import ONE, beating
from tests.core.services.test_rollouts import Fleet, web
from tests.core.services.test_service_set import World, spec


def failed(**restart: Any) -> World:
    world = World(spec("web", restart={"jitter": 0.0, **restart}))
    world.start()
    world.dies("web")
    return world


def of_a_rollout(age: float) -> list[object]:
    fleet = Fleet(web())
    fleet.reload(web("new"))
    fleet.now += age
    shown = fleet.shown()
    return [shown["began_s"], shown["since_s"]]


def of_a_scale(age: float) -> list[object]:
    world = World(spec("web", ready={"tcp": "x"}))
    shown = Scale("web", 1, 1, (), ("web",), 50.0, {}).shown(world.service_set.instances, 50.0 + age)
    return [shown and shown["began_s"]]


def of_a_state(age: float) -> list[object]:
    world = failed(initial=9.0)
    row = instance_view(world["web"], world.now + age)
    return [row["since_s"]]


def of_a_process_that_was_ended(age: float) -> list[object]:
    instance = beating(ONE)
    assert instance.members is not None
    instance.members.ended = Ended(7, 130.0)
    ended = instance_view(instance, 130.0 + age).get("ended_process")
    return [ended and ended["ago_s"]]


def of_a_slot(age: float) -> list[object]:
    (slot,) = Load().view(SPEC, [Slot(1, SlotState.ACTIVE, "web@1", 1, "h:1", since=5.0)], up=True, now=5.0 + age)[
        "slots"
    ]
    return [slot["since_s"]]


def of_what_another_host_told(age: float) -> list[object]:
    nodes = {"/status/a": Node("{}", 0, 5, modified=50.0), "/status/b": Node("{}", 0, 6, modified=50.0 + age)}
    _, orders = carried_out(Order("1", "summary", "a"), nodes=nodes)
    return [orders.outcomes()[0]["record"]["age_s"]]


def until_the_end_of_maintenance(left: float) -> list[object]:
    world = World(spec("web"))
    world.take(world.service_set.begin_maintenance(["web"], 50.0, ev.BeginMaintenance(1e9, 60.0, "")))
    shown = view(world["web"], 110.0 - left)
    return [shown and shown["ends_in_s"]]


def until_the_next_try(left: float) -> list[object]:
    world = failed(initial=9.0)
    return [instance_view(world["web"], world.now + 9.0 - left)["next_restart_in_s"]]


def until_the_next_trial(left: float) -> list[object]:
    world = failed(max_restarts=0, cooldown=10.0)
    web = world["web"]
    return [breaker_status(web.spec, [web], None, world.now + 10.0 - left)["next_trial_in_s"]]


@pytest.mark.parametrize(("seconds", "shown"), [(-3.0, 0.0), (0.0, 0.0), (0.25, 0.25), (2.5, 2.5)])
@pytest.mark.parametrize(
    "told",
    [
        of_a_rollout, of_a_scale, of_a_state, of_a_process_that_was_ended, of_a_slot, of_what_another_host_told,
        until_the_end_of_maintenance, until_the_next_try, until_the_next_trial,
    ],
)  # fmt: skip
def test_seconds(told: Callable[[float], list[object]], seconds: float, shown: float) -> None:
    assert told(seconds) == [shown] * len(told(seconds))


@pytest.mark.parametrize("age", [0.0, 0.25, 2.5])
def test_the_problem_of_a_halted_rollout_says_since_when(age: float) -> None:
    fleet = Fleet(web())
    fleet.reload(web("new"))
    assert fleet.service_set.rollouts is not None
    halted = replace(fleet.rollout, stage=Stage.HALTED, reason="bad", changed=fleet.now)
    fleet.service_set.rollouts.by_service["web"] = halted
    fleet.now += age
    (problem,) = fleet.problems()
    assert f"was halted {span(age)} ago (bad)" in problem
