"""Predicts each detector's behaviour on one service's recorded intervals: false restarts against silence.

The record (core/detection/interval_histogram.py) holds the lengths of intervals, not their order. So beats are drawn
from it independently, and each detector learns from these as from real ones. A mistake that happens once a month cannot
be counted in a few thousand beats, and need not be: with independent intervals, the chance that the next one outlasts
the silence that a detector now allows is known, from the record and its fitted tail. λ_M is the mean of that chance.

So this predicts nothing that depends on order: storms, intervals that drift, a sender's timer, for which `chen`,
`two-window`, `bertier` and `adaptive` are made. `supervisor detectors compare` judges them by that, on a trace.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log
from random import Random

from supervisor.core.detection.detectors.protocol import Detector
from supervisor.core.detection.detectors.registry import KNOWN, make
from supervisor.core.detection.interval_histogram import IntervalHistogram
from supervisor.core.model.spec import PROBED, HeartbeatSpec
from supervisor.detectorlab.curve import failing, hung

BEATS = 6000
WARM = 1000
EVERY = 8
POINTS = 24
_BENT = ("adaptive",)
"""Detectors whose learning depends on the threshold."""
_FINEST = 1e-14
_MOST_FAILURES = 100


class SilenceLaw:
    """The recorded distribution of intervals, tabulated to be fast in both directions."""

    def __init__(self, histogram: IntervalHistogram) -> None:
        minimum = log(_FINEST)
        chances = [exp(minimum * k / 600) for k in range(601)]
        table: dict[float, float] = {}
        for chance in chances:
            table[histogram.silence(chance)] = log(chance)
        self._silences = sorted(table)
        self._chances = [table[silence] for silence in self._silences]

    def beyond(self, t: float) -> float:
        """The chance that an interval is longer than `t` seconds."""
        silences, chances = self._silences, self._chances
        k = bisect_left(silences, t)
        if k == 0:
            return 1.0
        if k == len(silences):
            return _FINEST
        part = (t - silences[k - 1]) / (silences[k] - silences[k - 1])
        return exp(chances[k - 1] + part * (chances[k] - chances[k - 1]))

    def silence(self, chance: float) -> float:
        """The length that an interval exceeds with this chance."""
        wanted = -log(chance)
        k = bisect_left(self._chances, wanted, key=lambda c: -c)
        if k == 0 or k == len(self._chances):
            return self._silences[min(k, len(self._chances) - 1)]
        before, after = -self._chances[k - 1], -self._chances[k]
        part = (wanted - before) / (after - before)
        return self._silences[k - 1] + part * (self._silences[k] - self._silences[k - 1])


@dataclass(frozen=True, slots=True)
class Point:
    """Results at one setting: the silence after which it suspects (seconds), and the `chance` of a mistake per beat.

    `silence` is the mean, `p99` the 99th percentile. That is also the time to detect a hang that begins just after a
    beat.
    """

    silence: float
    p99: float
    chance: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of rising silence and falling chance."""

    detector: str
    points: tuple[Point, ...]

    def at(self, chance: float) -> Point | None:
        """The point at which it errs with this chance; None if all its points err more often."""
        for before, after in pairwise(self.points):
            if after.chance <= chance < before.chance:
                return _between(before, after, log(before.chance / chance) / log(before.chance / after.chance))
        return self.points[0] if self.points[0].chance <= chance else None

    def within(self, silence: float) -> Point | None:
        """The point at which 99 % of its silences are at most this long; None if they are always longer."""
        for before, after in pairwise(self.points):
            if before.p99 <= silence < after.p99:
                return _between(before, after, (silence - before.p99) / (after.p99 - before.p99))
        return self.points[-1] if self.points[-1].p99 <= silence else None


def _between(a: Point, b: Point, part: float) -> Point:
    def mix(low: float, high: float) -> float:
        return low + part * (high - low)

    return Point(mix(a.silence, b.silence), mix(a.p99, b.p99), exp(mix(log(a.chance), log(b.chance))))


@dataclass(frozen=True, slots=True)
class _Probing:
    """How the service is probed; an interval in the record that is longer than `interval` then holds failed probes."""

    source: str
    interval: float
    timeout: float

    def failures(self, gap: float) -> Iterator[float]:
        """When the probes of such an interval failed, in seconds from its beginning."""
        if self.source in PROBED:
            yield from (k * self.interval for k in range(1, round(gap / self.interval)) if k <= _MOST_FAILURES)


def _probing(beat: HeartbeatSpec) -> _Probing:
    return _Probing(beat.source, beat.interval, beat.probe_timeout)


def present(beat: HeartbeatSpec, law: SilenceLaw, seed: int, bounds: tuple[float, float] | None) -> Point:
    """The point of the configured detector; `bounds` of its silence if it has a target."""
    detector = make(beat)
    if bounds is not None:
        detector.bound(*bounds)
    return _points(detector, law, seed, [None], _probing(beat))[0]


def curves(
    beat: HeartbeatSpec, law: SilenceLaw, seed: int, progress: Callable[[str], None] = lambda name: None
) -> list[Curve]:
    """The curve of every detector, without floors and caps, over the relevant silences."""
    silences = _silences(law)
    found = []
    for name in KNOWN:
        progress(name)
        found.append(Curve(name, tuple(sorted(_curve(name, _probing(beat), law, seed, silences), key=_by_silence))))
    return found


def _by_silence(point: Point) -> float:
    return point.silence


def _silences(law: SilenceLaw) -> list[float]:
    """Silences from one mistake in three beats to one in 10¹²."""
    return sorted({law.silence(10.0 ** (-0.5 - 0.5 * k)) for k in range(POINTS)})


def _curve(name: str, probing: _Probing, law: SilenceLaw, seed: int, silences: Sequence[float]) -> Iterator[Point]:
    interval = probing.interval

    def new(threshold: float) -> Detector:
        free = HeartbeatSpec(
            source=probing.source, probe_timeout=probing.timeout, detector=name, interval=interval,
            threshold=threshold, timeout=interval, min_timeout=0.0, max_timeout=1e6,
        )  # fmt: skip
        return make(free)

    probe = new(8.0)
    for _ in _beats(probe, law, seed, WARM, probing):
        pass
    thresholds = _thresholds(probe, silences, probing)
    if name in _BENT:
        for threshold in thresholds:
            yield _points(new(threshold), law, seed, [None], probing)[0]
    else:
        yield from _points(new(8.0), law, seed, thresholds, probing)


def _thresholds(detector: Detector, silences: Sequence[float], probing: _Probing) -> list[float]:
    """Thresholds, roughly, at which it would now suspect after these silences, or after so many failed probes."""
    if not detector.counts_failures:
        return sorted({_threshold(detector, silence) for silence in silences})
    hung, at, found = deepcopy(detector), detector.last or 0.0, set()
    for _ in range(POINTS):
        at += probing.interval
        hung.failed(at)
        found.add(round(hung.suspicion(at), 9))
    return sorted(found)


def _threshold(detector: Detector, silence: float) -> float:
    """The threshold, roughly, at which it would now suspect after this silence."""
    last = detector.last or 0.0
    low, high = 1e-3, 1e6
    for _ in range(50):
        middle = (low * high) ** 0.5
        if (detector.suspect_at(middle) or 0.0) - last < silence:
            low = middle
        else:
            high = middle
    return round(high, 9)


def _patiences(detector: Detector, thresholds: Sequence[float | None], last: float, probing: _Probing) -> list[float]:
    """The silence that each of the thresholds (rising; None: its own, within its bounds) allows after the last beat."""
    if not detector.counts_failures:
        return [(detector.suspect_at(threshold) or last) - last for threshold in thresholds]
    own = [threshold for threshold in thresholds if threshold is not None]
    if own:
        return [at - last for at in hung(detector, last, probing.interval, own)]
    return [failing(detector, last, probing.interval) - last]


def _points(
    detector: Detector, law: SilenceLaw, seed: int, thresholds: Sequence[float | None], probing: _Probing
) -> list[Point]:
    patiences: list[list[float]] = [[] for _ in thresholds]
    for n, last in enumerate(_beats(detector, law, seed, BEATS, probing)):
        if n >= WARM and n % EVERY == 0:
            for patience, seen in zip(_patiences(detector, thresholds, last, probing), patiences, strict=True):
                seen.append(patience)
    found = []
    for seen in patiences:
        seen.sort()
        chance = sum(map(law.beyond, seen)) / len(seen)
        found.append(Point(sum(seen) / len(seen), seen[len(seen) * 99 // 100], chance))
    return found


def _beats(detector: Detector, law: SilenceLaw, seed: int, count: int, probing: _Probing) -> Iterator[float]:
    """The times of `count` beats, after the detector got each."""
    dice, at = Random(seed), 0.0
    detector.start(at)
    for _ in range(count):
        gap = max(1e-6, law.silence(1.0 - dice.random()))
        for after in probing.failures(gap):
            detector.failed(at + after)
        at += gap
        detector.heartbeat(at)
        yield at
