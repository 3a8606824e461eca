"""Learned intervals are saved for the next daemon: of all instances in turn, and only where there are new ones."""

from __future__ import annotations

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.transitions import step
from supervisor.core.model import events as ev
from supervisor.daemon.checkpoints import FIRST_DELAY, INTERVAL, PER_TURN, Checkpoints
from tests.core.services.test_service_set import spec


def beating(name: str) -> Instance:
    instance = Instance(name, spec(name, heartbeat={"interval": 1.0}), lambda: 0.5)
    for event in (ev.Start(), ev.StartPermitted(), ev.Spawned(1, 7)):
        step(instance, event, 100.0)
    return instance


def test_what_was_learned_is_written_in_portions_and_once() -> None:
    instances = {str(n): beating(str(n)) for n in range(2 * PER_TURN + 1)}
    written: list[list[str]] = []
    checkpoints = Checkpoints(lambda: instances, written.append)
    checkpoints.turn(100.0)
    checkpoints.turn(100.0 + FIRST_DELAY)
    assert written == [], "nobody has beaten yet"
    for instance in instances.values():
        step(instance, ev.Heartbeat(1, 101.0), 101.0)
    now = 100.0 + FIRST_DELAY + INTERVAL
    for _ in range(4):
        checkpoints.turn(now)
    assert [len(w) for w in written] == [PER_TURN, PER_TURN, 1]
    assert sorted(name for portion in written for name in portion) == sorted(instances)
    step(instances["3"], ev.Heartbeat(1, 102.0), 102.0)
    checkpoints.turn(now + INTERVAL)
    assert written[3:] == [["3"]]
