"""Sets a detector by a target: a hang is found within T, with at most a given rate of false restarts.

The two halves of a target conflict.  The patience t, the silence after which suspicion begins, has to be short for the
first and long for the second.  The recorded intervals decide (interval_histogram.py).

- **`detect_within` is always kept.**  t is at most `detect_within`, less the time of an examination (`EXAMINATION`, at
  most half of it) and the delay of beats of this source (`BEAT_DELAY`).
- **`max_false_restarts` needs a silence**: the one that an interval exceeds with probability p = max_false_restarts ×
  mean interval / instances.  Where that is longer than t may be, the target is infeasible.  Then t is as long as it may
  be, and the assessment says which rate of false restarts follows and which silence the target would need.
- **The less is known, the longer t.**  No false suspicion in about three times the period in which the target allows
  one proves the rate (95 %).  Until then longer pauses than the longest seen are assumed to exceed t with a probability
  that falls as 1/t.  So t starts as long as it may be, and falls while the record grows, to what the upper end of the
  fitted tail needs.

Between t and its upper bound the detector's own score decides, because it knows the present intervals.  One false
restart is predicted for every interval longer than t.  Many of these suspicions will be cleared by the late beat, so
the prediction is rather too high.
"""

from __future__ import annotations

from math import log10
from typing import NamedTuple

from supervisor.core.detection.interval_histogram import MIN_INTERVALS, Z95, IntervalHistogram, shifted
from supervisor.core.model.spec import HeartbeatSpec

EXAMINATION = 0.5
"""Seconds from a suspicion until it is known whether the process only waits for a CPU."""
BEAT_DELAY = {"file": 0.5, "activity": 1.0}
"""How late a beat may be seen, in intervals, for the sources that are polled."""
_FAR = 366 * 86_400.0
"""Seconds; a longer silence is of no use."""
_RAREST = 1e-30
"""The smallest chance that is asked for."""
_MAX_PHI, _MIN_PHI = 12.0, 1.0


class TargetAssessment(NamedTuple):
    """What a target means by the recorded intervals.  Silences are in seconds; rates are false restarts per second of
    all instances together.  None: not known."""

    minimum: float
    """Suspicion begins no earlier.  False restarts are predicted for this patience."""
    maximum: float
    """Suspicion begins no later."""
    beats: int
    recorded: float
    """Sum of the recorded intervals in seconds."""
    needs: float | None = None
    """The silence that the target needs; None also where that is longer than a year."""
    needs_high: float | None = None
    """The upper end of `needs`, with 95 %."""
    rate: float | None = None
    low: float | None = None
    high: float | None = None
    seen: int = 0
    """Recorded intervals longer than `minimum`."""
    proven: float | None = None
    """The rate is at most this, with 95 %, by the intervals seen alone, whatever the tail is."""
    feasible: bool | None = None
    sure: bool = False
    """`feasible` holds with 95 % too."""
    enough: int = MIN_INTERVALS
    """Number of beats from which on the target is assessed."""


def _seconds(value: float) -> float:
    """The value within 0 and a year; no number counts as a year."""
    return max(0.0, value) if value < _FAR else _FAR


def longest_silence(beat: HeartbeatSpec) -> float:
    """The longest silence, in seconds, with which a hang is still found within `detect_within`."""
    assert beat.target is not None
    within = _seconds(beat.target.detect_within)
    delay = BEAT_DELAY.get(beat.source, 0.0) * _seconds(beat.interval)
    return max(0.0, within - min(EXAMINATION, within / 2.0) - delay)


def min_detect_within(beat: HeartbeatSpec) -> float:
    """The shortest `detect_within`, in seconds, that leaves room for one late beat."""
    return (2.0 + BEAT_DELAY.get(beat.source, 0.0)) * beat.interval + min(EXAMINATION, 2.0 * beat.interval)


def score(beat: HeartbeatSpec) -> float:
    """The φ that corresponds to `max_false_restarts` at the configured interval, within [1, 12]."""
    assert beat.target is not None
    chance = beat.target.max_false_restarts * _seconds(beat.interval)
    return round(min(max(_MIN_PHI, -log10(chance)), _MAX_PHI), 3) if chance > 0.0 else _MAX_PHI


def assess(beat: HeartbeatSpec, instances: int, histogram: IntervalHistogram) -> TargetAssessment:
    """Assess the target by the recorded intervals: the bounds for the detector, and what follows from them."""
    assert beat.target is not None
    maximum, known = longest_silence(beat), histogram.total
    if histogram.count < MIN_INTERVALS:
        return TargetAssessment(maximum, maximum, histogram.count, known)
    beats_a_second = max(1, instances) / histogram.mean
    chance = min(0.5, max(_RAREST, beat.target.max_false_restarts / beats_a_second))
    shortest, needs, longest = (histogram.silence(chance, z) for z in (-Z95, 0.0, Z95))
    unseen = histogram.longest * shifted(0.0, Z95) / (chance * histogram.count)
    minimum = min(maximum, max(longest, unseen))
    low, rate, high = (beats_a_second * histogram.beyond(minimum, z) for z in (-Z95, 0.0, Z95))
    seen = histogram.longer(minimum)
    return TargetAssessment(
        minimum, maximum, histogram.count, known,
        needs=needs if needs < _FAR else None, needs_high=longest if longest < _FAR else None,
        rate=rate, low=low, high=high, seen=round(seen), proven=beats_a_second * shifted(seen, Z95) / histogram.count,
        feasible=needs <= maximum, sure=longest <= maximum or shortest > maximum,
    )  # fmt: skip
