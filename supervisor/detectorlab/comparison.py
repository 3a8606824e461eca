"""Runs the whole comparison: every task of `experiment.py` for every scenario, in several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from math import sqrt
from multiprocessing import get_context
from typing import Any

from supervisor.detectorlab import experiment as protocol
from supervisor.detectorlab.candidates import BY_NAME, there
from supervisor.detectorlab.curve import Point
from supervisor.detectorlab.experiment import Setup
from supervisor.detectorlab.scenarios import TraceSource

JSON = dict[str, Any]
Key = tuple[str, str]

OURS = "adaptive"
AS_GOOD = 1.1
"""A detector with at most this many times the mistakes of the best counts as being as good."""


def compare(
    setup: Setup,
    sources: Sequence[TraceSource],
    names: Sequence[str],
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> JSON:
    """All results, as data that can be written as JSON. Times in seconds."""
    peers = there()
    total = len(sources) * (3 * len(names) + len(peers))
    done = 0

    def gather(tasks: Mapping[Key, Future[Any]]) -> dict[Key, Any]:
        nonlocal done
        found = {}
        for key, task in tasks.items():
            found[key] = task.result()
            done += 1
            progress(done, total)
        return found

    with _pool(jobs) as pool:
        pairs = [(source, name) for source in sources for name in names]
        curves = gather({(s.name, n): pool.submit(protocol.survey, setup, s, n) for s, n in pairs})
        times = {s.name: protocol.targets({n: curves[s.name, n] for n in names}) for s in sources}
        shipped = {(s.name, n): pool.submit(protocol.shipped, setup, s, n) for s in sources for n in peers}
        judged = gather(
            {(s.name, n): pool.submit(protocol.judge, setup, s, n, times[s.name], curves[s.name, n]) for s, n in pairs}
        )
        cold = gather(
            {
                (s.name, n): pool.submit(protocol.cold, setup, s, n, threshold)
                for s, n in pairs
                if (threshold := _middle(judged[s.name, n])) is not None
            }
        )
        peer = gather(shipped)
    progress(total, total)
    told = [_scenario(s, names, peers, times[s.name], curves, judged, cold, peer) for s in sources]
    rows = [row for scenario in told for row in scenario["rows"]]
    return {
        "beats": setup.beats,
        "traces": setup.traces,
        "seed": setup.seed,
        "rates": list(protocol.RATES),
        "scenarios": told,
        "totals": _totals(told, names),
        "losing": [row for row in rows if row["ratio"] > AS_GOOD],
    }


@contextmanager
def _pool(jobs: int) -> Iterator[Executor]:
    if jobs == 1:
        yield _Here()
        return
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class _Here(Executor):
    """Runs tasks one after the other, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def _middle(points: Sequence[Point | None]) -> float | None:
    """The threshold at which cold starts are judged."""
    point = points[len(points) // 2] if points else None
    return None if point is None else point.threshold


def _scenario(
    source: TraceSource,
    names: Sequence[str],
    peers: Sequence[str],
    times: Sequence[float],
    curves: Mapping[Key, Sequence[Point]],
    judged: Mapping[Key, Sequence[Point | None]],
    cold: Mapping[Key, tuple[int, int]],
    shipped: Mapping[Key, tuple[Point, str]],
) -> JSON:
    unit: float = getattr(source, "period", 1.0)
    points = {name: judged[source.name, name] for name in names}
    return {
        "name": source.name,
        "about": source.about,
        "times_s": [unit * time for time in times],
        "curves": {n: [[unit * p.mean, p.rate] for p in curves[source.name, n]] for n in names},
        "points": {n: [None if p is None else _told(p, unit) for p in points[n]] for n in names},
        "cold": {
            n: {"mistakes": mistakes, "beats": beats}
            for n in names
            if (source.name, n) in cold
            for mistakes, beats in (cold[source.name, n],)
        },
        "shipped": {
            n: _told(point, unit) | {"raised": raised} for n in peers for point, raised in (shipped[source.name, n],)
        },
        "rows": list(_rows(source.name, times, unit, points)) if OURS in names else [],
    }


def _told(point: Point, unit: float) -> JSON:
    return {
        "threshold": point.threshold,
        "mistakes": point.mistakes,
        "beats": point.beats,
        "mean_s": unit * point.mean,
        "p99_s": unit * point.p99,
        "worst_s": unit * point.worst,
    }


def _rows(
    scenario: str, times: Sequence[float], unit: float, points: Mapping[str, Sequence[Point | None]]
) -> Iterator[JSON]:
    """The supervisor's detector against the best other, at each time.

    The error is that of a ratio of two independent counts. Counts on the same traces are not independent, so that the
    true error is smaller.
    """
    for k, time in enumerate(times):
        others = [(p.mistakes, n) for n, at in points.items() if n != OURS and (p := at[k]) is not None]
        ours = points[OURS][k]
        if not others or ours is None:
            continue
        minimum, best = min(others)
        ratio = ours.mistakes / max(1, minimum)
        error = ratio * sqrt(1.0 / max(1, ours.mistakes) + 1.0 / max(1, minimum))
        yield {
            "scenario": scenario,
            "time_s": unit * time,
            "best": best,
            "least": minimum,
            "ours": ours.mistakes,
            "ratio": ratio,
            "error": error,
        }


def _totals(told: Sequence[JSON], names: Sequence[str]) -> dict[str, int]:
    """Total mistakes over the times at which the supervisor's detector has a point; its own where another has none."""
    totals = dict.fromkeys(names, 0)
    for scenario in told:
        for k, ours in enumerate(scenario["points"].get(OURS, ())):
            if ours is not None:
                for name in names:
                    totals[name] += (scenario["points"][name][k] or ours)["mistakes"]
    return dict(sorted(totals.items(), key=lambda item: item[1])) if OURS in names else {}


def known() -> list[str]:
    """The names of all detectors that can be tuned."""
    return list(BY_NAME)
