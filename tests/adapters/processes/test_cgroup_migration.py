"""Moves into cgroups are planned by one timer, however often processes come and go."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from supervisor.adapters.processes.cgroup_migration import JOIN_AFTER, CgroupMigration


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
