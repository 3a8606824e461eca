"""How a target sets the detector, and how the assessment is described."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.detection.detectors.registry import make
from supervisor.core.detection.interval_histogram import IntervalHistogram
from supervisor.core.detection.target import TargetAssessment, assess, longest_silence, min_detect_within, score
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.transitions import step
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Record
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import HeartbeatSpec, ServiceSpec, TargetSpec
from supervisor.core.services.status import instance_view
from supervisor.core.text.causes import phrase
from supervisor.core.text.target import few, in_words, shown

DAY = 86_400.0


def wish(within: float = 5.0, rate: float = 1 / (30 * DAY), **keys: Any) -> HeartbeatSpec:
    return HeartbeatSpec(target=TargetSpec(detect_within=within, max_false_restarts=rate), **keys)


def recorded(intervals: Iterable[float]) -> IntervalHistogram:
    histogram = IntervalHistogram()
    for interval in intervals:
        histogram.add(interval)
    return histogram


def drawn(law: str, count: int, seed: int = 1) -> IntervalHistogram:
    dice = Random(f"{law}:{seed}")
    draws: dict[str, Callable[[], float]] = {
        "even": lambda: dice.gauss(1.0, 0.02),
        "exponential": lambda: dice.expovariate(1.0),
        "pareto": lambda: 0.5 * dice.paretovariate(2.5),
        "pauses": lambda: dice.uniform(1.0, 3.0) if dice.random() < 0.01 else dice.gauss(1.0, 0.05),
    }
    return recorded(max(0.01, draws[law]()) for _ in range(count))


LAWS = ("even", "exponential", "pareto", "pauses")


@pytest.mark.parametrize(
    ("beat", "maximum", "minimum"),
    [
        (wish(5.0), 4.5, 2.5),
        (wish(1.0, interval=0.1), 0.5, 0.4),
        (wish(0.4, interval=0.1), 0.2, 0.4),
        (wish(5.0, source="file", file="/x"), 4.0, 3.0),
        (wish(5.0, source="activity"), 3.5, 3.5),
        (wish(1.0, source="activity", interval=2.0), 0.0, 6.5),
    ],
)
def test_a_hang_is_known_for_one_within_the_time_wanted(beat: HeartbeatSpec, maximum: float, minimum: float) -> None:
    assert longest_silence(beat) == pytest.approx(maximum)
    assert min_detect_within(beat) == pytest.approx(minimum)
    assert longest_silence(replace(beat, target=TargetSpec(detect_within=minimum))) >= beat.interval


def test_a_detector_with_a_target_begins_as_patient_as_that_allows() -> None:
    detector = make(wish(5.0, threshold=1.0, min_timeout=0.1))
    assert (detector.name, detector.threshold) == ("adaptive", pytest.approx(6.414, abs=1e-3))
    detector.start(0.0)
    assert detector.suspect_at() == 30.0  # the first beat may take as long as max_timeout
    for at in range(1, 500):
        detector.heartbeat(float(at))
    assert detector.suspect_at() == 499.0 + 4.5
    detector.bound(0.0, 3.0)
    assert 500.0 < (detector.suspect_at() or 0.0) < 502.0


@pytest.mark.parametrize(("rate", "found"), [(1 / (30 * DAY), 6.414), (0.4, 1.0), (1e-30, 12.0)])
def test_the_score_is_the_chance_of_one_beat(rate: float, found: float) -> None:
    assert score(wish(rate=rate)) == pytest.approx(found, abs=1e-3)


def test_before_there_are_enough_beats_nothing_is_promised_but_the_time() -> None:
    assessment = assess(wish(5.0), 1, recorded([1.0] * 199))
    assert assessment == TargetAssessment(4.5, 4.5, 199, 199.0)
    assert assessment.feasible is None


def test_a_service_without_instances_is_assessed_as_one_with_one() -> None:
    record = drawn("even", 300)
    assert assess(wish(), 0, record) == assess(wish(), 1, record) != assess(wish(), 2, record)


def test_what_is_predicted_is_what_happens() -> None:
    """Exponential intervals of mean 1 s: e⁻ᵗ of them are longer than t."""
    assessment = assess(wish(10.5, rate=1 / 3600), 1, drawn("exponential", 20_000))
    assert assessment.feasible is True
    assert assessment.needs is not None and assessment.needs == pytest.approx(8.19, rel=0.15)
    assert assessment.needs_high is not None and assessment.needs <= assessment.needs_high
    assert assessment.low is not None and assessment.rate is not None and assessment.high is not None
    assert assessment.low <= 2.718**-(assessment.minimum) <= assessment.high


@pytest.mark.parametrize(("within", "feasible", "sure"), [(5.0, False, True), (15.0, False, False), (60.0, True, True)])
def test_where_both_cannot_be_had_the_time_is_kept_and_the_price_named(
    within: float, feasible: bool, sure: bool
) -> None:
    assessment = assess(wish(within), 1, drawn("exponential", 20_000))
    assert (assessment.feasible, assessment.sure) == (feasible, sure)
    assert assessment.maximum == within - 0.5
    assert feasible or assessment.minimum == assessment.maximum
    assert assessment.rate is not None
    assert (assessment.rate <= 1 / (30 * DAY)) is feasible


def test_the_less_is_known_the_more_patient() -> None:
    beats, histogram, last = 0, IntervalHistogram(), 9.0
    dice = Random(1)
    for wanted in (200, 20_000, 60_000, 120_000):
        for _ in range(wanted - beats):
            histogram.add(dice.gauss(1.0, 0.02))
        beats = wanted
        minimum = assess(wish(5.0, rate=1 / (2 * 3600)), 1, histogram).minimum
        assert minimum <= last
        last = minimum
    assert last < 1.3
    proven = assess(wish(5.0, rate=1 / (2 * 3600)), 1, histogram)
    assert proven.proven is not None and proven.proven <= 1 / (2 * 3600)
    histogram.add(4.0)
    assert assess(wish(5.0, rate=1 / (2 * 3600)), 1, histogram).minimum > last


@given(
    st.sampled_from(LAWS), st.sampled_from((200, 700, 5_000)), st.integers(0, 3), st.floats(0.6, 300.0),
    st.floats(1e-9, 0.4), st.integers(1, 50),
)  # fmt: skip
def test_a_wish_that_can_be_granted_is_and_time_is_always_kept(
    law: str, beats: int, seed: int, within: float, rate: float, instances: int
) -> None:
    histogram = drawn(law, beats, seed)
    assessment = assess(wish(within, rate), instances, histogram)
    assert 0.0 < assessment.minimum <= assessment.maximum <= within
    assert assessment.rate is not None and assessment.low is not None and assessment.high is not None
    assert assessment.low <= assessment.rate <= assessment.high * (1 + 1e-9)
    if assessment.feasible and assessment.sure:
        assert assessment.rate <= rate * 1.001 + 1e-12
    kinder = assess(wish(2.0 * within, 2.0 * rate), instances, histogram)
    assert kinder.feasible or not assessment.feasible
    assert kinder.maximum >= assessment.maximum
    if assessment.needs is not None:
        assert kinder.needs is not None and kinder.needs <= assessment.needs * (1 + 1e-9)
    alone = assess(wish(within, rate), 1, histogram)
    assert (alone.needs or 0.0) <= (assessment.needs or 1e9) * (1 + 1e-9)
    json.dumps(shown(assessment, TargetSpec()), allow_nan=False)


def test_no_silence_of_any_use() -> None:
    assessment = assess(wish(5.0, 1e-12), 1, recorded(0.001 * (1.0 + i % 7) ** 9 for i in range(400)))
    assert (assessment.needs, assessment.needs_high, assessment.feasible) == (None, None, False)
    assert "1/30d needs over a year of silence" in in_words(shown(assessment, TargetSpec()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"feasible": None, "beats": 57},
            "5 s and 1/30d: not known yet (57 of 200 beats); until then suspected after 2.1 s of silence",
        ),
        (
            {},
            "5 s and 1/30d: can be met together, as 20,000 beats show; suspected after 2.1 s of silence, "
            "about 0.25/30d (<0.001 to 150)",
        ),
        (
            {"sure": False, "low_per_30d": 0.0},
            "5 s and 1/30d: probably can be met together, as 20,000 beats show; suspected after 2.1 s of silence, "
            "about 0.25/30d (0 to 150)",
        ),
        (
            {"proven_per_30d": 0.9, "high_per_30d": None},
            "5 s and 1/30d: kept; suspected after 2.1 s of silence, about 0.25/30d (<0.001 to ?)",
        ),
        (
            {"feasible": False, "false_restarts_per_30d": 3.0},
            "5 s and 1/30d: cannot be met together, as 20,000 beats show; 5 s gives about 3/30d (<0.001 to 150), "
            "1/30d needs 7.2 s of silence",
        ),
        (
            {"feasible": False, "sure": False, "needs_s": None},
            "5 s and 1/30d: probably cannot be met together, as 20,000 beats show; "
            "5 s gives about 0.25/30d (<0.001 to 150), 1/30d needs over a year of silence",
        ),
    ],
)
def test_it_is_said_in_one_line(change: dict[str, Any], said: str) -> None:
    found: Any = {
        "detect_within_s": 5.0, "max_false_restarts_per_30d": 1.0, "feasible": True, "sure": True, "patience_s": 2.1,
        "needs_s": 7.2, "false_restarts_per_30d": 0.25, "low_per_30d": 1e-9, "high_per_30d": 150.2,
        "proven_per_30d": 70.0, "beats": 20_000, "beats_needed": 200,
    }  # fmt: skip
    assert in_words(found | change) == said


@given(rate=st.floats(0.001, 1e9) | st.floats(99.0, 101.0))
def test_a_rate_is_told_to_two_digits_and_without_powers_of_ten(rate: float) -> None:
    said = few(rate)
    assert "e" not in said and float(said) == pytest.approx(rate, rel=0.0501)


@pytest.mark.parametrize(("rate", "said"), [(None, "?"), (0.0, "0"), (0.0009, "<0.001"), (0.0824, "0.082"), (3.0, "3")])
def test_few(rate: float | None, said: str) -> None:
    assert few(rate) == said


def beating(beat: HeartbeatSpec, replicas: int = 1) -> Instance:
    spec = ServiceSpec(name="web", command=("x",), heartbeat=beat, replicas=replicas)
    instance = Instance("web", spec, lambda: 0.5)
    for event in (ev.Start(), ev.StartPermitted(), ev.Spawned(1, 7)):
        step(instance, event, 0.0)
    return instance


def test_an_instance_reviews_its_wish_as_its_record_grows_and_keeps_it_over_restarts() -> None:
    instance = beating(wish(5.0, rate=1 / 600), replicas=2)
    dice, at, reviewed = Random(2), 0.0, set()
    for _ in range(3000):
        due = instance.review_due
        assert instance.takes_beats_only is not due
        at += dice.gauss(1.0, 0.02)
        step(instance, ev.Heartbeat(1, at), at)
        assert instance.assessment is not None
        reviewed.add(instance.assessment.beats)
        assert not due or instance.assessment.beats == instance.histogram.count
    assert len(reviewed) < 30
    view = instance_view(instance, at)
    assert view["detector"] == "adaptive"
    target = view["target"]
    assert target is not None and target["feasible"] is True
    assert view["suspect_in_s"] == pytest.approx(target["patience_s"], abs=0.2)
    again = Instance("web", instance.spec, lambda: 0.5)
    assert again.assessment is not None and again.assessment.feasible is None
    again.restore(instance.snapshot(at), crashed=False)
    assert again.assessment is not None
    assert again.assessment.minimum == pytest.approx(assess(wish(5.0, rate=1 / 600), 2, instance.histogram).minimum)
    sooner = replace(instance.spec, heartbeat=wish(1.5, rate=1 / 600))
    records = [a for a in step(instance, ev.Reconfigure(sooner, False), at) if isinstance(a, Record)]
    assert [record.cause for record in records] == [Cause.TARGET_INFEASIBLE, Cause.RELOADED]
    assert phrase(records[0].cause, records[0].detail).startswith("1.5 s gives about ")
    plain = replace(instance.spec, heartbeat=HeartbeatSpec())
    step(instance, ev.Reconfigure(plain, False), at)
    assert instance.assessment is None
    assert instance_view(instance, at)["target"] is None
    assert not instance.review_due
