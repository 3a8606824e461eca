"""From what is wanted of detection to how the detector is set: found within T, at most so many false restarts.

Two wishes that pull apart: the patience t, the silence after which suspicion begins, is to be short for the one and
long for the other.  What decides is the recorded rhythm (core/recording.py).

- **`detect_within` is kept, whatever the rhythm.**  It is the one that can be kept: t is at most that, less the time
  that a look at a suspect takes (`EXAMINATION`, half of it at most) and the time that a beat of this source is on its way.
- **`max_false_restarts` needs a silence**: the one that an interval outlasts with the chance p = wish × mean interval /
  instances.  Where that is longer than t may be, both cannot be had.  Then t is as long as it may be, and it is said
  how many false restarts that means and what silence the wish would take.
- **The less is known, the more patient.**  To have seen none in about three times the time for which the wish allows
  one proves it (95 %).  Until then nobody knows how long those pauses are that have not been seen: they are taken to
  outlast t with a chance that falls as 1/t from the longest seen.  So t starts as long as it may be, and falls while
  the record grows, to what the fitted tail needs at its upper end.

Between t and the most that it may be, the detector's own law decides: it knows what the record does not, how the rhythm
is at present.  A false restart is predicted for every interval longer than t; many of these suspicions will be cleared
by the beat that was late, so the prediction is rather too high.
"""

from __future__ import annotations

from math import log10
from typing import NamedTuple

from supervisor.core.detection.interval_histogram import MIN_INTERVALS, Z95, IntervalHistogram, shifted
from supervisor.core.model.spec import HeartbeatSpec

EXAMINATION = 0.5
"""Seconds from a suspicion until it is known whether it only waits for a CPU."""
BEAT_DELAY = {"file": 0.5, "activity": 1.0}
"""Of sources that are looked at now and then: in intervals, how late a beat may be seen."""
_FAR = 366 * 86_400.0
_MAX_PHI, _MIN_PHI = 12.0, 1.0


class TargetAssessment(NamedTuple):
    """Silences in seconds; false restarts a second, of all instances together.  What is not known is None."""

    minimum: float
    """Suspicion begins no earlier: the patience for which false restarts are predicted."""
    maximum: float
    """… and no later."""
    beats: int
    recorded: float
    """Seconds that the known intervals add up to."""
    needs: float | None = None
    """The silence that the wish needs; None where it is no silence of any use, too."""
    needs_high: float | None = None
    """… at most, with 95 %."""
    rate: float | None = None
    low: float | None = None
    high: float | None = None
    seen: int = 0
    """Recorded intervals longer than `minimum`."""
    proven: float | None = None
    """Not more than this, with 95 %, by what was seen, whatever the law of the tail."""
    feasible: bool | None = None
    sure: bool = False
    """The other end of the 95 % says the same."""
    enough: int = MIN_INTERVALS
    """Beats from which on there is a verdict."""


def longest_silence(beat: HeartbeatSpec) -> float:
    """The most that may pass since the last beat, for a hang to be found within the time wanted."""
    assert beat.target is not None
    within = beat.target.detect_within
    return max(0.0, within - min(EXAMINATION, within / 2.0) - BEAT_DELAY.get(beat.source, 0.0) * beat.interval)


def min_detect_within(beat: HeartbeatSpec) -> float:
    """The shortest `detect_within` that leaves room for one late beat, seconds."""
    return (2.0 + BEAT_DELAY.get(beat.source, 0.0)) * beat.interval + min(EXAMINATION, 2.0 * beat.interval)


def score(beat: HeartbeatSpec) -> float:
    """The φ at which one beat in so many is mistaken, at the configured interval."""
    assert beat.target is not None
    chance = beat.target.max_false_restarts * beat.interval
    return round(min(max(_MIN_PHI, -log10(chance)), _MAX_PHI), 3)


def assess(beat: HeartbeatSpec, instances: int, histogram: IntervalHistogram) -> TargetAssessment:
    """How the detector is to be set, and what comes of it, by what is known now."""
    assert beat.target is not None
    maximum, known = longest_silence(beat), histogram.total
    if histogram.count < MIN_INTERVALS:
        return TargetAssessment(maximum, maximum, histogram.count, known)
    beats_a_second = instances / histogram.mean
    chance = min(0.5, beat.target.max_false_restarts / beats_a_second)
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
