"""Computes one detector's quality of service on traces: mistakes against detection time.

The measures are those of Chen, Toueg and Aguilera (2002). Detection time T_D: from the crash until suspicion begins for
good; the crash is uniform in a beat's period (`mean`, `p99`), or just after a beat (`worst`, the maximum). λ_M: a
mistake is a beat that arrives after suspicion has begun.

One replay gives the whole curve. The threshold that a beat would have needed not to be a mistake is the suspicion at
its arrival: mistakes at a threshold are the beats that needed more. For every n-th beat, the replay also asks when each
threshold would be reached if no further beat came.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from math import exp, inf, log

from supervisor.detectorlab.candidates import ComparedDetector, CountsFailures
from supervisor.detectorlab.scenarios import PERIOD, Trace

WARM = 1000
"""Beats before the evaluation; cold starts are evaluated separately."""
EVERY = 16
NEAR_ENOUGH = 0.01
LONGEST = 60.0
"""Seconds; no crash is placed in a longer gap, because the sender was suspended then."""
_PROBES = 200
"""Failed probes that are played after a crash at most."""


@dataclass(frozen=True, slots=True)
class Point:
    """Results at one threshold: mistakes among `beats` beats; detection times in seconds."""

    threshold: float
    mistakes: int
    beats: int
    mean: float
    p99: float
    worst: float

    @property
    def rate(self) -> float:
        """Mistakes per million beats."""
        return 1e6 * self.mistakes / self.beats


def beats(watcher: ComparedDetector, trace: Trace) -> Iterator[int]:
    """The indexes of the beats in order of arrival.  Failed probes before each are passed on; the beat is not."""
    told = 0
    counts = watcher if trace.probed and isinstance(watcher, CountsFailures) else None
    for i in trace.order():
        if counts is not None:
            for missed in range(told, i):
                counts.failed(trace.sent[missed])
            told = i + 1
        yield i


def detections(watcher: ComparedDetector, trace: Trace, i: int, thresholds: Sequence[float]) -> list[float]:
    """When each threshold is reached if beat `i` was the last one.  Where failed probes count, all later probes
    fail."""
    if isinstance(watcher, CountsFailures) and watcher.counts_failures:
        return hung(watcher, trace.sent[i], PERIOD, thresholds)
    return [watcher.suspect_at(threshold) or 0.0 for threshold in thresholds]


def hung(watcher: CountsFailures, at: float, period: float, thresholds: Sequence[float]) -> list[float]:
    """When each of the thresholds (rising) is reached if from `at` on a probe fails every `period` seconds."""
    stuck, reached, due = deepcopy(watcher), 0.0, []
    end = at + _PROBES * period
    for threshold in thresholds:
        while reached < threshold and at < end:
            at += period
            stuck.failed(at)
            reached = stuck.suspicion(at)
        due.append(at)
    return due


def failing(watcher: CountsFailures, at: float, period: float) -> float:
    """When suspicion begins, by the threshold and the bounds that it has, if all probes fail from now on."""
    stuck, end = deepcopy(watcher), at + _PROBES * period
    while at < end:
        due = stuck.suspect_at() or at
        if due <= at + period:
            return max(at, due)
        at += period
        stuck.failed(at)
    return end


def replay(watcher: ComparedDetector, trace: Trace, thresholds: Sequence[float]) -> list[Point]:
    """A point for each threshold (in rising order), from one run."""
    sent, arrived, stamped = trace.sent, trace.arrived, trace.stamped
    needed = array("d")
    crashes = [array("d") for _ in thresholds]
    worst = [0.0] * len(thresholds)
    watcher.start(0.0)
    suspicion, heartbeat = watcher.suspicion, watcher.heartbeat
    for n, i in enumerate(beats(watcher, trace)):
        at = arrived[i]
        if n >= WARM:
            needed.append(suspicion(at))
        heartbeat(at, sent[i] if stamped else None)
        if n % EVERY or n < WARM:
            continue
        due = detections(watcher, trace, i, thresholds)
        while True:
            begin, end = sent[i], sent[i + 1] if i + 1 < len(sent) else sent[i] + PERIOD
            if end - begin < LONGEST:
                crash = begin + (end - begin) * ((n * 0.6180339887) % 1.0)
                for k, moment in enumerate(due):
                    crashes[k].append(moment - crash if moment > crash else 0.0)
                    worst[k] = max(worst[k], moment - begin)
            i += 1
            if i >= len(sent) or arrived[i] < inf:
                break
    ranked = sorted(needed)
    points = []
    for k, threshold in enumerate(thresholds):
        times = sorted(crashes[k])
        mistakes = len(ranked) - bisect_left(ranked, threshold)
        p99 = times[len(times) * 99 // 100]
        points.append(Point(threshold, mistakes, len(ranked), sum(times) / len(times), p99, worst[k]))
    return points


def needs(watcher: ComparedDetector, trace: Trace) -> list[float]:
    """The thresholds that the beats would have needed, smallest first."""
    needed = array("d")
    watcher.start(0.0)
    for n, i in enumerate(beats(watcher, trace)):
        if n >= WARM:
            needed.append(watcher.suspicion(trace.arrived[i]))
        watcher.heartbeat(trace.arrived[i], trace.sent[i] if trace.stamped else None)
    return sorted(needed)


def grid(needed: Sequence[float], points: int = 40) -> list[float]:
    """Thresholds over the whole range that beats needed, from one mistake in two beats to none, and beyond."""
    n = len(needed)
    tails = {int(n * 0.5 ** (1 + k * (n.bit_length() - 2) / points)) for k in range(points)}
    top = needed[-1] * (1 + 1e-9)
    found = {needed[n - tail - 1] for tail in tails} | {top, 1.1 * top, 1.3 * top, 1.7 * top, 2.5 * top, 5.0 * top}
    return sorted(score for score in found if score > 0.0)


def between(points: Sequence[Point], target: float) -> Point | None:
    """The point with this mean detection time, on the line through its neighbours; None if it cannot be had.

    Mistakes are interpolated on a logarithmic scale. A curve is extended beyond its ends by one percent at most.
    """
    for low, high in pairwise(points):
        if low.mean <= target < high.mean:
            return _mixed(low, high, (target - low.mean) / (high.mean - low.mean))
    ends = [point for point in (points[0], points[-1]) if abs(point.mean / target - 1.0) < NEAR_ENOUGH]
    return ends[0] if ends else None


def _mixed(low: Point, high: Point, part: float) -> Point:
    def mix(a: float, b: float) -> float:
        return a + part * (b - a)

    mistakes = exp(mix(log(low.mistakes + 0.5), log(high.mistakes + 0.5))) - 0.5
    return Point(
        mix(low.threshold, high.threshold), max(0, round(mistakes)), low.beats, mix(low.mean, high.mean),
        mix(low.p99, high.p99), mix(low.worst, high.worst),
    )  # fmt: skip


def together(points: Sequence[Point | None]) -> Point | None:
    """One point for several traces; None if one of them has none."""
    there = [point for point in points if point is not None]
    if not there or len(there) < len(points):
        return None
    n = len(there)
    return Point(
        sum(p.threshold for p in there) / n, sum(p.mistakes for p in there), sum(p.beats for p in there),
        sum(p.mean for p in there) / n, sum(p.p99 for p in there) / n, max(p.worst for p in there),
    )  # fmt: skip
