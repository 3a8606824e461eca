"""READY=1 and STATUS= of a process that sends no WATCHDOG=1, and what is told of a silence after an adoption."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.running import silence_detail
from supervisor.core.lifecycle.signs_of_life import ONLY_OTHER_MESSAGES
from supervisor.core.lifecycle.transitions import step
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, Record, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.sdnotify import events, parse
from supervisor.core.model.spec import HeartbeatSpec, RestartSpec, ServiceSpec
from supervisor.core.text.causes import phrase


def running(**beat: Any) -> Instance:
    spec = ServiceSpec(name="fpm", command=("php-fpm",), heartbeat=HeartbeatSpec(**beat))
    instance = Instance("fpm", spec, lambda: 0.5)
    for event in (ev.Start(), ev.StartPermitted(), ev.Spawned(1, 7)):
        step(instance, event, 100.0)
    return instance


def sends(instance: Instance, message: bytes, at: float) -> list[Action]:
    found = parse(message)
    assert found is not None
    return [a for event in events(found, instance.spec, instance.incarnation, at) for a in step(instance, event, at)]


def notes(actions: list[Action]) -> list[str]:
    return [a.detail.get("held", "") for a in actions if isinstance(a, Record)]


def silent(instance: Instance) -> str:
    """What is told when the silence becomes a suspicion."""
    assert instance.deadline is not None
    (told,) = (a for a in step(instance, ev.Timeout(), instance.deadline) if isinstance(a, Record))
    assert told.cause is Cause.SILENT
    return phrase(told.cause, told.detail)


def test_status_and_ready_keep_a_process_alive_that_never_beats_and_that_is_noted_once() -> None:
    instance = running()
    told = []
    for second in range(110, 700, 10):
        message = b"STATUS=Processes active: 0" if second % 20 else b"READY=1"
        told += notes(sends(instance, message, float(second)))
        assert instance.state is State.RUNNING
    assert told == [ONLY_OTHER_MESSAGES]
    assert instance.deadline == 690.0 + 30.0
    assert silent(instance) == "no WATCHDOG=1 since it became ready, only other messages"


def test_such_a_message_drops_the_suspicion_too() -> None:
    for message in (b"STATUS=x", b"READY=1"):
        instance = running()
        silent(instance)
        step(instance, ev.SuspectExamined(1, False, "stopped (SIGSTOP)"), 131.0)
        sends(instance, message, 131.5)
        assert (instance.state, instance.cause) == (State.RUNNING, Cause.HEARTBEAT_RESUMED)


def test_a_message_that_drops_a_suspicion_lets_the_countdown_to_healthy_begin_anew() -> None:
    instance = running()
    instance.spec = replace(instance.spec, restart=RestartSpec(reset_after=40.0))
    step(instance, ev.Exited(1, 1, None, True), 101.0)
    for event in (ev.Timeout(), ev.StartPermitted(), ev.Spawned(2, 8)):
        step(instance, event, 102.0)
    assert instance.tracker.attempt == 1
    silent(instance)
    sends(instance, b"STATUS=x", 133.0)
    sends(instance, b"STATUS=x", 160.0)
    step(instance, ev.Timeout(), 173.0)
    assert instance.state is State.RUNNING
    assert instance.tracker.attempt == 0


def test_one_heartbeat_ends_their_meaning() -> None:
    instance = running()
    for second in range(101, 111):
        step(instance, ev.Heartbeat(1, float(second)), float(second))
    due = instance.deadline
    assert sends(instance, b"STATUS=x", 111.0) == []
    assert instance.deadline == due


def test_they_mean_nothing_where_another_source_is_configured() -> None:
    instance = running(source="tcp", tcp="127.0.0.1:1")
    assert sends(instance, b"READY=1\nSTATUS=x", 110.0) == []
    assert instance.deadline == 130.0


def test_a_silence_without_any_message_says_nothing_of_others() -> None:
    assert silent(running()) == "no heartbeat since it became ready"


def test_what_had_beaten_before_the_adoption_is_not_said_to_have_never_beaten() -> None:
    instance = running()
    for second in range(101, 161):
        step(instance, ev.Heartbeat(1, float(second)), float(second))
    for _ in range(2):
        saved = json.loads(json.dumps(instance.snapshot(160.5)))
        instance = Instance("fpm", instance.spec, lambda: 0.5)
        instance.restore(saved, crashed=True)
        step(instance, ev.Adopted(1, 7, 60.0), 162.0)
    assert silent(instance) == "no heartbeat since this daemon took it over, for 30 s"


@pytest.mark.parametrize(("status", "sign"), [("", None), ("busy", None), ("", 101.0), ("busy", 101.0)])
def test_a_silence_tells_whether_other_messages_came(status: str, sign: float | None) -> None:
    instance = running()
    instance.status_text, instance.last_sign = status, sign
    assert silence_detail(instance, 110.0).get("other_messages", False) is bool(status or sign)
