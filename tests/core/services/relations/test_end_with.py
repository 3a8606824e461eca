"""When everything ends with one service, and with which exit code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model import events as ev
from supervisor.core.model.causes import Cause
from supervisor.core.services.relations.end_with import ended_with
from tests.core.services.test_service_set import World, spec


def world(**restart: Any) -> World:
    made = World(spec("db"), spec("tests", end_with=True, restart={"policy": "never"} | restart))
    made.start()
    return made


def found(made: World) -> Any:
    return ended_with(made.service_set.instances.values())


@pytest.mark.parametrize(("code", "signal", "wanted"), [(0, None, 0), (3, None, 3), (None, 9, 137), (None, None, 1)])
def test_its_exit_code(code: int | None, signal: int | None, wanted: int) -> None:
    made = world()
    assert found(made) is None
    made.post("tests", ev.Exited(1, code, signal, True))
    assert found(made) == ("tests", wanted)


def test_a_failure_that_was_found_is_no_success() -> None:
    made = world()
    tests: Instance = made["tests"]
    made.dies("tests", 0)
    tests.cause = Cause.SILENT
    assert found(made) == ("tests", 1)


def test_what_is_tried_again_stopped_or_left_alone_has_not_ended() -> None:
    again = world(policy="always", initial=1.0)
    again.dies("tests")
    assert found(again) is None
    stopped = world()
    stopped.stop("tests")
    assert found(stopped) is None
    kept = world()
    kept.take(kept.service_set.begin_maintenance(["tests"], kept.now, ev.BeginMaintenance(0.0)))
    kept.dies("tests")
    assert found(kept) is None
    kept.take(kept.service_set.end_maintenance(["tests"], kept.now))
    assert found(kept) == ("tests", 1)


def test_the_set_knows_whether_it_has_one() -> None:
    made = world()
    assert made.service_set.ends_with_one
    plan = replace(made.plan, services=made.plan.services[:1])
    made.take(made.service_set.apply(plan, made.now)[1])
    assert not made.service_set.ends_with_one
