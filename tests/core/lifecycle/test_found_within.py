"""How late at most a child of a Celery worker is ended that does not go on: the bounds of docs/celery.md."""

from __future__ import annotations

from math import inf

import pytest

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.transitions import step
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, ExamineMember, KillMember, LookAtMember
from tests.core.services.test_service_set import spec

LIMIT = 8.0
ANSWER, LATE = 0.01, 0.3
"""Seconds that a look and an examination take, and the first look at a stopped process."""
CHILD, OTHERS = (1, 5), ((2, 5), (3, 5))


def found_after(phase: float, *, stopped: bool, busy: float | None = None) -> float:
    """Seconds from the fault of a child, `phase` after its last beat, to its end.  `busy`: it is in a task that may
    take so long.  The other children go on."""
    keys = {"source": "celery", "tcp": "x", "interval": 1.0, "on_suspect": "kill-process", "max_timeout": LIMIT}
    instance = Instance("tasks", spec("tasks", heartbeat=keys), lambda: 0.5)
    for first in (ev.Start(), ev.StartPermitted(), ev.Spawned(1, 77)):
        step(instance, first, 100.0)
    fault = 120.0 + phase
    todo: list[tuple[float, ev.Event]] = []
    for n in range(100):
        at = 101.0 + n
        todo += [(at, ev.Heartbeat(1, at)), *((at, ev.Heartbeat(1, at, process=one)) for one in OTHERS)]
        if at < 120.0:
            todo.append((at, ev.Heartbeat(1, at, process=CHILD)))
    todo.append((120.0, ev.Heartbeat(1, 120.0, process=CHILD, busy=busy)))
    late = LATE
    while True:
        todo.sort(key=lambda one: one[0])
        at, event = todo[0]  # the next event, unless a deadline comes first
        if (deadline := instance.deadline) is not None and deadline < at:
            at, event = deadline, ev.Timeout()
        else:
            del todo[0]
        for action in step(instance, event, at):
            if isinstance(action, KillMember):
                assert action.process == CHILD
                return at - fault
            seen = stopped and at >= fault
            todo += answers(action, at + (late if seen and busy else ANSWER), stopped=seen)
            late = ANSWER if seen else late


def answers(action: Action, at: float, *, stopped: bool) -> list[tuple[float, ev.Event]]:
    if isinstance(action, LookAtMember):
        return [(at, ev.MemberLookedAt(1, action.process, stopped=stopped, ran=1.0))]
    if isinstance(action, ExamineMember):
        return [(at, ev.MemberExamined(1, action.process, stopped=stopped))]
    return []


@pytest.mark.parametrize("phase", [k / 20 for k in range(20)])
@pytest.mark.parametrize(
    ("busy", "stopped", "bound"),
    [
        (None, True, LIMIT + ANSWER),
        (None, False, LIMIT + ANSWER),
        (2.0, False, 2.0 + LIMIT + ANSWER),
        (inf, True, 1.25 * LIMIT + LATE + 2 * ANSWER),
    ],
    ids=["stopped", "hangs", "hangs-in-a-task", "stopped-in-a-task"],
)
def test_a_stuck_child_is_found_in_time(phase: float, busy: float | None, stopped: bool, bound: float) -> None:
    assert found_after(phase, stopped=stopped, busy=busy) <= bound + 1e-6
