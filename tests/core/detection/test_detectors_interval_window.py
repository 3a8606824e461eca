"""The interval window: which intervals are learned, and which are not."""

from __future__ import annotations

from fractions import Fraction
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.detection.detectors.interval_window import COLD, SIZE, IntervalWindow


def window(*intervals: float, expected: float = 1.0, longest: float = 1000.0) -> IntervalWindow:
    made = IntervalWindow(expected, longest)
    for interval in intervals:
        made.learn(interval, keep=True)
    return made


@pytest.mark.parametrize("known", [(), (1.2,), (1.2, 0.9)])
def test_until_three_beats_the_configured_interval_stands_in(known: tuple[float, ...]) -> None:
    cold = window(*known, expected=4.0)
    assert (cold.mean, cold.sigma) == (4.0, 2.0)


def test_mean_and_population_deviation() -> None:
    learned = window(*[1.0, 3.0] * 40, expected=2.0)
    assert (learned.mean, learned.sigma) == (2.0, 1.0)


@pytest.mark.parametrize(
    ("beats", "interval", "sigma"),
    [
        (3, 10.0, 5.0),
        (12, 10.0, 2.5),
        (75, 10.0, 1.0),
        (200, 10.0, 1.0),
        (200, 0.002, 0.001),
        (200, 0.0, 0.001),
    ],
)
def test_perfectly_regular_beats_keep_a_spread(beats: int, interval: float, sigma: float) -> None:
    learned = window(*[interval] * beats, expected=max(interval, 0.1))
    assert learned.mean == pytest.approx(interval)
    assert learned.sigma == pytest.approx(sigma, rel=1e-6)


@given(st.lists(st.integers(0, 3_000_000), min_size=COLD, max_size=3 * SIZE))
def test_the_sums_are_exactly_those_of_the_window(micros: list[int]) -> None:
    learned = window(*(m / 1e6 for m in micros), expected=10.0)
    newest = learned.newest(SIZE)
    assert COLD <= len(newest) <= min(len(micros), SIZE)
    n = len(newest)
    mean = Fraction(sum(newest), n)
    variance = sum((i - mean) ** 2 for i in newest) / n
    assert learned.mean == pytest.approx(float(mean) / 1e6, rel=1e-12)
    floor = max(1e-3, learned.mean * max(0.1, 0.5 * sqrt(COLD / n)))
    assert learned.sigma == pytest.approx(max(floor, sqrt(variance) / 1e6), rel=1e-9)


def test_the_newest_come_last_also_after_the_ring_went_round() -> None:
    learned = window(*(1.0 + i / 1e4 for i in range(SIZE + 50)))
    assert learned.newest(3) == (1_024_700, 1_024_800, 1_024_900)
    assert learned.newest(SIZE)[0] == 1_005_000
    assert len(learned.newest(SIZE)) == SIZE


def test_one_long_pause_counts_at_most_four_deviations() -> None:
    learned = window(*[1.0] * 100)
    learned.learn(500.0, keep=True)
    assert learned.newest(1) == (1_400_000,)
    learned.learn(1.0, keep=True)
    assert learned.streak == ()


def test_three_in_a_row_are_a_new_rhythm() -> None:
    learned = window(*[1.0] * 200)
    for interval in (5.0, 6.0):
        learned.learn(interval, keep=True)
        assert learned.mean < 1.01
    learned.learn(7.0, keep=True)
    assert learned.newest(SIZE) == (5_000_000, 6_000_000, 7_000_000)
    assert learned.mean == pytest.approx(6.0)


def test_two_in_a_row_and_one_later_are_not() -> None:
    learned = window(*[1.0] * 200, 5.0, 5.0, 1.0, 5.0)
    assert learned.mean < 1.02


def test_what_is_not_to_be_kept_still_shows_a_new_rhythm() -> None:
    learned = window(*[1.0] * 10)
    learned.learn(1.1, keep=False)
    learned.learn(5.0, keep=False)
    learned.learn(5.0, keep=False)
    assert learned.newest(SIZE) == (1_000_000,) * 10
    learned.learn(5.0, keep=False)
    assert learned.newest(SIZE) == (5_000_000,) * 3


def test_a_wrongly_configured_interval_is_unlearned_after_three_beats() -> None:
    assert window(60.0, 60.0, 60.0, expected=1.0).mean == pytest.approx(60.0)


def test_nothing_longer_than_the_longest_is_learned() -> None:
    assert window(*[80.0] * 3, expected=20.0, longest=30.0).newest(3) == (30_000_000,) * 3


def test_filling_takes_the_newest_only() -> None:
    made = window()
    made.fill((9_000_000, *[1_000_000] * SIZE), (7,))
    assert (made.mean, made.streak, made.newest(1000)) == (1.0, (7,), (1_000_000,) * SIZE)
