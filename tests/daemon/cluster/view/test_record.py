"""What the daemon makes for the agent to write: at most once a second, and only after something has changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from supervisor.adapters.ledger.store import Ledger
from supervisor.core.cluster.record import REMOVED
from supervisor.core.model.actions import Goal, Record, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import Plan, ServiceSpec, SupervisorSpec
from supervisor.core.services.service_set import ServiceSet
from supervisor.daemon.cluster.view.record import AT_ONCE, EVERY, OwnRecord

SERVICES = tuple(ServiceSpec(name=f"s{n}", command=("x",)) for n in range(2 * AT_ONCE))


class Daemon:
    def __init__(self, folder: Path) -> None:
        self.moment, self.changes, self.at = 1000.0, 0, 1_700_000_000.0
        self.timers = list[tuple[float, Callable[[], None]]]()
        self.ledger = Ledger(f"{folder}/ledger.db", lambda _text: None)
        self.service_set = ServiceSet(Plan(supervisor=SupervisorSpec(), services=SERVICES), lambda: 0.5)
        parts: Any = SimpleNamespace(
            now=lambda: self.moment, wall_clock=lambda: 1_700_000_000.0, loop=SimpleNamespace(call_at=self.call_at),
            ledger=self.ledger, state_dir=str(folder), service_set=self.service_set,
        )  # fmt: skip
        self.own = OwnRecord(parts, self.changed)

    def call_at(self, when: float, callback: Callable[[], None]) -> Any:
        timer = when, callback
        self.timers.append(timer)
        return SimpleNamespace(cancel=lambda: self.timers.remove(timer))

    def changed(self) -> None:
        self.changes += 1

    def failed(self, name: str, code: int = 3) -> None:
        detail = {"exit_code": code, "attempt": 1, "delay_s": 1.0}
        record = Record(name, name, 1, Goal.UP, State.RUNNING, State.BACKOFF, Cause.EXITED, detail)
        self.ledger.append([record], self.at)

    def make(self) -> float:
        """The timer is due; by how much it was later than now."""
        (when, callback), before = self.timers.pop(0), self.moment
        self.moment = max(self.moment, when)
        callback()
        return self.moment - before


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    found = Daemon(tmp_path)
    yield found
    found.own.close()
    assert found.timers == []
    found.ledger.close()


def test_many_changes_are_made_once_a_second(daemon: Daemon) -> None:
    daemon.own.review()
    assert daemon.make() == 0.0 and daemon.changes == 1
    assert [one["name"] for one in json.loads(daemon.own.status)["instances"]] == [spec.name for spec in SERVICES]
    for _ in range(3):
        daemon.own.review()
    assert len(daemon.timers) == 1 and daemon.make() == EVERY
    assert daemon.changes == 1, "nothing has changed"


def test_a_failure_is_told_with_its_events(daemon: Daemon) -> None:
    daemon.own.review()
    daemon.make()
    daemon.failed("s1")
    daemon.own.review()
    daemon.make()
    record = json.loads(daemon.own.incidents)
    assert [one["instance"] for one in record["stories"]] == ["s1"] and daemon.changes == 2
    assert "exited with code 3" in record["stories"][0]["incidents"][0]["says"]
    assert [one["cause"] for one in record["events"]] == ["exited"]
    assert daemon.own.record == record and daemon.own.summary == json.loads(daemon.own.status)


def test_few_stories_are_told_at_once_and_those_that_changed_last_first(daemon: Daemon) -> None:
    for spec in SERVICES:
        daemon.failed(spec.name)
    daemon.own.review()
    daemon.make()
    told = [one["instance"] for one in json.loads(daemon.own.incidents)["stories"]]
    assert sorted(told) == sorted(spec.name for spec in SERVICES[-AT_ONCE:])
    daemon.make()
    assert len(json.loads(daemon.own.incidents)["stories"]) == len(SERVICES) and daemon.timers == []


def test_what_was_removed_keeps_its_story(daemon: Daemon) -> None:
    daemon.failed("old")
    daemon.own.review()
    daemon.make()
    assert [one["instance"] for one in json.loads(daemon.own.incidents)["stories"]] == ["old"]


def test_of_many_that_were_removed_the_newest_stories_are_kept(daemon: Daemon) -> None:
    """A host whose configuration changes every day would keep more and more of them."""
    names = [f"old{number}" for number in range(REMOVED + 2 * AT_ONCE)]
    for number, name in enumerate(["s1", *names]):
        daemon.at = 1_700_000_000.0 + number
        daemon.failed(name)
    daemon.own.review()
    while daemon.timers:
        daemon.make()
    assert set(daemon.own._stories) == {"s1", *names[-REMOVED:]}
    assert {one["instance"] for one in json.loads(daemon.own.incidents)["stories"]} <= set(daemon.own._stories)
