"""Which hooks a record triggers, for the records that the rules really write."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.transitions import step
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Goal, Record, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import (
    HeartbeatSpec,
    Policy,
    Reaction,
    ReadySpec,
    ResourcesSpec,
    RestartSpec,
    ServiceSpec,
)
from supervisor.core.model.spec import ServiceType as Type
from supervisor.core.services.hook_triggers import triggers

READY = ReadySpec(notify=True)
BEAT = HeartbeatSpec(detector="timeout", timeout=1.0, min_timeout=0.1)
ONCE = RestartSpec(policy=Policy.ALWAYS, max_restarts=1, initial=1.0, jitter=0.0)
AT_ONCE = RestartSpec(policy=Policy.ALWAYS, initial=0.0, jitter=0.0)
NEVER = RestartSpec(policy=Policy.NEVER)

UP = [ev.Start(), ev.StartPermitted(), ev.Spawned(1, 7)]
AGAIN = [ev.StartPermitted(), ev.Spawned(2, 8)]


def told(spec: dict[str, Any], *steps: ev.Event | float) -> list[str]:
    """Everything that hooks hear of while an instance goes through `steps` (a number lets so many seconds pass)."""
    instance = Instance("s", ServiceSpec(name="s", command=("s",), **spec), lambda: 0.5)
    now, out = 100.0, []
    for given in steps:
        if isinstance(given, float):
            now += given
        event = ev.Timeout() if isinstance(given, float) else given
        for action in step(instance, event, now):
            if isinstance(action, Record):
                out += sorted(triggers(action, oneshot=instance.spec.type is Type.ONESHOT))
    return out


EXIT = ev.Exited(1, 1, None, tree_empty=True)
CLEAN = ev.Exited(1, 0, None, tree_empty=True)
SUSPECT = ev.SuspectExamined(1, alive=False, held=None)


@pytest.mark.parametrize(
    ("spec", "steps", "expected"),
    [
        ({}, UP, ["ready", "started"]),
        ({"ready": READY}, UP, ["started"]),
        ({"ready": READY}, [*UP, ev.Ready(1, "notify")], ["started", "ready"]),
        ({}, [*UP, ev.Adopted(1, 7, 5.0)], ["ready", "started"]),
        ({}, [*UP, ev.Stop(), CLEAN], ["ready", "started", "stopped"]),
        ({}, [ev.Start(), ev.Stop()], ["stopped"]),
        ({}, [*UP, ev.Restart(), CLEAN, *AGAIN], ["ready", "started", "restarted", "ready", "started"]),
        ({"restart": ONCE}, [*UP, EXIT], ["ready", "started", "failed"]),
        (
            {"restart": ONCE},
            [*UP, EXIT, 5.0, *AGAIN],
            ["ready", "started", "failed", "restarted", "ready", "started"],
        ),
        (
            {"restart": ONCE},
            [*UP, EXIT, 5.0, *AGAIN, ev.Exited(2, None, 9, tree_empty=True)],
            ["ready", "started", "failed", "restarted", "ready", "started", "breaker-open", "failed"],
        ),
        (
            {"restart": AT_ONCE},
            [*UP, EXIT, *AGAIN],
            ["ready", "started", "failed", "restarted", "ready", "started"],
        ),
        ({"restart": NEVER}, [*UP, EXIT], ["ready", "started", "failed", "stopped"]),
        ({"restart": ONCE}, [ev.Start(), ev.StartPermitted(), ev.SpawnFailed(1, "no")], ["failed"]),
        ({"restart": AT_ONCE}, [ev.Start(), ev.StartPermitted(), ev.SpawnFailed(1, "no")], ["failed"]),
        ({"type": Type.ONESHOT}, [*UP, CLEAN], ["started", "stopped"]),
        ({"heartbeat": BEAT}, [*UP, 60.0], ["ready", "started", "suspected"]),
        ({"heartbeat": BEAT}, [*UP, 60.0, SUSPECT], ["ready", "started", "suspected"]),
        ({"heartbeat": BEAT}, [*UP, 60.0, SUSPECT, CLEAN], ["ready", "started", "suspected", "failed"]),
        ({"heartbeat": BEAT}, [*UP, 60.0, ev.SuspectExamined(1, True, None)], ["ready", "started", "suspected"]),
        (
            {"resources": ResourcesSpec(max_memory=1, action=Reaction.REPORT)},
            [*UP, ev.LimitExceeded(1, "memory", 2, 1)],
            ["ready", "started", "suspected"],
        ),
        ({"ready": READY, "start_timeout": 3.0}, [*UP, 3.0], ["started", "suspected"]),
        # A child that left its tree behind has failed once, when the tree is gone, and not twice.
        (
            {"restart": ONCE},
            [*UP, ev.Exited(1, 1, None, tree_empty=False), ev.TreeEmpty(1)],
            ["ready", "started", "failed"],
        ),
    ],
)
def test_told(spec: dict[str, Any], steps: list[ev.Event | float], expected: list[str]) -> None:
    assert told(spec, *steps) == expected


def test_what_changes_nothing_calls_for_nothing() -> None:
    for state in State:
        record = Record("s", "s", 1, Goal.UP, state, state, Cause.RESET_BY_USER)
        assert triggers(record) == set()
