"""The pace of looks at all processes, on a clock of the test."""

from __future__ import annotations

import pytest

from supervisor.adapters.processes import look_pace


class Clock:
    """CLOCK_MONOTONIC, and the CPU time of this thread."""

    def __init__(self) -> None:
        self.now, self.cpu = 1e6, 0.0

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.cpu

    def look(self, seconds: float) -> None:
        with look_pace.timed():
            self.cpu += seconds
            self.now += 2 * seconds  # something else ran as well


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(look_pace, "time", clock)
    monkeypatch.setattr(look_pace, "_pace", look_pace._Pace())
    return clock


def test_a_single_look_does_not_wait(clock: Clock) -> None:
    assert look_pace.pause_left() == 0.0


def test_the_next_one_waits_by_what_the_looks_before_cost(clock: Clock) -> None:
    clock.look(0.5)
    assert look_pace.pause_left() == pytest.approx(look_pace.PAUSE * 0.5)
    clock.look(0.25)
    assert look_pace.pause_left() == pytest.approx(look_pace.PAUSE * 0.75 - 0.5)
    clock.now += 10.0
    assert look_pace.pause_left() == 0.0


def test_looks_that_lie_apart_do_not_add_up(clock: Clock) -> None:
    for _ in range(100):
        clock.look(0.01)
        clock.now += 10.0
    clock.look(0.01)
    assert look_pace.pause_left() == pytest.approx(look_pace.PAUSE * 0.01)
