"""The interval histogram: its counts, its tail beyond the recorded intervals, and damaged data."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from math import exp, inf, log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.detection.interval_histogram import LONGEST, IntervalHistogram, Tail


def recorded(*intervals: float) -> IntervalHistogram:
    histogram = IntervalHistogram()
    for interval in intervals:
        histogram.add(interval)
    return histogram


def exponential(count: int, seed: int = 1, mean: float = 1.0) -> IntervalHistogram:
    rng = random.Random(seed)
    return recorded(*(rng.expovariate(1.0 / mean) for _ in range(count)))


def test_it_counts_what_it_was_given() -> None:
    histogram = recorded(*([1.0] * 900), *([2.0] * 99), 10.0)
    assert (histogram.count, histogram.longest) == (1000, 10.0)
    assert histogram.mean == pytest.approx(1.108)
    assert [(low, count) for low, _, count in histogram.classes()] == [(1.0, 900), (2.0, 99), (10.0, 1)]
    assert histogram.beyond(0.5) == 1.0
    assert histogram.beyond(1.5) == pytest.approx(0.1)


def test_it_counts_by_powers_of_two() -> None:
    assert recorded(0.3, 0.5, 0.99, 1.0, 1.9, 2.0, 100.0).by_exponent() == {-1: 1, 0: 2, 1: 2, 2: 1, 7: 1}


def test_what_no_interval_can_be_is_left_out() -> None:
    assert recorded(1e-9, 0.0, -1.0, 4e7, 1.0).count == 1


def test_beyond_what_was_seen_the_tail_goes_on() -> None:
    """Of an exponential law, whose tail is known."""
    for seed in range(5):
        histogram = exponential(20_000, seed)
        for chance, within in ((0.5, 0.05), (1e-2, 0.1), (1e-3, 0.15), (1e-4, 0.3), (1e-6, 0.6)):
            assert histogram.silence(chance) == pytest.approx(-log(chance), rel=within), (seed, chance)
        assert histogram.beyond(12.0) == pytest.approx(exp(-12.0), rel=10.0)


def test_a_heavy_tail_is_taken_for_one() -> None:
    rng = random.Random(3)
    histogram = recorded(*(rng.paretovariate(2.0) for _ in range(20_000)))
    assert histogram.tail().shape == pytest.approx(0.5, abs=0.35)
    assert histogram.silence(1e-6) > 200.0  # 1000 by the law; 15 if it were exponential


def test_with_too_little_nothing_is_said() -> None:
    histogram = recorded(*([1.0] * 199))
    assert histogram.silence(1e-3) == inf
    assert histogram.beyond(5.0) == 1.0
    histogram.add(1.0)
    assert histogram.silence(1e-3) < 1.1


@given(st.lists(st.floats(), max_size=600), st.lists(st.floats(0, 1e7), min_size=2, max_size=2), st.floats(0, 1))
def test_whatever_it_is_given_its_answers_are_possible(intervals: list[float], times: list[float], p: float) -> None:
    histogram = recorded(*intervals, *([1.0, 1.5] * 100))
    early, late = sorted(times)
    assert 0.0 <= histogram.beyond(late) <= 1.0 + 1e-9
    assert histogram.beyond(late) <= histogram.beyond(early) * 1.1 + 1e-9
    assert histogram.silence(p) >= 0.0
    assert len(histogram.snapshot()["longest"]) <= LONGEST  # type: ignore[arg-type]
    again = IntervalHistogram()
    again.restore(json.loads(json.dumps(histogram.snapshot())))
    assert again.snapshot() == histogram.snapshot()
    assert again.count == histogram.count


@pytest.mark.parametrize(
    "ask",
    [
        lambda r: r.count,
        lambda r: r.total,
        lambda r: r.mean,
        lambda r: r.longest,
        lambda r: r.classes(),
        lambda r: [r.beyond(t) for t in (0.5, 2.0, 99.0)],
        lambda r: r.longer(0.5),
        lambda r: [r.silence(p) for p in (0.5, 0.01, 1e-6)],
        lambda r: r.tail(),
        lambda r: r.snapshot(),
    ],
)
@pytest.mark.parametrize("count", [201, 2 * LONGEST + 17])
def test_what_came_last_counts_in_every_answer(ask: Callable[[IntervalHistogram], object], count: int) -> None:
    rng = random.Random(7)
    intervals = [rng.expovariate(1.0) for _ in range(count - 1)]
    young, settled = IntervalHistogram(), IntervalHistogram()
    for interval in [*intervals, 50.0]:
        young.add(interval)
        settled.add(interval)
        settled.snapshot()
    assert ask(young) == ask(settled)
    late = IntervalHistogram()
    late.merge(young)
    assert ask(late) == ask(settled)


@given(st.integers(210, 3000), st.floats(1e-9, 1.0), st.integers())
def test_chance_and_silence_are_inverse(count: int, chance: float, seed: int) -> None:
    histogram = exponential(count, seed)
    silence = histogram.silence(chance)
    assert histogram.beyond(silence) == pytest.approx(
        chance, rel=0.3, abs=5.0 / count if chance * count > 5.0 else 1e-12
    )


@pytest.mark.parametrize(
    "garbage",
    [
        None, 1, [], {}, {"classes": {}}, {"classes": {"x": 1}, "longest": [], "total": 0},
        {"classes": {"0": -1}, "longest": [1.0], "total": 1}, {"classes": {"9999999": 1}, "longest": [1.0], "total": 1},
        {"classes": {"0": 2}, "longest": [1.0], "total": 1}, {"classes": {"0": 1}, "longest": ["a"], "total": 1},
    ],
)  # fmt: skip
def test_garbage_is_nothing_recorded(garbage: object) -> None:
    histogram = exponential(300)
    histogram.restore(garbage)
    assert histogram.count == 0


def test_two_records_are_one() -> None:
    intervals = [1.0 + i % 17 for i in range(700)]
    one, other = recorded(*intervals[:400]), recorded(*intervals[400:])
    one.merge(other)
    assert one.snapshot() == recorded(*intervals).snapshot()
    assert one.count == 700


def test_a_tail_is_shifted_by_its_standard_errors() -> None:
    """Var(shape) = (1-x)(2-x)²(1-x+2x²) / ((1-2x)(3-2x)) / n, for probability-weighted moments: Hosking and Wallis,
    "Parameter and Quantile Estimation for the Generalized Pareto Distribution", Technometrics 29(3), 1987."""
    tail = Tail(start=1.0, share=0.01, scale=2.0, shape=0.25, longer=100)
    x = tail.shape
    error = sqrt((1 - x) * (2 - x) ** 2 * (1 - x + 2 * x * x) / ((1 - 2 * x) * (3 - 2 * x)) / 100)
    assert tail.shifted(1.0).shape == pytest.approx(x + error)
    assert tail.shifted(-1.0).shape == pytest.approx(x - error)
