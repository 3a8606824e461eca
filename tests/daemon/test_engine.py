"""One turn of the engine, where carrying out an order takes longer than a turn may."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import pytest

from supervisor.core.model import actions as act
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, Record, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import Plan, SupervisorSpec
from supervisor.core.services.deadlines import LOOK_AHEAD
from supervisor.core.services.service_set import ServiceSet
from supervisor.daemon.engine import SOON, TURN_BUDGET, Engine
from tests.core.services.test_service_set import spec


class SlowHost:
    """Spawns succeed, and each takes longer than a turn may."""

    def __init__(self) -> None:
        self.now = 100.0
        self.wake: float | None = None
        self.records: list[Record] = []
        self.observed: list[str] = []
        self.unread: list[tuple[str, ev.Event]] = []
        self.listened = 0
        services = (
            spec("one"),
            spec("two"),
            spec("says", ready={"log": "ready"}),
            spec("beating", heartbeat={"interval": TURN_BUDGET}),
        )
        self.service_set = ServiceSet(Plan(supervisor=SupervisorSpec(), services=services), lambda: 0.5)
        self.engine = Engine(self.service_set, lambda: self.now)
        self.engine.world = self

    def listen(self) -> None:
        self.listened += 1
        for instance, event in self.unread:
            self.engine.post(instance, event)
        self.unread.clear()

    def wake_at(self, when: float | None) -> None:
        self.wake = when

    def record(self, records: Sequence[Record]) -> None:
        self.records += records

    def perform(self, action: Action) -> None:
        if isinstance(action, act.Spawn):
            self.now += 2 * TURN_BUDGET
            self.engine.post(action.instance, ev.Spawned(action.incarnation, 7))
        elif isinstance(action, act.StartMonitoring):
            self.observed.append(action.instance)

    def spawned(self) -> set[str]:
        return {r.instance for r in self.records if r.cause is Cause.SPAWNED}

    def run(self, name: str) -> None:
        self.engine.order(self.service_set.start([name], self.now))
        while self.service_set.instances[name].state is not State.RUNNING:
            self.engine.turn()


def test_a_spawn_is_recorded_before_the_output_of_the_process_can_be_read() -> None:
    """`why` takes for a process's own words what arrived after the record of its spawn."""
    host = SlowHost()
    host.engine.order(host.service_set.start(["one", "two"], host.now))
    host.engine.turn()
    assert host.spawned() == {"one"}
    assert host.wake == host.now, "the other spawn has to wait for the next turn, which comes at once"
    host.engine.turn()
    assert host.spawned() == {"one", "two"}


def test_a_process_is_observed_before_its_output_can_be_read() -> None:
    """A line that makes it ready may be its first."""
    host = SlowHost()
    host.engine.order(host.service_set.start(["says"], host.now))
    host.engine.turn()
    assert host.spawned() == {"says"}
    assert host.observed == ["says"]
    host.engine.turn()
    assert host.observed == ["says"], "once"


def test_a_long_turn_does_not_blame_a_process_for_beats_that_are_not_read_yet() -> None:
    host = SlowHost()
    host.run("beating")
    beating = host.service_set.instances["beating"]
    suspect_at = beating.suspect_at
    assert suspect_at is not None
    host.engine.order(host.service_set.start(["one"], host.now))
    host.now = suspect_at - TURN_BUDGET
    host.engine.turn()
    assert host.spawned() == {"beating", "one"}
    assert host.now > suspect_at
    assert beating.state is State.RUNNING
    host.engine.post("beating", ev.Heartbeat(beating.incarnation, host.now - TURN_BUDGET))
    host.engine.turn()
    assert beating.state is State.RUNNING
    host.now += 1000.0
    host.engine.turn()
    assert beating.state is not State.RUNNING


def test_a_daemon_that_stood_still_in_a_turn_reads_the_rest_before_it_judges() -> None:
    """It was stopped, or got no CPU, after it had read its descriptors: what came since is unread."""
    host = SlowHost()
    host.run("beating")
    beating = host.service_set.instances["beating"]
    host.engine.heard = host.now
    host.now += 1000.0
    host.engine.turn()
    assert beating.state is State.RUNNING
    assert host.wake is not None
    assert host.wake <= host.now, "the next turn comes at once, and knows by this time that the daemon stood still"
    host.engine.heard = host.now
    host.engine.post("beating", ev.Heartbeat(beating.incarnation, host.now))
    host.engine.turn()
    assert beating.state is State.RUNNING
    host.engine.heard = host.now = host.now + 1000.0
    host.engine.turn()
    assert beating.state is not State.RUNNING


def test_what_becomes_due_right_after_the_read_does_not_wait_for_the_next_one() -> None:
    host = SlowHost()
    host.run("beating")
    beating = host.service_set.instances["beating"]
    assert beating.suspect_at is not None
    host.engine.heard = beating.suspect_at - TURN_BUDGET / 2
    host.now = beating.suspect_at
    host.engine.turn()
    assert beating.state is not State.RUNNING


def test_what_waits_to_be_read_counts_before_a_silence_is_judged() -> None:
    """A turn can end after a deadline whose timer had not fired when it began."""
    host = SlowHost()
    host.run("beating")
    beating = host.service_set.instances["beating"]
    assert beating.suspect_at is not None
    host.now = beating.suspect_at + 0.001
    host.unread.append(("beating", ev.Heartbeat(beating.incarnation, host.now - 0.002)))
    host.engine.turn()
    assert beating.state is State.RUNNING
    assert host.listened == 1
    host.now = beating.suspect_at + 0.001
    host.engine.turn()
    assert beating.state is not State.RUNNING


def test_a_deadline_that_beats_have_postponed_wakes_nobody() -> None:
    host = SlowHost()
    host.run("beating")
    beating = host.service_set.instances["beating"]
    host.engine.turn()
    early = host.wake
    assert early is not None
    for left, moved in ((0.95 * LOOK_AHEAD, False), (SOON / 2, True)):
        host.now = early - left
        host.engine.post("beating", ev.Heartbeat(beating.incarnation, host.now))
        host.engine.turn()
        assert host.wake is not None and (host.wake > early) is moved, "not in every turn"
    assert host.listened == 0, "nothing was due"


class Looked(deque[Action]):
    """A queue that counts the orders that are looked at from its end, or one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def pop(self) -> Action:  # type: ignore[override]
        self.looks += 1
        return super().pop()

    def __iter__(self) -> Iterator[Action]:
        for action in super().__iter__():
            self.looks += 1
            yield action


def test_an_observation_is_not_searched_for_among_all_that_is_still_to_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the start of a thousand costs as much as a million looks, on a host where each turn starts few."""
    host, orders = SlowHost(), Looked()
    monkeypatch.setattr(host.engine, "_orders", orders)
    host.engine.order(host.service_set.start(["says"], host.now))
    host.engine.order([act.Spawn("two", 1)] * 1000)
    host.engine.turn()
    assert orders.looks < 10
    assert host.observed == ["says"]
    assert len(orders) == 1000


def test_what_waits_keeps_its_order_when_an_observation_is_taken_out() -> None:
    host, done = SlowHost(), list[Action]()
    begin = act.StartMonitoring("says", 1, act.Purpose.READY)
    host.engine.order([act.Spawn("one", 1), act.Spawn("two", 1), begin, act.Kill("one", 1), begin, act.Kill("two", 1)])
    perform = host.perform
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host, "perform", lambda action: (done.append(action), perform(action)))
        host.engine.turn()
        assert done == [act.Spawn("one", 1), begin, begin]
        host.engine.turn()
        host.engine.turn()
    assert done[3:] == [act.Spawn("two", 1), act.Kill("one", 1), act.Kill("two", 1)]
