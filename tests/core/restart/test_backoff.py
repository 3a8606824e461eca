"""Delays between attempts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.model.spec import BackoffKind, RestartSpec
from supervisor.core.restart.backoff import delay

FIXED, LINEAR = BackoffKind.FIXED, BackoffKind.LINEAR
EXPONENTIAL, DECORRELATED = BackoffKind.EXPONENTIAL, BackoffKind.DECORRELATED_JITTER


@pytest.mark.parametrize(
    ("kind", "attempts"),
    [
        (FIXED, [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]),
        (LINEAR, [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]),
        (EXPONENTIAL, [0.5, 1.0, 2.0, 4.0, 8.0, 10.0]),
    ],
)
def test_how_each_kind_grows(kind: BackoffKind, attempts: list[float]) -> None:
    spec = RestartSpec(backoff=kind, initial=0.5, factor=2.0, maximum=10.0, jitter=0.0)
    assert [delay(spec, i + 1, 0.0, lambda: 0.9) for i in range(6)] == attempts


@pytest.mark.parametrize(("draw", "expected"), [(0.0, 0.8), (0.25, 0.9), (0.5, 1.0), (0.75, 1.1)])
def test_jitter_is_a_fraction_to_either_side(draw: float, expected: float) -> None:
    spec = RestartSpec(backoff=FIXED, initial=1.0, jitter=0.2)
    assert delay(spec, 1, 0.0, lambda: draw) == pytest.approx(expected)


def test_jitter_spreads_below_the_maximum_too() -> None:
    spec = RestartSpec(backoff=EXPONENTIAL, initial=1.0, maximum=10.0, jitter=0.2)
    assert delay(spec, 50, 10.0, lambda: 0.0) == pytest.approx(8.0)
    assert delay(spec, 50, 10.0, lambda: 0.99) == 10.0


def test_decorrelated_jitter_draws_between_the_initial_and_thrice_the_previous() -> None:
    spec = RestartSpec(backoff=DECORRELATED, initial=1.0, maximum=20.0)
    assert delay(spec, 1, 0.0, lambda: 0.9) == 1.0
    assert delay(spec, 2, 2.0, lambda: 0.0) == 1.0
    assert delay(spec, 2, 2.0, lambda: 0.5) == 3.5
    assert delay(spec, 9, 20.0, lambda: 0.9) == 20.0


@pytest.mark.parametrize("kind", list(BackoffKind))
def test_an_initial_of_nothing_waits_for_nothing(kind: BackoffKind) -> None:
    assert delay(RestartSpec(backoff=kind, initial=0.0), 5, 7.0, lambda: 0.9) == 0.0


@pytest.mark.parametrize("kind", list(BackoffKind))
@given(
    initial=st.floats(0.0, 1e300),
    maximum=st.floats(0.0, 1e300),
    factor=st.floats(0.0, 1e300),
    jitter=st.floats(0.0, 10.0),
    attempt=st.integers(1, 10**6),
    previous=st.floats(0.0, 1e300),
    draw=st.floats(0.0, 1.0, exclude_max=True),
)
def test_never_above_the_maximum_nor_below_nothing(
    kind: BackoffKind,
    initial: float,
    maximum: float,
    factor: float,
    jitter: float,
    attempt: int,
    previous: float,
    draw: float,
) -> None:
    spec = RestartSpec(backoff=kind, initial=initial, maximum=maximum, factor=factor, jitter=jitter)
    assert 0.0 <= delay(spec, attempt, previous, lambda: draw) <= maximum


def test_the_millionth_attempt_waits_the_maximum() -> None:
    assert delay(RestartSpec(jitter=0.0), 10**6, 30.0, lambda: 0.5) == 30.0
