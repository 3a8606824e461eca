"""Which expert `adaptive` follows, when it follows another one, and what all experts have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import pairwise
from math import pi, sin
from random import Random

import pytest

from supervisor.core.detection.detectors import adaptive
from supervisor.core.detection.detectors.accrual import Accrual
from supervisor.core.detection.detectors.adaptive import EXPERTS, Adaptive
from supervisor.core.detection.detectors.protocol import Detector
from supervisor.core.detection.detectors.registry import make
from supervisor.core.model.spec import HeartbeatSpec


def new(threshold: float = 3.0) -> Detector:
    """Started at 0; without floor and cap."""
    detector = make(HeartbeatSpec(detector="adaptive", threshold=threshold, min_timeout=0.0, max_timeout=1e6))
    detector.start(0.0)
    return detector


def law(detector: Detector) -> Adaptive:
    assert isinstance(detector, Accrual)
    assert isinstance(detector._score_function, Adaptive)
    return detector._score_function


def beat(detector: Detector, gaps: Iterable[float]) -> int:
    """How many of these gaps were mistakes."""
    mistakes = 0
    at = detector.last or 0.0
    for gap in gaps:
        at += gap
        mistakes += detector.suspicion(at) >= detector.threshold
        assert detector.heartbeat(at)
    return mistakes


def normal(beats: int, mean: float = 1.0, deviation: float = 0.1, seed: int = 1) -> list[float]:
    dice = Random(seed)
    return [max(0.01, dice.gauss(mean, deviation)) for _ in range(beats)]


def timer(beats: int, late: float = 0.3, seed: int = 2) -> list[float]:
    """A sender that keeps a schedule over a network that delays."""
    dice = Random(seed)
    arrivals = [i + late * dice.random() ** 3 for i in range(1, beats + 1)]
    return [b - a for a, b in zip([0.0, *arrivals], arrivals, strict=False)]


def weather(beats: int, seed: int = 3) -> list[float]:
    """Calm and storm, eighty beats each."""
    dice = Random(seed)
    return [max(0.05, dice.gauss(1.0, 0.25 if i // 80 % 2 else 0.02)) for i in range(beats)]


def patience(detector: Detector) -> float:
    at = detector.suspect_at()
    assert at is not None and detector.last is not None
    return at - detector.last


@pytest.mark.parametrize(
    ("gaps", "trusted"),
    [
        (timer, {adaptive._DUE, adaptive._SHIFTED}),
        (
            lambda beats: [0.7 + 0.6 * (i % 7 == 0) for i in range(beats)],
            {adaptive._ALWAYS, adaptive._DUE, adaptive._MEAN},
        ),
    ],
)
def test_who_is_trusted_fits_the_sender(gaps: Callable[[int], list[float]], trusted: set[int]) -> None:
    detector = new(2.0)
    beat(detector, gaps(6000))
    location, _ = EXPERTS[law(detector)._leader]
    assert location in trusted


def test_where_calm_and_storm_alternate_the_margin_follows() -> None:
    detector = new(2.0)
    beat(detector, weather(8080))  # it ends in calm
    calm = patience(detector)
    beat(detector, weather(8160)[-80:])
    assert EXPERTS[law(detector)._leader][1] != adaptive._ONE
    assert patience(detector) > 1.3 * calm


def test_all_are_equally_patient_on_average() -> None:
    detector = new()
    beat(detector, weather(4000))
    sums, beats = [0.0] * len(EXPERTS), 0
    for gap in weather(4000, seed=4):
        beat(detector, [gap])
        now, margins = law(detector)._now, law(detector)._margins
        beats += 1
        for i, (location, scale) in enumerate(EXPERTS):
            sums[i] += now[location] + margins[i] * now[scale]
    means = [total / beats for total in sums]
    assert min(means) == pytest.approx(max(means), rel=0.06)


@pytest.mark.parametrize(("gaps", "share"), [(timer, 0.4), (weather, 0.5)])
def test_it_errs_less_than_a_timeout_that_is_as_patient(gaps: Callable[[int], list[float]], share: float) -> None:
    detector = new(1.0)
    beat(detector, gaps(4000))
    mistakes, waited, later = 0, 0.0, gaps(8000)[4000:]
    for gap in later:
        waited += patience(detector)
        mistakes += beat(detector, [gap])
    assert 0 < mistakes < share * sum(gap > waited / len(later) for gap in later)


def test_steady_intervals_keep_a_steady_patience() -> None:
    detector = new()
    beat(detector, normal(3000))
    seen = set()
    for gap in normal(6000, seed=5):
        beat(detector, [gap])
        seen.add(law(detector)._base)
    assert len(seen) <= 2


@pytest.mark.parametrize("pace", [3.0, 10.0])
def test_a_slower_rhythm_is_taken_up_after_three_beats(pace: float) -> None:
    detector = new(8.0)
    beat(detector, normal(25_000))
    assert beat(detector, normal(500, pace, 0.1 * pace)) <= 4
    assert pace < patience(detector) < 4.0 * pace


def test_a_quicker_rhythm_is_taken_up_within_the_window() -> None:
    """Nothing is late then, so nothing but the window tells."""
    detector = new(8.0)
    beat(detector, normal(25_000, 3.0, 0.3))
    assert patience(detector) > 5.0
    beat(detector, normal(1000, 0.5, 0.05))
    assert 0.5 < patience(detector) < 2.0


@pytest.mark.parametrize("threshold", [2.0, 3.5, 5.0])
def test_whoever_speaks_is_blamed_also_while_the_rhythm_drifts_away_from_it(threshold: float) -> None:
    """At first no expert has erred, and the constant leads; then the mean rises by half, little by little."""
    dice = Random(8)
    detector = new(threshold)
    mistakes = beat(detector, [dice.gauss(1.2 + 0.4 * sin(2 * pi * i / 6000), 0.08) for i in range(30_000)])
    assert mistakes < 40


def test_one_long_pause_makes_it_wait_little_longer() -> None:
    detector = new()
    beat(detector, normal(3000))
    before = patience(detector)
    beat(detector, [50.0, *normal(30)])
    assert patience(detector) < 1.5 * before


def test_a_long_gap_that_the_schedule_expected_is_no_late_beat() -> None:
    """A timer's beats are delayed by the same time, but for one, so the gap after that is long, and due."""
    arrivals = [i + (0.0 if i % 50 == 0 else 0.45) for i in range(1, 1051)]
    detector = new()
    beat(detector, [b - a for a, b in pairwise([0.0, *arrivals])])
    assert arrivals[-1] == 1050.0
    before = law(detector)._late
    beat(detector, [1.45])
    assert law(detector)._now[adaptive._DUE] == pytest.approx(1.0, abs=0.03)
    assert abs(law(detector)._late) < abs(before)


def test_it_goes_on_after_our_restart_as_if_nothing_had_been() -> None:
    detector = new()
    beat(detector, weather(5000))
    other = new()
    other.restore(json.loads(json.dumps(detector.snapshot())))
    for gap in weather(500, seed=6):
        assert other.suspect_at() == detector.suspect_at()
        assert other.suspicion((detector.last or 0.0) + gap) == detector.suspicion((detector.last or 0.0) + gap)
        assert beat(detector, [gap]) == beat(other, [gap])
    assert other.snapshot() == detector.snapshot()


@pytest.mark.parametrize("mean", [0.5, 60.0])
def test_the_least_error_is_a_share_of_the_interval(mean: float) -> None:
    detector = new()
    beat(detector, [mean] * 500)
    assert law(detector)._fast == pytest.approx(0.02 * mean)


@pytest.mark.parametrize("gaps", [normal(700), timer(700), weather(700)], ids=["normal", "timer", "weather"])
@pytest.mark.parametrize("scale", [0.25, 40.0])
def test_what_it_decides_is_the_same_on_any_scale(gaps: list[float], scale: float) -> None:
    """A sender that beats forty times as rarely is given forty times as long."""

    def patience(unit: float) -> float:
        wide = HeartbeatSpec(detector="adaptive", threshold=3.0, interval=unit, min_timeout=0.0, max_timeout=1e6)
        detector = make(wide)
        detector.start(0.0)
        beat(detector, [gap * unit for gap in gaps])
        return ((detector.suspect_at() or 0.0) - (detector.last or 0.0)) / unit

    assert patience(scale) == pytest.approx(patience(1.0), rel=0.01)
