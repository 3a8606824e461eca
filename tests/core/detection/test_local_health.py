"""Local health: the daemon's own lateness is not taken for the silence of its processes."""

from __future__ import annotations

from math import inf, isfinite, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.detection.local_health import RECOVERY, LocalHealth, LoopLag


@pytest.mark.parametrize(
    ("now", "expected", "stall"),
    [
        (10.0, None, 0.0),
        (10.0, 12.0, 0.0),
        (10.0, 10.0, 0.0),
        (10.25, 10.0, 0.0),
        (10.3, 10.0, 0.3),
        (15.0, 10.0, 5.0),
        (10.0, inf, 0.0),
        (10.0, nan, 0.0),
    ],
)
def test_lateness_beyond_the_tolerance_is_a_stall(now: float, expected: float | None, stall: float) -> None:
    clock = LoopLag()
    assert clock.woke(now, expected) == pytest.approx(stall)
    assert clock.starved(now) is (stall > 0.0)


def test_the_lag_is_the_worst_recent_one_and_decays() -> None:
    clock = LoopLag(memory=10.0)
    clock.woke(0.0, -4.0)
    assert clock.lag == 4.0
    clock.woke(0.0, 0.0)
    assert clock.lag == 4.0
    clock.woke(10.0, 9.5)
    assert clock.lag == 2.0
    clock.woke(20.0, 17.0)
    assert clock.lag == 3.0
    clock.woke(1e9, None)
    assert clock.lag == 0.0


def test_starved_is_said_for_ten_seconds_after_a_stall() -> None:
    clock = LoopLag()
    assert not clock.starved(0.0)
    clock.woke(5.0, 4.0)
    assert clock.starved(5.0) and clock.starved(14.9)
    assert not clock.starved(15.0)
    clock.woke(100.0, 99.9)
    assert not clock.starved(100.0)


def test_the_tolerance_can_be_chosen() -> None:
    assert LoopLag(tolerance=2.0).woke(11.5, 10.0) == 0.0
    assert LoopLag(tolerance=0.0).woke(10.1, 10.0) > 0.0


times = st.floats(-1e12, 1e12)


@given(st.lists(st.tuples(times, st.none() | times), max_size=30))
def test_no_times_break_it(wakes: list[tuple[float, float | None]]) -> None:
    clock = LoopLag()
    for now, expected in wakes:
        stall = clock.woke(now, expected)
        assert isfinite(stall) and (stall == 0.0 or stall > 0.25)
        assert isfinite(clock.lag) and clock.lag >= stall


def test_who_ran_late_gives_everybody_more_time_for_a_while() -> None:
    health = LocalHealth()
    assert health.patience(0.0) == 1.0
    health.stalled(0.5, 100.0)
    assert health.patience(100.0) == 1.5
    assert health.patience(100.0 + RECOVERY) == 1.25
    health.stalled(0.25, 100.0 + RECOVERY)
    assert health.patience(100.0 + RECOVERY) == 1.5
    health.stalled(3600.0, 200.0)
    assert health.patience(200.0) == 2.0, "it is bounded"
    assert health.patience(200.0 + 4 * RECOVERY) == 1.0
    assert health.patience(0.0) == 2.0, "a clock that goes back eases nothing"
