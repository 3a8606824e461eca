"""Moves into cgroups are planned by one timer, however often processes come and go."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from supervisor.adapters.processes import own_children
from supervisor.adapters.processes.cgroup_migration import JOIN_AFTER, JOIN_WITHIN, CgroupMigration


@pytest.fixture(autouse=True)
def no_other_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests may have left children to this process."""
    monkeypatch.setattr(own_children, "all_children", list)


class Loop:
    def __init__(self) -> None:
        self.time = 100.0
        self.timers: list[tuple[float, Any]] = []

    def now(self) -> float:
        return self.time

    def call_at(self, when: float, callback: Any) -> object:
        self.timers.append((when, callback))
        return callback

    def pass_by(self, seconds: float) -> None:
        self.time += seconds
        due = [one for one in self.timers if one[0] <= self.time]
        self.timers = [one for one in self.timers if one[0] > self.time]
        for _, callback in due:
            callback()


class Process:
    """A process with a tree that can be joined."""

    def __init__(self) -> None:
        self.pid, self.settled, self.joined = 1, False, 0
        self.tree = SimpleNamespace(join=self._join)

    def _join(self, _pid: int) -> None:
        self.joined += 1


def test_quick_restarts_leave_one_timer() -> None:
    loop: Any = Loop()
    migration = CgroupMigration(loop, {}, lambda pid: None)
    started: Any = None
    for _ in range(50):
        if started is not None:
            migration.ended([started])
        started = Process()
        migration.plan(started)
        loop.pass_by(0.7 * JOIN_AFTER)
        assert len(loop.timers) == 1
    assert not started.joined
    loop.pass_by(JOIN_AFTER)
    loop.pass_by(JOIN_AFTER)
    assert started.joined == 1
    assert loop.timers == []


def test_while_others_are_spawned_all_that_wait_are_moved_with_the_first_that_can_wait_no_longer() -> None:
    loop: Any = Loop()
    migration = CgroupMigration(loop, {}, lambda pid: None)
    spawned: list[Any] = []
    while not any(process.joined for process in spawned):
        spawned.append(Process())
        migration.plan(spawned[-1])
        loop.pass_by(0.5 * JOIN_AFTER)
    assert all(process.joined for process in spawned), "one move after another costs the kernel little"
    assert len(spawned) > 0.9 * JOIN_WITHIN / (0.5 * JOIN_AFTER), "not before"
    for _ in range(3):
        spawned.append(Process())
        migration.plan(spawned[-1])
        loop.pass_by(0.5 * JOIN_AFTER)
    assert not any(process.joined for process in spawned[-3:]), "those behind them wait again"
