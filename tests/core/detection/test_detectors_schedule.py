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


def test_a_found_period_without_beats_is_no_snapshot() -> None:
    good = after(*[1.0] * 100).dump()
    other = Schedule(1.0)
    other.load(list(good))
    assert other.dump() == good
    counts = 9
    with pytest.raises(ValueError, match="no beats"):
        other.load(list(good[:counts]))
