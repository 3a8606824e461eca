"""How detectors are compared: tuned on one trace, judged on others, at equal mean detection time.

1. On a training trace each detector's whole curve is computed: λ_M over mean T_D.
2. Detectors are compared at the times at which the best of them errs in 1 %, 0.3 % and 0.1 % of the beats there:
   useful times in that scenario, with enough mistakes to count.
3. Each detector is set to each of these times on the training trace, and judged on others, the same for all; the
   remaining difference in time is removed along its own curve. A detector that cannot reach a time has no point there:
   Akka's curve jumps, because what it learns depends on its threshold.
4. The first thousand beats are left out, and judged separately.

Everything follows from the seed. Each function here is one task for one process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log

from supervisor.detectorlab.candidates import BY_NAME, SHIPPED, Candidate
from supervisor.detectorlab.curve import WARM, Point, beats, between, grid, needs, replay, together
from supervisor.detectorlab.scenarios import PERIOD, Trace, TraceSource

RATES = (0.01, 0.003, 0.001)
COLD_TRACES = 8
_AROUND = (0.7, 0.8, 0.87, 0.93, 0.97, 1.0, 1.03, 1.07, 1.15, 1.25, 1.4)
_CLOSE = (0.94, 0.97, 0.99, 1.0, 1.01, 1.03, 1.06)
_BENT = tuple(0.5 * 1.62**k for k in range(13))
"""Thresholds that are tried for detectors whose learning depends on the threshold."""
_TRIES = 2
_JUMP = 0.15
"""If the detection time of such a detector misses its setting by more than this share, its curve has jumped."""


@dataclass(frozen=True, slots=True)
class Setup:
    """`beats` per trace; `traces` to judge by."""

    beats: int = 60_000
    traces: int = 2
    seed: int = 0

    def training(self, source: TraceSource) -> Trace:
        return source.trace(self.seed, self.beats)

    def judged(self, source: TraceSource) -> Iterable[Trace]:
        return (source.trace(self.seed + 1 + n, self.beats) for n in range(self.traces))


def survey(setup: Setup, source: TraceSource, name: str) -> list[Point]:
    """The whole curve of a detector on the training trace."""
    contender, trace = BY_NAME[name], setup.training(source)
    if contender.bent:
        return [_at(contender, trace, threshold) for threshold in _BENT]
    thresholds = grid(needs(contender.watcher(trace, contender.default), trace))
    return replay(contender.watcher(trace, contender.default), trace, thresholds)


def targets(curves: Mapping[str, Sequence[Point]]) -> list[float]:
    """Mean detection times (seconds) at which the best detector errs at each of RATES; those that are bent do not
    count.
    """
    found = []
    for rate in RATES:
        times = (_time(points, rate) for name, points in curves.items() if not BY_NAME[name].bent)
        found.append(min((time for time in times if time is not None), default=0.0))
    return [time for time in found if time]


def judge(
    setup: Setup, source: TraceSource, name: str, times: Sequence[float], curve: Sequence[Point]
) -> list[Point | None]:
    """A point for each detection time; None where it cannot be had."""
    contender = BY_NAME[name]
    if contender.bent:
        trace = setup.training(source)
        return [
            _judge_bent(contender, setup, source, time, _threshold(contender, trace, time, curve)) for time in times
        ]
    set_to = [point.threshold for time in times if (point := between(curve, time)) is not None]
    if not set_to:
        return [None] * len(times)
    around = sorted({threshold * factor for threshold in set_to for factor in _AROUND})
    seen = [replay(contender.watcher(trace, contender.default), trace, around) for trace in setup.judged(source)]
    return [together([between(points, time) for points in seen]) for time in times]


def cold(setup: Setup, source: TraceSource, name: str, threshold: float) -> tuple[int, int]:
    """(mistakes, beats) of the first beats of several traces."""
    mistakes = 0
    for n in range(COLD_TRACES):
        trace = source.trace(setup.seed + 1 + n, WARM)
        watcher = BY_NAME[name].watcher(trace, threshold)
        watcher.start(0.0)
        for i in beats(watcher, trace):
            mistakes += watcher.suspicion(trace.arrived[i]) >= threshold
            watcher.heartbeat(trace.arrived[i], trace.sent[i] if trace.stamped else None)
    return mistakes, COLD_TRACES * WARM


def shipped(setup: Setup, source: TraceSource, name: str) -> tuple[Point, str]:
    """The result of a peer with its shipped settings on one trace, and the exception that it raised, or ""."""
    peer = SHIPPED[name]
    watcher = peer.make(PERIOD, peer.default)
    point = replay(watcher, next(iter(setup.judged(source))), [peer.default])[0]
    return point, str(getattr(watcher, "raised", ""))


def _at(contender: Candidate, trace: Trace, threshold: float) -> Point:
    return replay(contender.watcher(trace, threshold), trace, [threshold])[0]


def _time(points: Sequence[Point], rate: float) -> float | None:
    """The detection time at which the curve falls to this share of mistakes."""
    for low, high in pairwise(points):
        if high.rate <= 1e6 * rate < low.rate:
            minimum = max(high.rate, 0.1)
            part = log(low.rate / (1e6 * rate)) / log(low.rate / minimum)
            return low.mean + part * (high.mean - low.mean)
    return None


def _threshold(contender: Candidate, trace: Trace, time: float, curve: Sequence[Point]) -> float | None:
    """The threshold for a detection time, by regula falsi between the two points of the curve around it."""
    around = next(((a, b) for a, b in pairwise(curve) if a.mean <= time < b.mean), None)
    if around is None:
        return None
    low, high = around
    threshold = low.threshold
    for _ in range(_TRIES):
        part = (time - low.mean) / (high.mean - low.mean)
        threshold = low.threshold + part * (high.threshold - low.threshold)
        point = _at(contender, trace, threshold)
        if abs(point.mean / time - 1.0) < 0.003:
            break
        low, high = (point, high) if point.mean <= time else (low, point)
    return threshold


def _judge_bent(
    contender: Candidate, setup: Setup, source: TraceSource, time: float, threshold: float | None
) -> Point | None:
    """Let a detector learn at one threshold, and evaluate it at thresholds nearby, to find the one with the wanted
    time.
    """
    if threshold is None:
        return None
    return together([_near(contender, trace, time, threshold) for trace in setup.judged(source)])


def _near(contender: Candidate, trace: Trace, time: float, threshold: float) -> Point | None:
    """Search coarsely, then once more around the result if that is not close."""
    found = None
    for factors in (_AROUND, _CLOSE):
        points = replay(
            contender.watcher(trace, threshold), trace, sorted({threshold * factor for factor in (*factors, 1.0)})
        )
        its_own = next(point for point in points if point.threshold == threshold)
        found = between(points, time)
        if found is None or abs(its_own.mean / time - 1.0) > _JUMP:
            return None
        if abs(found.threshold / threshold - 1.0) < 0.02:
            break
        threshold = found.threshold
    return found
