"""The schedule with beats that follow no schedule."""

from __future__ import annotations

import pytest

from supervisor.core.detection.detectors.schedule import FIRST, SIZE, Schedule

MICRO = 1_000_000


def after(*gaps: float, expected: float = 1.0) -> Schedule:
    schedule = Schedule(expected)
    for gap in gaps:
        schedule.take(gap, None, True, 1.0)
    return schedule


def test_slots_are_never_counted_backwards() -> None:
    """Where the window has just forgotten a very early beat, the next one can lie before the slot of the last."""
    schedule = after(*[1.0] * 200)
    saved = schedule.dump()
    head, period, ring = saved[:9], saved[4], [-900_000.0, *[0.0] * (SIZE - 1)]
    assert (period, len(saved[9:])) == (MICRO, SIZE)
    head[5] = round(sum(ring) / SIZE) - MICRO // 2 + 1
    schedule.load([*head[:3], *map(int, head[3:]), *map(int, ring)])
    schedule.take(0.0001, None, True, 1.0)
    schedule.take(0.0001, None, True, 1.0)
    assert schedule._slots == head[7]


@pytest.mark.parametrize("pace", [0.5, 0.01])
def test_a_sender_that_is_much_quicker_is_scheduled_anew(pace: float) -> None:
    """Eighty beats that fill too few slots are those of another period."""
    schedule = after(*[1.0] * (FIRST + 2 * SIZE), *[pace] * (3 * SIZE))
    assert schedule.period == pytest.approx(pace, rel=0.05)


@pytest.mark.parametrize("gap", [1e-6, 1e-4, 4.9e-4])
def test_beats_in_one_burst_have_a_period_too(gap: float) -> None:
    """All of them lie in one slot."""
    assert 1e-3 <= after(*[gap] * FIRST).period <= 1e-3 + FIRST * gap


def test_the_first_period_is_the_mean_also_where_gaps_are_uneven() -> None:
    assert after(*[*[0.9] * 5, *[1.3] * 3] * (FIRST // 8)).period == pytest.approx(1.05, abs=0.01)


def test_a_found_period_without_beats_is_no_snapshot() -> None:
    good = after(*[1.0] * 100).dump()
    other = Schedule(1.0)
    other.load(list(good))
    assert other.dump() == good
    counts = 9
    with pytest.raises(ValueError, match="no beats"):
        other.load(list(good[:counts]))


def test_after_a_beat_out_of_phase_the_next_is_due_a_period_later() -> None:
    """Nothing of the old phase is left, also where the sender had drifted far from it."""
    schedule = after(*[1.0] * FIRST, *[1.004] * SIZE)
    period = schedule.period
    schedule.lose()
    assert schedule.ahead == period
    assert [schedule.dump()[i] for i in (5, 6, 7, 8)] == [0, 0, 0, 0], "offset, beats, slots, streak"
    schedule.take(period, None, True, period)
    assert schedule.ahead == pytest.approx(period, abs=1e-3)


def test_a_beat_that_was_sent_long_ago_leaves_half_a_period_to_the_next() -> None:
    schedule = Schedule(1.0)
    for _ in range(100):
        schedule.take(1.0, 0.1, True, 1.0)
    schedule.take(1.0, 9.0, True, 1.0)
    assert schedule.ahead == pytest.approx(0.5 * schedule.period)
