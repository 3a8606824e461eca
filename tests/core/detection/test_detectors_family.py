"""What each score function makes of an interval window, by its paper's formula."""

from __future__ import annotations

from collections.abc import Iterable
from math import log, log10
from random import Random

import pytest

from supervisor.core.detection.detectors.protocol import Detector
from supervisor.core.detection.detectors.registry import make
from supervisor.core.detection.detectors.schedule import SIZE
from supervisor.core.model.spec import HeartbeatSpec

THRESHOLD = 8.0


def fed(name: str, arrivals: Iterable[float], delays: Iterable[float] | None = None, **spec: float) -> Detector:
    """Started at 0; without floor and cap."""
    wide = {"min_timeout": 0.0, "max_timeout": 1e6, "threshold": THRESHOLD} | spec
    detector = make(HeartbeatSpec(detector=name, **wide))  # type: ignore[arg-type]
    detector.start(0.0)
    if delays is None:
        for at in arrivals:
            detector.heartbeat(at)
    else:
        for at, delay in zip(arrivals, delays, strict=True):
            detector.heartbeat(at, at - delay)
    return detector


def patience(detector: Detector, threshold: float | None = None) -> float:
    at = detector.suspect_at(threshold)
    assert at is not None and detector.last is not None
    return at - detector.last


def scheduled(beats: int, period: float = 1.0, jitter: float = 0.1, seed: int = 1) -> list[float]:
    """A timer's beats, each late by up to `jitter` periods."""
    dice = Random(seed)
    return [period * (i + jitter * dice.random()) for i in range(1, beats + 1)]


def test_cassandras_phi_is_a_multiple_of_the_mean() -> None:
    detector = fed("exponential", range(100), interval=2.0)
    assert patience(detector) == pytest.approx(8.0 * log(10.0))
    assert detector.suspicion(99.0 + log(10.0)) == pytest.approx(1.0)


def test_chen_expects_by_the_schedule_and_not_by_the_last_beat() -> None:
    arrivals = scheduled(500)
    detector = fed("chen", arrivals)
    due = sum(at - i for i, at in enumerate(arrivals[-80:], 421)) / 80 + 501
    assert detector.suspect_at() == pytest.approx(due + 0.8, abs=0.02)
    assert detector.suspect_at(0.5) == pytest.approx(due + 0.05, abs=0.02)
    assert detector.suspicion(due - 0.01) == 0.0


@pytest.mark.parametrize("configured", [0.02, 0.9, 1.0, 1.1, 20.0])
@pytest.mark.parametrize("period", [1.0, 1.003])
def test_the_period_is_found_whatever_was_configured(configured: float, period: float) -> None:
    detector = fed("chen", scheduled(500, period), interval=configured)
    assert detector.suspect_at(1.0) == pytest.approx(501.05 * period + period / 10, abs=0.02)


def test_a_lost_beat_does_not_shift_the_schedule() -> None:
    arrivals = [at for i, at in enumerate(scheduled(500)) if i % 7]
    assert fed("chen", arrivals).suspect_at(1.0) == pytest.approx(501.15, abs=0.02)


def test_a_queue_that_arrives_at_once_does_not_shift_the_schedule() -> None:
    arrivals = scheduled(500, jitter=0.0)
    stalled = [495.9 + i * 1e-6 if 490 <= at <= 495.5 else at for i, at in enumerate(arrivals)]
    assert fed("chen", stalled).suspect_at(1.0) == pytest.approx(501.1, abs=0.1)


def test_send_times_say_what_is_delay() -> None:
    dice = Random(2)
    delays = [0.3 * dice.random() for _ in range(500)]
    sent = scheduled(500, jitter=0.0)
    arrivals = [s + d for s, d in zip(sent, delays, strict=True)]
    detector = fed("chen", arrivals, delays)
    assert detector.suspect_at(1.0) == pytest.approx(501.0 + 0.15 + 0.1, abs=0.06)
    late = fed("chen", [*arrivals, 501.45], [*delays, 0.45])
    assert patience(late, 1.0) == pytest.approx(1.0 - 0.3 + 0.1, abs=0.06)


def test_a_schedule_is_taken_up_after_our_restart_but_not_after_the_targets() -> None:
    detector = fed("chen", scheduled(300, jitter=0.0))
    detector.start(400.3)
    for i in range(50):
        detector.heartbeat(400.3 + i)
    assert detector.suspect_at(1.0) == pytest.approx(450.4, abs=1e-3)


def test_two_windows_wait_for_the_later() -> None:
    dice = Random(3)
    late, early = ([at + late * (i == 499) for i, at in enumerate(scheduled(500))] for late in (0.3, -0.3))
    assert dice
    assert patience(fed("two-window", early), 1.0) == pytest.approx(patience(fed("chen", early), 1.0), abs=1e-9)
    assert patience(fed("two-window", late), 1.0) == pytest.approx(1.1, abs=1e-2)
    assert patience(fed("chen", late), 1.0) < 0.9


def test_bertiers_margin_is_jacobsons() -> None:
    arrivals = scheduled(600)
    detector = fed("bertier", arrivals[:400])
    late, spread = 0.0, 0.0
    for i, at in enumerate(arrivals):
        if i >= 400:
            detector.heartbeat(at)
        if i >= 100:
            due = sum(a - j for j, a in enumerate(arrivals[i - 80 : i], i - 80)) / 80 + i
            error = at - due - late
            late += 0.1 * error
            spread += 0.1 * (abs(error) - spread)
    due = sum(a - j for j, a in enumerate(arrivals[520:], 520)) / 80 + 600
    assert detector.suspect_at() == pytest.approx(due + late + 8.0 * spread, abs=5e-3)


def test_bertiers_margin_follows_the_spread() -> None:
    calm, wild = (patience(fed("bertier", scheduled(500, jitter=jitter))) for jitter in (0.02, 0.2))
    assert 1.02 < calm < 1.2 < 1.3 < wild


def test_bertiers_error_begins_at_a_quarter_of_the_period() -> None:
    assert patience(fed("bertier", [4.0], interval=4.0)) == pytest.approx(4.0 + 8.0 * 0.25 * 4.0)


def test_the_quantiles_are_the_windows() -> None:
    gaps = [1.0 + i / 80 for i in range(80)]
    Random(4).shuffle(gaps)
    at, arrivals = 0.0, [0.0]
    for gap in [5.0] * 50 + gaps:
        at += gap
        arrivals.append(at)
    detector = fed("quantile", arrivals, interval=5.0)
    assert patience(detector, log10(2.0)) == pytest.approx(1.5)
    assert patience(detector, 1.0) == pytest.approx(1.9)
    assert patience(detector, log10(81.0)) == pytest.approx(1.9875)
    assert patience(detector, log10(810.0)) == pytest.approx(1.9875 + 0.0875 / (log10(81.0) - 1.0))


def test_two_modes_are_two_modes() -> None:
    dice = Random(5)
    at, arrivals = 0.0, [0.0]
    for _ in range(500):
        at += dice.uniform(1.4, 1.5) if dice.random() < 0.2 else dice.uniform(0.5, 0.6)
        arrivals.append(at)
    assert patience(fed("quantile", arrivals), 3.0) < 1.6 < patience(fed("phi", arrivals), 3.0)


@pytest.mark.parametrize("name", ["chen", "two-window", "bertier", "quantile"])
def test_a_new_rhythm_is_taken_up(name: str) -> None:
    slow = [600.0 + 4.0 * i for i in range(60)]
    detector = fed(name, [*scheduled(590), *slow])
    assert 4.0 < patience(detector, 1.0) < 5.0


def restored(offset: int, beats: int, slots: int, ring: list[int]) -> Detector:
    """A schedule of one second as it was saved, at 100 s; the rest in microseconds."""
    snapshot = fed("chen", [float(i) for i in range(101)]).snapshot()
    law = ["chen", 0.0, 0.0, 1.0, 1, 1_000_000, offset, beats, slots, 0, *ring]
    detector = fed("chen", [])
    detector.restore(snapshot | {"law": law})
    return detector


def test_a_schedule_without_beats_is_learned_from_the_rhythm() -> None:
    assert patience(restored(0, 0, 0, [])) == pytest.approx(patience(fed("chen", [float(i) for i in range(101)])))


def test_a_beat_far_ahead_of_its_slot_stays_in_it() -> None:
    detector = restored(-900_000, 10, 10, [0] * 10)
    detector.heartbeat(100.1)
    law = detector.snapshot()["law"]
    assert isinstance(law, list)
    assert (law[6], law[8]) == (-800_000, 10), "no slot is passed"


def test_a_period_that_most_beats_miss_is_sought_anew() -> None:
    detector = restored(0, SIZE - 1, 3 * SIZE, [0] * SIZE)
    detector.heartbeat(101.0)
    law = detector.snapshot()["law"]
    assert isinstance(law, list)
    assert law[4] == 0, "it is not found"


def test_with_few_intervals_the_quantiles_are_those_of_a_normal_distribution() -> None:
    """Two percent of its intervals are longer than 2.33 deviations above the mean."""
    gaps = [0.8, 1.2] * 4
    detector = fed("quantile", [sum(gaps[:n]) for n in range(len(gaps) + 1)], interval=1.0)
    deviation = 0.5 * (3 / 8) ** 0.5  # the floor of a window with so few
    assert patience(detector, 1.0) == pytest.approx(1.0 + deviation)
    assert patience(detector, 2.0) == pytest.approx(1.0 + 2.33 * deviation)
