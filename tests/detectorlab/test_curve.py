"""What a replay counts, on traces small enough to count by hand."""

from __future__ import annotations

from array import array
from math import inf

import pytest

from supervisor.detectorlab.candidates import BY_NAME
from supervisor.detectorlab.curve import EVERY, WARM, Point, between, grid, needs, replay, together
from supervisor.detectorlab.scenarios import Trace, named


def trace(gaps: list[float]) -> Trace:
    at, arrived = 0.0, array("d")
    for gap in gaps:
        at += gap
        arrived.append(at)
    return Trace(arrived, arrived)


def test_a_fixed_timeout_errs_at_every_longer_gap() -> None:
    late = {WARM + 10, WARM + 50, WARM + 51}
    gaps = [3.0 if n in late else 2.0 if n % 100 == 0 else 1.0 for n in range(WARM + 400)]
    fixed = BY_NAME["timeout"]
    points = replay(fixed.make(1.0, 1.5), trace(gaps), [0.9, 1.5, 2.5, 3.5])
    longer = sum(gap >= 1.5 for gap in gaps[WARM:])
    assert [p.mistakes for p in points] == [400, longer, len(late), 0]
    assert points[1].rate == pytest.approx(1e6 * longer / 400)


def test_detection_time_counts_from_the_crash_to_the_suspicion() -> None:
    """Crashes are spread over the second between two beats, so on average they come half a second after the last."""
    points = replay(BY_NAME["timeout"].make(1.0, 1.5), trace([1.0] * (WARM + 400 * EVERY)), [1.5, 0.25])
    patient, hasty = points
    assert patient.mean == pytest.approx(1.5 - 0.5, abs=0.02)
    assert patient.p99 == pytest.approx(1.5, abs=0.05)
    assert patient.worst == pytest.approx(1.5)
    assert hasty.mean == pytest.approx(0.25**2 / 2, abs=0.02), (
        "who crashes when it is suspected already is found at once"
    )


def test_whoever_crashes_after_a_lost_beat_was_silent_before() -> None:
    sent = array("d", (float(n) for n in range(1, WARM + 801)))
    arrived = array("d", (inf if n % EVERY == 1 and n > WARM else at for n, at in enumerate(sent)))
    (lossy,) = replay(BY_NAME["timeout"].make(1.0, 2.5), Trace(sent, arrived), [2.5])
    (whole,) = replay(BY_NAME["timeout"].make(1.0, 2.5), Trace(sent, sent), [2.5])
    assert lossy.mean < whole.mean


def test_needs_are_what_would_have_been_enough() -> None:
    gaps = [1.0 + n % 5 / 10 for n in range(WARM + 500)]
    fixed = BY_NAME["timeout"]
    needed = needs(fixed.make(1.0, 8.0), trace(gaps))
    assert len(needed) == 500
    assert needed == sorted(needed)
    assert needed[-1] == pytest.approx(1.4)
    for threshold in grid(needed):
        (point,) = replay(fixed.make(1.0, 8.0), trace(gaps), [threshold])
        assert point.mistakes == sum(need >= threshold for need in needed)


def point(mean: float, mistakes: int, threshold: float = 1.0) -> Point:
    return Point(threshold, mistakes, 1000, mean, 2 * mean, 3 * mean)


def test_between_two_points_mistakes_go_in_proportion() -> None:
    curve = [point(1.0, 400, 2.0), point(2.0, 4, 4.0)]
    middle = between(curve, 1.5)
    assert middle is not None
    assert (middle.threshold, middle.mean, middle.p99, middle.worst) == (3.0, 1.5, 3.0, 4.5)
    assert 35 < middle.mistakes < 50


@pytest.mark.parametrize(("time", "there"), [(0.9, False), (0.995, True), (1.0, True), (2.01, True), (2.1, False)])
def test_nothing_is_made_up_beyond_what_was_seen(time: float, there: bool) -> None:
    assert (between([point(1.0, 9), point(2.0, 3)], time) is not None) is there


def test_several_traces_make_one_point_or_none() -> None:
    both = together([point(1.0, 3), point(2.0, 5)])
    assert both is not None
    assert (both.mistakes, both.beats, both.mean, both.worst) == (8, 2000, 1.5, 6.0)
    assert together([point(1.0, 3), None]) is None
    assert together([]) is None


def test_a_failed_probe_is_a_mistake_of_detectors_that_know_only_silence() -> None:
    trace = named("failed-probes").trace(1, 6000)
    by_name = {}
    for name in ("phi", "akka"):
        contender = BY_NAME[name]
        by_name[name] = replay(contender.watcher(trace, contender.default), trace, [2.0, 8.0])
    counted, unaware = by_name["phi"][1], by_name["akka"][1]
    assert counted.mistakes == 0
    assert 4.0 < counted.mean < 9.0
    assert unaware.mistakes > 50
    assert by_name["phi"][0].mean < counted.mean
