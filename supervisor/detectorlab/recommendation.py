"""The results of `supervisor detectors tune` for one service, as data, and the settings that it recommends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import ceil, floor, log10
from typing import Any

from supervisor.config.units import format_duration
from supervisor.core.detection.interval_histogram import MIN_INTERVALS, Z95, IntervalHistogram, shifted
from supervisor.core.detection.target import TargetAssessment, assess, longest_silence
from supervisor.core.model.spec import HeartbeatSpec, ServiceSpec, TargetSpec
from supervisor.core.text.target import MONTH, few, monthly, shown
from supervisor.core.text.units import span
from supervisor.detectorlab.tuning import Point, SilenceLaw, curves, present

JSON = dict[str, Any]

_UNSURE = 2.0
"""Up to this ratio of its upper end to the silence that the target needs, the upper end is recommended; beyond it the
record is too short for that, and the silence itself is recommended, with the upper end as a remark."""
_STORMY = 0.3
"""Neighbouring intervals with a correlation above this do not come independently."""


def gathered(snapshots: Mapping[str, JSON], spec: ServiceSpec) -> tuple[IntervalHistogram, list[float]]:
    """The intervals of all instances of a service in the ledger, and the newest of them in order, in seconds.

    Its names in the ledger count, not those of the file: after `scale` or a reload the first may be web or web@1."""
    histogram = IntervalHistogram()
    newest: list[float] = []
    for name, saved in snapshots.items():
        if name.partition("@")[0] != spec.name:
            continue
        one = IntervalHistogram()
        one.restore(saved.get("recording"))
        histogram.merge(one)
        detector = saved.get("detector")
        intervals = detector.get("intervals") if isinstance(detector, dict) else None
        if isinstance(intervals, list) and len(intervals) > len(newest):
            newest = [micros / 1e6 for micros in intervals if isinstance(micros, int)]
    return histogram, newest


def advise(
    spec: ServiceSpec,
    histogram: IntervalHistogram,
    newest: Sequence[float],
    wish: TargetSpec,
    seed: int,
    progress: Callable[[str], None] = lambda name: None,
) -> JSON:
    """Everything that is known, predicted and recommended.

    Requires at least `MIN_INTERVALS` intervals and a heartbeat.
    """
    beat = spec.heartbeat
    assert beat is not None
    wanted = replace(beat, target=wish, max_timeout=max(beat.max_timeout, wish.detect_within))
    verdict = assess(wanted, spec.replicas, histogram)
    law = SilenceLaw(histogram)
    beats_a_second = spec.replicas / histogram.mean
    chance = min(0.5, wish.max_false_restarts / beats_a_second)
    set_by = assess(beat, spec.replicas, histogram) if beat.target is not None else None
    now = present(beat, law, seed, (set_by.minimum, set_by.maximum) if set_by else None)

    def described(point: Point | None) -> JSON | None:
        if point is None:
            return None
        rate = monthly(point.chance * beats_a_second)
        return {"silence_s": round(point.silence, 4), "p99_s": round(point.p99, 4), "false_restarts_per_30d": rate}

    found = curves(beat, law, seed, progress)
    maximum = longest_silence(wanted)
    return {
        "service": spec.name,
        "instances": spec.replicas,
        "beats": histogram.count,
        "recorded_s": round(histogram.total, 3),
        "mean_s": round(histogram.mean, 6),
        "longest_s": round(histogram.longest, 6),
        "histogram": [{"from_s": low, "to_s": high, "count": count} for low, high, count in histogram.classes()],
        "present": {"setting": setting(beat)} | (described(now) or {}),
        "target": shown(verdict, wish),
        "detectors": [
            {
                "detector": curve.detector,
                "at_wish": described(curve.at(chance)),
                "within": described(curve.within(maximum)),
                "curve": [described(point) for point in curve.points],
            }
            for curve in found
        ],
        "notes": _notes(histogram, newest, wish),
        "toml": recommended(spec.name, wanted, wish, verdict),
        "seed": seed,
    }


def setting(beat: HeartbeatSpec) -> str:
    """The configured detector, as written in the file."""
    if beat.target is not None:
        every = format_duration(1 / beat.target.max_false_restarts)
        return f"target {format_duration(beat.target.detect_within)}, 1/{every}"
    if beat.detector == "timeout":
        return f"timeout {format_duration(beat.timeout)}"
    bounds = f"{format_duration(beat.min_timeout)} to {format_duration(beat.max_timeout)}"
    return f"{beat.detector} ≥ {beat.threshold:g}, {bounds}"


def recommended(service: str, beat: HeartbeatSpec, wish: TargetSpec, verdict: TargetAssessment) -> str:
    """A block of TOML to paste, with its meaning as comments."""
    lines = [f"[services.{service}.heartbeat]", "# instead of detector, threshold, min_timeout and timeout"]
    if verdict.feasible:
        lines.append(_target(wish))
    elif verdict.needs is None:
        lines += [
            "# No silence is long enough for so few false restarts: find out what these pauses are.",
            'on_suspect = "report"',
            _target(wish),
        ]
    else:
        high = verdict.needs if verdict.needs_high is None else verdict.needs_high
        unsure = high > _UNSURE * verdict.needs
        needs = verdict.needs if unsure else high
        longer = replace(wish, detect_within=_round_up(needs + wish.detect_within - verdict.maximum))
        lines += [
            "# Both cannot be met together.  So few false restarts take longer to find a hang:",
            *_bounded(beat, longer),
        ]
        if unsure:
            lines.append(
                f"# Not sure yet: by {verdict.beats:,} intervals the rare ones are known so roughly that "
                f"{span(high)} of silence may be needed (95 %)."
            )
        assert verdict.rate is not None
        price = replace(wish, max_false_restarts=_round_up((verdict.high or verdict.rate) * MONTH) / MONTH)
        lines += ["# … or, as quick as that, with about as many as it must be:", f"# {_target(price)}"]
    return "\n".join(lines) + "\n"


def _bounded(beat: HeartbeatSpec, wish: TargetSpec) -> list[str]:
    if wish.detect_within <= beat.max_timeout:
        return [_target(wish)]
    return [f'max_timeout = "{format_duration(wish.detect_within)}"', _target(wish)]


def _target(wish: TargetSpec) -> str:
    return (
        f'target = {{ detect_within = "{format_duration(wish.detect_within)}", max_false_restarts = "{_rate(wish)}" }}'
    )


def _rate(wish: TargetSpec) -> str:
    """The rate per 30 days if that is a whole number, else as one in a duration."""
    month = wish.max_false_restarts * MONTH
    if abs(month - round(month)) < 1e-6 * month:
        return f"{round(month)}/30d"
    return f"1/{format_duration(1.0 / wish.max_false_restarts)}"


def _round_up(value: float, digits: int = 2) -> float:
    """`value` rounded up to `digits` significant digits."""
    step = 10.0 ** (floor(log10(value)) - digits + 1)
    return ceil(value / step - 1e-9) * step


def _notes(histogram: IntervalHistogram, newest: Sequence[float], wish: TargetSpec) -> list[str]:
    proof = span(shifted(0.0, Z95) / wish.max_false_restarts)
    found = [
        "beats are drawn from the record, without their order: it says nothing of storms, drift and timers, for which "
        "chen, two-window, bertier and adaptive are made",
        f"what is rarer than one in {histogram.count:,} beats is the fitted tail's word: to prove "
        f"{few(monthly(wish.max_false_restarts))}/30d takes {proof} without a longer silence",
    ]
    alike = _alike(newest)
    if alike > _STORMY:
        found.append(
            f"of the newest {len(newest)} intervals neighbours are alike (correlation {alike:.2f}): they come in "
            "storms, which this does not show"
        )
    return found


def _alike(intervals: Sequence[float]) -> float:
    n = len(intervals)
    if n < MIN_INTERVALS // 4:
        return 0.0
    mean = sum(intervals) / n
    spread = sum((x - mean) ** 2 for x in intervals)
    if not spread:
        return 0.0
    return sum((a - mean) * (b - mean) for a, b in pairwise(intervals)) / spread
