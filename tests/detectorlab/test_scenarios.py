"""Traces: the same for the same seed, with the properties that they claim."""

from __future__ import annotations

import pickle
from itertools import pairwise
from math import inf
from statistics import fmean, median, stdev

import pytest

from supervisor.detectorlab.scenarios import SCENARIOS, Scenario, Trace, named

BEATS = 6000


def gaps(trace: Trace) -> list[float]:
    at = [trace.arrived[i] for i in trace.order()]
    return [b - a for a, b in pairwise(at)]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_a_seed_is_a_trace(scenario: Scenario) -> None:
    first, again, other = scenario.trace(1, BEATS), scenario.trace(1, BEATS), scenario.trace(2, BEATS)
    assert first == again
    assert first != other
    assert len(first.sent) == len(first.arrived) == BEATS
    assert all(s <= a for s, a in zip(first.sent, first.arrived, strict=True))
    assert all(a < b for a, b in zip(first.sent, first.sent[1:], strict=False))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_the_period_is_about_a_second(scenario: Scenario) -> None:
    assert 0.6 < median(gaps(scenario.trace(1, BEATS))) < 1.8


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_a_scenario_goes_to_another_process(scenario: Scenario) -> None:
    assert pickle.loads(pickle.dumps(scenario)) is named(scenario.name)


def of(name: str) -> Trace:
    return named(name).trace(3, 40_000)


def test_they_are_what_they_say() -> None:
    normal = gaps(of("normal"))
    assert (fmean(normal), stdev(normal)) == (pytest.approx(1.0, abs=0.01), pytest.approx(0.1, abs=0.01))
    assert stdev(gaps(of("gamma"))) == pytest.approx(0.5, abs=0.02)
    assert sum(gap > 1.4 for gap in gaps(of("bimodal"))) / 40_000 == pytest.approx(0.2, abs=0.01)
    assert sum(at == inf for at in of("loss").arrived) / 40_000 == pytest.approx(0.01, abs=0.003)
    assert sum(gap > 1.6 for gap in gaps(of("rare-pauses"))) / 40_000 == pytest.approx(0.005, abs=0.001)
    assert sum(gap > 500.0 for gap in gaps(of("suspends"))) == pytest.approx(20, abs=15)


def test_losses_come_in_bursts() -> None:
    lost = [at == inf for at in of("bursts").arrived]
    rate = sum(lost) / len(lost)
    after_one = sum(a and b for a, b in pairwise(lost)) / sum(lost)
    assert after_one > 5 * rate


def test_delays_wander_and_phases_hold() -> None:
    congested = of("congestion")
    delays = [a - s for s, a in zip(congested.sent, congested.arrived, strict=True)]
    here, there = delays[:-1], delays[1:]
    mean = fmean(delays)
    alike = sum((a - mean) * (b - mean) for a, b in zip(here, there, strict=True)) / sum((a - mean) ** 2 for a in here)
    assert alike > 0.5


def test_an_observer_that_stalls_hears_a_queue_at_once() -> None:
    at_once = [gap for gap in gaps(of("stalls")) if gap < 1e-3]
    assert len(at_once) > 40_000 / 300


def test_beats_that_overtake_are_heard_in_the_order_in_which_they_come() -> None:
    trace = of("stamped")
    assert trace.stamped
    order = trace.order()
    assert [trace.arrived[i] for i in order] == sorted(at for at in trace.arrived if at < inf)
