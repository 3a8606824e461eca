"""Detectors under any floats, any silence and any snapshot."""

from __future__ import annotations

import json
from itertools import pairwise
from math import isfinite

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from supervisor.core.detection.detectors.protocol import Detector
from supervisor.core.detection.detectors.registry import KNOWN, make
from supervisor.core.detection.interval_histogram import IntervalHistogram
from supervisor.core.detection.target import assess
from supervisor.core.model.spec import HeartbeatSpec, TargetSpec

pytestmark = pytest.mark.slow
every = pytest.mark.parametrize("name", sorted(KNOWN))


def beating(name: str, beats: int = 101, every: float = 1.0) -> Detector:
    """Started at 0, with beats at 0, `every`, …"""
    detector = make(HeartbeatSpec(detector=name))
    detector.start(0.0)
    for i in range(beats):
        assert detector.heartbeat(i * every)
    return detector


anything = st.floats()
sensible = st.floats(0.0, 1e6)


def calls(floats: st.SearchStrategy[float]) -> st.SearchStrategy[list[tuple[str, float]]]:
    kinds = st.sampled_from(
        [
            "start",
            "heartbeat",
            "heartbeat",
            "heartbeat",
            "stamped",
            "discount_silence",
            "extend_deadline",
            "failed",
            "failed",
            "bound",
            "forget_current",
        ]
    )
    return st.lists(st.tuples(kinds, floats), max_size=40)


def without_bounds(moves: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Bounds are not saved: they follow from the recorded intervals."""
    return [move for move in moves if move[0] != "bound"]


def play(detector: Detector, moves: list[tuple[str, float]]) -> None:
    for move, value in moves:
        if move == "forget_current":
            detector.forget_current()
        elif move == "stamped":
            detector.heartbeat(value, value / 1.01)
        elif move == "bound":
            detector.bound(value, 3.0 * value)
        elif move == "discount_silence":
            detector.discount_silence(value, 2.0 * value)
        else:
            getattr(detector, move)(value)


def healthy(detector: Detector, at: float) -> bool:
    json.dumps(detector.snapshot(), allow_nan=False)
    suspect_at, score, other = detector.suspect_at(), detector.suspicion(at), detector.suspect_at(at)
    moments = all(moment is None or isfinite(moment) for moment in (suspect_at, other))
    return isfinite(score) and score >= 0.0 and moments and all(map(isfinite, detector.intervals()))


@every
@given(
    source=st.sampled_from(["notify", "http"]), interval=anything, threshold=anything, minimum=anything,
    maximum=anything, timeout=anything, moves=calls(anything | st.floats(0.0, 100.0)), at=anything,
)  # fmt: skip
def test_no_floats_break_it(
    name: str, source: str, interval: float, threshold: float, minimum: float, maximum: float, timeout: float,
    moves: list[tuple[str, float]], at: float,
) -> None:  # fmt: skip
    detector = make(
        HeartbeatSpec(
            source=source,
            probe_timeout=timeout,
            detector=name,
            interval=interval,
            threshold=threshold,
            min_timeout=minimum,
            max_timeout=maximum,
            timeout=timeout,
        )
    )
    assert healthy(detector, at)
    for move in moves:
        play(detector, [move])
        assert healthy(detector, at)


@every
@pytest.mark.parametrize("gap", [1e-6, 1e-4, 4e-4])
def test_a_burst_of_beats_breaks_nothing(name: str, gap: float) -> None:
    detector = beating(name, beats=400, every=gap)
    assert healthy(detector, 400 * gap)
    assert detector.suspect_at() is not None


@every
@pytest.mark.parametrize("longest", [0.0, 1e-12, 1e-6])
def test_no_time_to_learn_in_breaks_nothing(name: str, longest: float) -> None:
    detector = make(HeartbeatSpec(detector=name, max_timeout=longest, timeout=longest))
    play(detector, [("start", 0.0), *(("heartbeat", float(i * i)) for i in range(300))])
    assert healthy(detector, 1e6)


@given(
    source=st.sampled_from(["notify", "http", "file"]), within=anything, rate=anything, interval=anything,
    threshold=anything, instances=st.integers(0, 9), gaps=st.lists(st.floats(1e-6, 100.0), max_size=4),
)  # fmt: skip
def test_no_floats_break_a_target(
    source: str, within: float, rate: float, interval: float, threshold: float, instances: int, gaps: list[float]
) -> None:
    target = TargetSpec(detect_within=within, max_false_restarts=rate)
    spec = HeartbeatSpec(source=source, interval=interval, threshold=threshold, target=target)
    record = IntervalHistogram()
    for gap in gaps * 70:
        record.add(gap)
    found = assess(spec, instances, record)
    assert all(isfinite(value) for value in found if isinstance(value, float))
    detector = make(spec)
    detector.bound(found.minimum, found.maximum)
    play(detector, [("start", 0.0), *(("heartbeat", float(i)) for i in range(50))])
    assert healthy(detector, 100.0)


steps = st.lists(st.floats(1e-3, 50.0), min_size=1, max_size=300)
lateness = st.just(0.0) | st.floats(1e-6, 60.0)


@every
@given(steps=steps, late=lateness, silences=st.lists(st.floats(0.0, 1e7), min_size=2).map(sorted))
def test_suspicion_never_falls_while_silence_lasts(
    name: str, steps: list[float], late: float, silences: list[float]
) -> None:
    detector = make(HeartbeatSpec(detector=name))
    detector.start(0.0)
    at = 0.0
    for step in steps:
        at += step
        detector.heartbeat(at, at - late if late else None)
    scores = [detector.suspicion(at + silence) for silence in silences]
    assert all(a <= b * (1 + 1e-12) for a, b in pairwise(scores))


@every
@given(
    steps=steps, late=lateness, threshold=st.floats(0.5, 50.0), other=st.floats(0.5, 50.0),
    discount_silence=st.just(0.0) | st.floats(0.001, 100.0),
)  # fmt: skip
def test_the_moment_of_suspicion_is_where_the_score_meets_the_threshold(
    name: str, steps: list[float], late: float, threshold: float, other: float, discount_silence: float
) -> None:
    detector = make(HeartbeatSpec(detector=name, threshold=threshold, min_timeout=0.0, max_timeout=1e6))
    detector.start(0.0)
    at = 0.0
    for step in steps:
        at += step
        detector.heartbeat(at, at - late if late else None)
    detector.discount_silence(discount_silence, at)
    for asked, score in ((None, detector.threshold), (other, other)):
        moment = detector.suspect_at(asked)
        assert moment is not None
        assert detector.suspicion(moment) == pytest.approx(score, rel=1e-6)


@every
@given(moves=calls(sensible).map(without_bounds), more=calls(sensible).map(without_bounds))
@example(moves=[("start", 0.0), *(("heartbeat", float(i)) for i in range(250))], more=[("heartbeat", 500.0)])
@example(
    moves=[("start", 0.0), *(("stamped", float(i * i % 7 + 9 * i)) for i in range(250))], more=[("heartbeat", 9e3)]
)
def test_a_restored_detector_goes_on_as_the_one_saved(
    name: str, moves: list[tuple[str, float]], more: list[tuple[str, float]]
) -> None:
    saved, restored = (make(HeartbeatSpec(detector=name, source="http")) for _ in range(2))
    play(restored, [("start", 0.0), *(("heartbeat", float(i)) for i in range(7))])
    play(saved, moves)
    restored.restore(json.loads(json.dumps(saved.snapshot())))
    for _ in range(2):
        assert restored.snapshot() == saved.snapshot()
        assert restored.suspect_at() == saved.suspect_at()
        assert restored.suspicion(1e6) == saved.suspicion(1e6)
        assert restored.intervals() == saved.intervals()
        play(saved, more)
        play(restored, more)


@every
def test_a_rhythm_outlives_a_change_of_detector(name: str) -> None:
    for other in KNOWN:
        detector = make(HeartbeatSpec(detector=name))
        detector.restore(beating(other, every=3.0).snapshot())
        assert detector.intervals() == (3.0,) * 64
        assert detector.last == 300.0


@every
def test_a_snapshot_is_compact(name: str) -> None:
    assert len(json.dumps(beating(name, beats=500).snapshot(), separators=(",", ":"))) < 3072


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=10,
)
keys = st.sampled_from(sorted(make(HeartbeatSpec()).snapshot()))
rhythm_keys = st.sampled_from(sorted({*make(HeartbeatSpec()).snapshot()} - {"law", "excused_until", "spared"}))


@every
@given(garbage=junk)
def test_garbage_restores_to_a_cold_start(name: str, garbage: object) -> None:
    detector, cold = beating(name), make(HeartbeatSpec(detector=name))
    detector.ignored = 3
    detector.restore(garbage)  # type: ignore[arg-type]
    assert detector.snapshot() == cold.snapshot()
    detector.start(0.0)
    detector.heartbeat(0.0)
    cold.start(0.0)
    cold.heartbeat(0.0)
    assert detector.suspect_at() == cold.suspect_at()


@every
@given(key=keys, value=junk | st.lists(junk, max_size=3), at=anything, moves=calls(anything))
def test_a_damaged_snapshot_is_harmless(
    name: str, key: str, value: object, at: float, moves: list[tuple[str, float]]
) -> None:
    detector = beating(name)
    detector.restore(beating(name).snapshot() | {key: value})
    assert healthy(detector, at)
    play(detector, moves)
    assert healthy(detector, at)


@every
@given(key=rhythm_keys)
def test_a_snapshot_with_a_part_missing_is_no_snapshot(name: str, key: str) -> None:
    detector, torn = beating(name), beating(name).snapshot()
    del torn[key]
    detector.restore(torn)
    assert detector.snapshot() == make(HeartbeatSpec(detector=name)).snapshot()
