"""What counts as a failure: one record when it happens, and one when the decision follows."""

from __future__ import annotations

import pytest

from supervisor.core.history.incidents import is_about_failure, is_decision, is_failure
from supervisor.core.lifecycle import transitions
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Record
from supervisor.core.model.causes import DETECTED, ENDED_BY_ITSELF, FAILURES
from supervisor.core.model.spec import HeartbeatSpec, Policy, RestartSpec, ServiceSpec

UP: list[ev.Event] = [ev.Start(), ev.StartPermitted(), ev.Spawned(1, 7)]
BEAT = HeartbeatSpec(detector="timeout", timeout=1.0, min_timeout=0.1)
LATER = RestartSpec(policy=Policy.ALWAYS, initial=1.0, jitter=0.0)
AT_ONCE = RestartSpec(policy=Policy.ALWAYS, initial=0.0, jitter=0.0)
NEVER = RestartSpec(policy=Policy.NEVER)


def records(restart: RestartSpec, *steps: ev.Event | float) -> list[Record]:
    """All that an instance records in these steps (a number lets so many seconds pass)."""
    instance = Instance("s", ServiceSpec(name="s", command=("s",), heartbeat=BEAT, restart=restart), lambda: 0.5)
    now, out = 100.0, []
    for step in steps:
        if isinstance(step, float):
            now += step
            step = ev.Timeout()
        out += [action for action in transitions.step(instance, step, now) if isinstance(action, Record)]
    return out


@pytest.mark.parametrize("restart", [LATER, AT_ONCE, NEVER])
@pytest.mark.parametrize(
    "steps",
    [
        [*UP, ev.Exited(1, 1, None, tree_empty=True)],
        [*UP, ev.Exited(1, None, 9, tree_empty=False), ev.TreeEmpty(1)],
        [*UP, 60.0, ev.SuspectExamined(1, alive=False, held=None), ev.Exited(1, 0, None, tree_empty=True)],
        [*UP, 60.0, ev.Exited(1, 1, None, tree_empty=True)],
    ],
)
def test_a_failure_is_one_record_and_one_decision(restart: RestartSpec, steps: list[ev.Event | float]) -> None:
    found = records(restart, *steps)
    assert sum(is_failure(r.before, r.after, r.cause, r.detail) for r in found) == 1
    assert sum(is_decision(r.before, r.after, r.cause, r.detail) for r in found) == 1


@pytest.mark.parametrize("restart", [LATER, AT_ONCE])
def test_so_is_a_spawn_that_failed(restart: RestartSpec) -> None:
    found = records(restart, ev.Start(), ev.StartPermitted(), ev.SpawnFailed(1, "no"), 1.0, ev.StartPermitted())
    assert sum(is_failure(r.before, r.after, r.cause, r.detail) for r in found) == 1
    assert sum(is_decision(r.before, r.after, r.cause, r.detail) for r in found) == 1


def test_a_suspicion_is_about_a_failure_and_none_yet() -> None:
    *_, suspected = records(LATER, *UP, 60.0)
    assert is_about_failure(suspected.before, suspected.after, suspected.cause)
    assert not is_failure(suspected.before, suspected.after, suspected.cause, suspected.detail)
    cleared = records(LATER, *UP, 60.0, ev.SuspectExamined(1, alive=True, held=None))[-1]
    assert not is_about_failure(cleared.before, cleared.after, cleared.cause)


def test_every_failure_is_told_by_the_exit_or_found_by_the_supervisor() -> None:
    assert ENDED_BY_ITSELF | DETECTED == FAILURES
    assert not ENDED_BY_ITSELF & DETECTED
