"""The steps of a stop: what the record, the status and `why` say of them, and a reload in the middle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from supervisor.core.history.outlook import prospect
from supervisor.core.model import events as ev
from supervisor.core.model.actions import State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import StopStep
from supervisor.core.services.status import instance_view
from supervisor.core.text.causes import phrase
from supervisor.display.status_row import note
from tests.core.services.test_service_set import World, spec

STEPS = [{"signal": 15, "wait": 600.0}, {"signal": 3, "wait": 30.0}]


def stopping(**keys: Any) -> World:
    world = World(spec("web", stop=STEPS, **keys))
    world.start()
    world.obedient = False
    world.stop()
    return world


def test_each_step_is_told_and_the_record_says_which_one_ended_it() -> None:
    world = stopping()
    row = instance_view(world["web"], world.now)
    assert (row["kill_in_s"], note(row)) == (630.0, "SIGTERM sent (step 1 of 2); SIGQUIT in 10m00s")
    assert prospect(row)["what"] == "SIGQUIT is sent, unless it ends before (step 1 of 2: SIGTERM)"
    world.advance(600.0)
    row = instance_view(world["web"], world.now)
    assert (row["kill_in_s"], note(row)) == (30.0, "SIGQUIT sent (step 2 of 2); SIGKILL in 30s")
    assert prospect(row) == {"what": "it is killed, unless it ends before", "in_s": 30.0}
    told = world.records[-1]
    assert told.cause is Cause.STOP_ESCALATED
    assert phrase(told.cause, told.detail) == "did not stop within 10 min; SIGQUIT sent (step 2 of 2)"
    world._end("web", 1, 0, None)
    world.take([])
    ended = world.records[-1]
    assert phrase(ended.cause, ended.detail) == "stopped, ended by SIGQUIT (step 2 of 2) with exit code 0"


@pytest.mark.parametrize(
    ("waits", "said"),
    [
        (0.0, {"stop_step": 1, "stop_steps": 2, "stop_signal": 15}),
        (600.0, {"stop_step": 2, "stop_steps": 2, "stop_signal": 3}),
        (630.0, {"stop_step": 3, "stop_steps": 2, "stop_signal": 9}),
    ],
)
def test_the_record_of_a_failure_says_which_step_ended_it(waits: float, said: dict[str, int]) -> None:
    world = World(spec("web", stop=STEPS, heartbeat={"source": "notify"}))
    world.start()
    world.obedient = False
    world.post("web", ev.Triggered(1))
    world.advance(waits)
    if world["web"].state is State.STOPPING:
        world.post("web", ev.Exited(1, 0, None, True))
    decided = world.records[-1]
    assert (decided.after, decided.cause) == (State.BACKOFF, Cause.TRIGGERED)
    assert {key: decided.detail.get(key) for key in said} == said


def test_a_failure_that_needed_no_stop_names_no_step() -> None:
    world = World(spec("web", stop=STEPS))
    world.start()
    world.dies("web")
    assert "stop_step" not in world.records[-1].detail


def test_a_kill_is_no_step() -> None:
    world = stopping()
    world.advance(630.0)
    ended = world.records[-1]
    assert phrase(ended.cause, ended.detail) == "stopped, ended by SIGKILL"
    killed = next(r for r in world.records if r.cause is Cause.STOP_TIMEOUT)
    assert phrase(killed.cause, killed.detail) == "did not stop within 10 min 30 s; killed"
    assert phrase("stop-escalated") == "did not stop in time; the next signal is sent"


def test_while_it_is_killed() -> None:
    world = stopping()
    world["web"].killed = True
    row = instance_view(world["web"], world.now)
    assert row["stop_step"] == {"step": 1, "of": 2, "signal": 9, "next_signal": 9, "next_in_s": 600.0}
    assert row["kill_in_s"] == 600.0


def test_a_reload_that_leaves_fewer_steps_leads_to_the_kill() -> None:
    world = stopping()
    world.advance(600.0)
    web = world["web"]
    web.running_spec = replace(web.running_spec, stop=(StopStep(signal=2, wait=1.0),))
    row = instance_view(web, world.now)
    assert row["stop_step"] is not None
    assert (row["stop_step"]["step"], row["stop_step"]["next_signal"]) == (1, 9)
    world.advance(30.0)
    assert world.states() == {"web": "stopped"}


def test_an_exit_code_restarts_the_whole_group() -> None:
    codes = {"exit_codes": {"group": [42], "never": [64]}, "jitter": 0.0, "initial": 1.0, "policy": "never"}
    world = World(spec("a", group_name="g", restart=codes), spec("b", group_name="g"), spec("c"))
    world.start()
    world.dies("a", 42)
    world.advance(1.0)
    assert [world[n].incarnation for n in "abc"] == [2, 2, 1]
    decided = next(r for r in world.records if "exit_code_rule" in r.detail)
    assert phrase(decided.cause, decided.detail) == "exited with code 42 (exit_codes.group); next try in 1 s (1 of 5)"
    world.dies("a", 64)
    world.advance(10.0)
    assert [world[n].incarnation for n in "abc"] == [2, 2, 1]
    ended = world.records[-1]
    assert phrase(ended.cause, ended.detail) == "exited with code 64 (exit_codes.never)"
