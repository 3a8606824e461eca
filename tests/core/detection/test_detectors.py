"""What every detector guarantees: by its name, its score function and its measure of silence."""

from __future__ import annotations

import sys
from math import inf, nan
from random import Random
from typing import Any

import mpmath
import pytest

from supervisor.core.detection.detectors.protocol import Detector
from supervisor.core.detection.detectors.registry import KNOWN, least_silence, make
from supervisor.core.model.spec import HeartbeatSpec

every = pytest.mark.parametrize("name", sorted(KNOWN))
accruing = pytest.mark.parametrize("name", sorted({*KNOWN} - {"timeout"}))
phis = pytest.mark.parametrize("name", ["phi", "phi-logistic"])

WIDE: dict[str, Any] = {"min_timeout": 0.0, "max_timeout": 1e6}


def started(name: str = "phi", at: float = 0.0, **spec: float) -> Detector:
    detector = make(HeartbeatSpec(detector=name, **spec))  # type: ignore[arg-type]
    detector.start(at)
    return detector


def beating(name: str = "phi", beats: int = 101, every: float = 1.0, **spec: float) -> Detector:
    """Started at 0, with beats at 0, `every`, …"""
    detector = started(name, **spec)
    for i in range(beats):
        assert detector.heartbeat(i * every)
    return detector


def patience(detector: Detector) -> float:
    at = detector.suspect_at()
    assert at is not None and detector.last is not None
    return at - detector.last


# --- by name ---------------------------------------------------------------------------------------------


def test_the_contracts_names_are_known() -> None:
    assert set(KNOWN) >= {"timeout", "phi", "phi-logistic", "exponential", "chen", "two-window", "bertier", "quantile"}
    for name in KNOWN:
        assert make(HeartbeatSpec(detector=name)).name == name


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no detector 'fi'; known are timeout"):
        make(HeartbeatSpec(detector="fi"))


def test_thresholds() -> None:
    assert make(HeartbeatSpec(detector="phi", threshold=5.0)).threshold == 5.0
    assert make(HeartbeatSpec(detector="timeout", threshold=5.0)).threshold == 1.0


# --- laws ------------------------------------------------------------------------------------------------


def test_the_fixed_timeout_is_floor_and_cap_in_one() -> None:
    detector = beating("timeout", timeout=0.5, min_timeout=2.0)
    assert patience(detector) == 0.5
    assert detector.suspicion(100.25) == 0.5
    assert patience(beating("timeout", timeout=90.0, max_timeout=30.0)) == 90.0
    assert started("timeout", timeout=90.0, max_timeout=30.0).suspect_at() == 90.0


def test_phi_is_minus_log10_of_the_normal_tail() -> None:
    detector = started(**WIDE)
    at = 0.0
    for i in range(161):
        detector.heartbeat(at)
        at += 1.5 if i % 2 else 0.5
    assert detector.last == 160.0
    tail = mpmath.erfc((mpmath.mpf(3) - 1) / mpmath.mpf("0.5") / mpmath.sqrt(2)) / 2
    assert detector.suspicion(163.0) == pytest.approx(float(-mpmath.log10(tail)), rel=1e-9)


@accruing
def test_a_slower_rhythm_is_given_more_time(name: str) -> None:
    assert patience(beating(name, every=5.0, interval=5.0, **WIDE)) == pytest.approx(
        5 * patience(beating(name, every=1.0, **WIDE)), rel=1e-6
    )


@every
@pytest.mark.parametrize("beats", [1, 9, 30, 300])
@pytest.mark.parametrize("threshold", [0.01, 0.1, 0.3, 0.5, 0.9, 1.0, 1.5, 2.5, 8.0, 40.0])
def test_score_and_moment_are_inverses_with_few_intervals_and_with_many(
    name: str, beats: int, threshold: float
) -> None:
    """At thresholds on each piece of a score function that has several."""
    dice, at, detector = Random(1), 0.0, started(name, **WIDE)
    for _ in range(beats):
        detector.heartbeat(at)
        at += dice.choice((1.0, 1.1, 1.2, 4.0))
    moment = detector.suspect_at(threshold)
    assert moment is not None and detector.last is not None
    if moment >= detector.last:
        assert detector.suspicion(moment) == pytest.approx(threshold, rel=1e-6)
    else:
        assert detector.suspicion(detector.last) >= threshold, "it is there at once"


@phis
def test_floor_and_cap_bend_the_moment_but_not_the_score(name: str) -> None:
    floored = beating(name, every=0.1, interval=0.1, min_timeout=2.0)
    assert patience(floored) == 2.0
    assert floored.suspicion(12.0) > 8.0
    capped = beating(name, every=20.0, interval=20.0, max_timeout=25.0)
    assert patience(capped) == 25.0
    assert capped.suspicion(2025.0) < 8.0
    assert capped.suspicion(capped.suspect_at(8.0)) == pytest.approx(8.0)  # type: ignore[arg-type]
    assert patience(beating(name, min_timeout=9.0, max_timeout=3.0)) == 3.0


@accruing
def test_floor_and_cap_hold_and_where_they_contradict_the_cap(name: str) -> None:
    assert patience(beating(name, every=0.01, interval=0.01, min_timeout=2.0)) == 2.0
    assert patience(beating(name, every=20.0, interval=20.0, max_timeout=15.0)) == 15.0
    assert patience(beating(name, min_timeout=9.0, max_timeout=3.0)) == 3.0


@phis
def test_a_cold_window_is_generous(name: str) -> None:
    cold = beating(name, beats=1, interval=2.0, **WIDE)
    assert cold.suspicion(4.0) < 3.0
    assert 5.0 < patience(cold) < 10.0


@accruing
def test_activity_has_no_rhythm_before_it_has_shown_one(name: str) -> None:
    """A program may rest for some seconds after its start; `interval` only says how often it is looked at."""
    resting = make(HeartbeatSpec(detector=name, source="activity"))
    resting.start(0.0)
    for at in range(10):
        resting.heartbeat(float(at))
        assert patience(resting) == 30.0
    resting.heartbeat(10.0)
    assert patience(resting) == max(3.0, patience(beating(name, beats=11))) < 30.0
    again = make(HeartbeatSpec(detector=name, source="activity"))
    again.restore(resting.snapshot())
    assert patience(again) == patience(resting), "what was learned counts after a restart of the daemon, too"


@accruing
def test_activity_just_after_each_look_is_no_silence(name: str) -> None:
    """It acts each second, and is looked at each second: the look before this act saw nothing, the next one does."""
    for least, expected in ((2.0, 3.0), (29.5, 30.0)):
        spec = HeartbeatSpec(detector=name, source="activity", min_timeout=least)
        punctual = make(spec)
        punctual.start(0.0)
        for at in range(20):
            punctual.heartbeat(float(at))
        assert least_silence(spec) == expected
        assert patience(punctual) >= expected


@phis
def test_one_long_pause_does_not_blind_it_to_the_next_death(name: str) -> None:
    detector = beating(name, **WIDE)
    before = patience(detector)
    detector.heartbeat(100.0 + 25.0)
    for i in range(5):
        detector.heartbeat(126.0 + i)
    assert patience(detector) < 1.1 * before


# --- a clock of silence ----------------------------------------------------------------------------------


@every
def test_nothing_is_said_before_the_start(name: str) -> None:
    detector = make(HeartbeatSpec(detector=name))
    assert detector.suspect_at() is None
    assert not detector.heartbeat(1.0)
    assert (detector.suspicion(1e9), detector.last, detector.ignored) == (0.0, None, 1)


@every
def test_the_first_beat_has_the_longest_grace(name: str) -> None:
    detector = started(name, at=100.0, max_timeout=30.0)
    assert detector.suspect_at() == 130.0
    assert detector.suspicion(1e6) == 0.0
    detector.heartbeat(101.0)
    assert detector.suspect_at() < 130.0  # type: ignore[operator]


@every
def test_a_new_incarnation_keeps_the_rhythm_and_begins_with_grace(name: str) -> None:
    detector = beating(name, every=3.0)
    before, known = patience(detector), detector.intervals()
    detector.discount_silence(1.0, 0.0)
    detector.start(1000.0)
    assert (detector.last, detector.suspect_at(), detector.suspicion(1010.0)) == (None, 1030.0, 0.0)
    assert detector.heartbeat(1001.0)
    assert patience(detector) == pytest.approx(before)
    assert detector.intervals() == known


@every
def test_outliers_of_two_incarnations_are_not_in_a_row(name: str) -> None:
    detector = beating(name)
    for at in (120.0, 140.0):
        detector.heartbeat(at)
    detector.start(200.0)
    detector.heartbeat(200.0)
    detector.heartbeat(220.0)
    assert len(detector.intervals()) == 64


@every
@pytest.mark.parametrize("at", [100.0, 99.9, -1e9, nan, inf, -inf, 1e12])
def test_backward_duplicate_and_impossible_beats_are_counted_only(name: str, at: float) -> None:
    detector = beating(name)
    before = detector.suspect_at()
    assert not detector.heartbeat(at)
    assert (detector.last, detector.suspect_at(), detector.ignored) == (100.0, before, 1)
    assert detector.heartbeat(101.0)


@every
def test_a_beat_read_with_the_start_counts_as_of_the_start(name: str) -> None:
    detector = started(name, at=10.0)
    for impossible in (nan, inf, -1e12):
        assert not detector.heartbeat(impossible)
    assert detector.heartbeat(9.99)
    assert detector.last == 10.0
    detector.heartbeat(11.0)
    assert detector.intervals() == ()
    detector.heartbeat(12.0)
    assert detector.intervals() == (1.0,)


@every
def test_an_excuse_shifts_the_silence_and_is_not_learned(name: str) -> None:
    detector = beating(name)
    at, score = detector.suspect_at(), detector.suspicion(101.5)
    detector.discount_silence(7.0, 107.0)
    assert detector.suspect_at() == pytest.approx(at + 7.0)  # type: ignore[operator]
    assert detector.suspicion(108.5) == pytest.approx(score)
    assert detector.suspicion(103.0) == detector.suspicion(100.0)
    detector.heartbeat(108.0)
    assert max(detector.intervals()) == 1.0
    assert detector.suspect_at() == pytest.approx(at + 8.0)  # type: ignore[operator]
    detector.heartbeat(109.25)
    assert max(detector.intervals()) == 1.25


@every
def test_a_beat_out_of_the_excused_time_leaves_the_rest_of_it_excused(name: str) -> None:
    """It was queued while the daemon did not run; those after it found the queue full."""
    detector = beating(name)
    patience = detector.suspect_at() - 100.0  # type: ignore[operator]
    detector.discount_silence(30.0, 131.0)
    detector.heartbeat(101.0)
    detector.heartbeat(102.0)
    assert detector.suspect_at() == pytest.approx(131.0 + patience)
    detector.heartbeat(131.25)
    assert detector.intervals() == beating(name).intervals(), "nothing was learned in that time"
    assert detector.suspect_at() == pytest.approx(131.25 + patience)


@every
def test_who_is_spared_gets_so_many_times_the_time_within_the_cap(name: str) -> None:
    detector = beating(name, min_timeout=20.0, max_timeout=70.0, timeout=20.0)
    score = detector.suspicion(104.0)
    assert patience(detector) == 20.0
    detector.extend_deadline(1.5)
    assert patience(detector) == 30.0
    assert detector.suspicion(104.0) == score
    detector.extend_deadline(100.0)
    assert patience(detector) == (70.0 if name != "timeout" else 2000.0)
    detector.heartbeat(101.0)
    assert patience(detector) == 20.0
    detector.extend_deadline(0.5)
    assert patience(detector) == 20.0
    detector.start(200.0)
    detector.extend_deadline(2.0)
    assert detector.suspect_at() == 270.0, "before the first beat there is no more than the cap"
    short = beating(name, min_timeout=0.01, max_timeout=70.0, timeout=1.2)
    before = patience(short)
    short.extend_deadline(1.5)
    assert patience(short) == pytest.approx(1.5 * before), "also where that is less than a second"


@every
def test_an_excuse_before_the_first_beat_lengthens_the_grace(name: str) -> None:
    detector = started(name, max_timeout=30.0)
    detector.discount_silence(5.0, 5.0)
    assert detector.suspect_at() == 35.0


@every
def test_excuses_add_up_to_a_year_at_most(name: str) -> None:
    detector = started(name, max_timeout=0.0, timeout=1.0)
    grace = detector.suspect_at()
    for _ in range(3):
        detector.discount_silence(300 * 86_400.0, 0.0)
    assert detector.suspect_at() == grace + 366 * 86_400.0  # type: ignore[operator]


@every
@pytest.mark.parametrize("seconds", [nan, inf, -inf, -1.0, 0.0])
def test_an_impossible_excuse_changes_nothing(name: str, seconds: float) -> None:
    detector = beating(name)
    at = detector.suspect_at()
    detector.discount_silence(seconds, 100.0)
    assert detector.suspect_at() == at
    detector.heartbeat(101.25)
    assert detector.intervals()[-1] == 1.25


@every
@pytest.mark.parametrize("other", ["phi", "chen", "timeout"])
def test_a_rhythm_that_another_detector_has_learned_is_taken_up(name: str, other: str) -> None:
    known = beating(name, every=3.0, interval=3.0, **WIDE)
    changed = make(HeartbeatSpec(detector=name, interval=3.0, **WIDE))
    changed.restore(beating(other, every=3.0).snapshot())
    assert patience(changed) == pytest.approx(patience(known), rel=1e-9)


@every
def test_an_interval_to_forget_is_not_learned_and_only_that_one(name: str) -> None:
    detector = beating(name)
    detector.forget_current()
    detector.heartbeat(101.3)
    detector.heartbeat(102.5)
    assert detector.intervals()[-2:] == pytest.approx((1.0, 1.2))


@every
def test_late_but_alive_three_times_is_learned_though_each_was_suspected(name: str) -> None:
    detector = beating(name)
    for i in range(3):
        detector.forget_current()
        detector.heartbeat(110.0 + 10.0 * i)
    assert detector.intervals() == (10.0, 10.0, 10.0)


@every
def test_the_newest_64_intervals_are_shown(name: str) -> None:
    detector = beating(name, beats=65 + 300)
    detector.heartbeat(365.25)
    assert len(detector.intervals()) == 64
    assert detector.intervals()[-2:] == (1.0, 1.25)


@every
def test_a_start_at_no_possible_time_is_none(name: str) -> None:
    for now in (nan, inf, -inf, 1e300):
        assert started(name, at=now).suspect_at() is None


@every
def test_memory_stays_below_4_kib(name: str) -> None:
    detector = started(name)
    dice = Random(1)
    at = 0.0
    for _ in range(5000):
        at += dice.lognormvariate(0.0, 0.5)
        detector.heartbeat(at, at - dice.random())

    def size(thing: object, seen: set[int]) -> int:
        if id(thing) in seen or isinstance(thing, str | type) or callable(thing):
            return 0
        seen.add(id(thing))
        parts = [*thing] if isinstance(thing, list | tuple) else []
        names = [n for c in type(thing).__mro__ for n in getattr(c, "__slots__", ())]
        return sys.getsizeof(thing) + sum(size(part, seen) for part in [*parts, *(getattr(thing, n) for n in names)])

    assert not hasattr(detector, "__dict__")
    assert not hasattr(detector._score_function, "__dict__")  # type: ignore[attr-defined]
    assert 800 < size(detector, set()) <= 4096
