"""Describes how far a detection target can be met: as data, and in one line.  Rates are false restarts in 30 days."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from supervisor.core.text.units import span

if TYPE_CHECKING:  # a reader of recorded data does not import the rules
    from supervisor.core.detection.target import TargetAssessment
    from supervisor.core.model.instance_documents import Target
    from supervisor.core.model.spec import TargetSpec


MONTH = 30 * 86_400.0
"""Length of a month in seconds."""


def shown(verdict: TargetAssessment, target: TargetSpec) -> Target:
    """The assessment as `status --json` contains it."""
    found: Target = {
        "detect_within_s": target.detect_within,
        "max_false_restarts_per_30d": monthly(target.max_false_restarts),
        "feasible": verdict.feasible,
        "sure": verdict.sure,
        "patience_s": round(verdict.minimum, 4),
        "most_s": round(verdict.maximum, 4),
        "needs_s": None if verdict.needs is None else round(verdict.needs, 4),
        "needs_high_s": None if verdict.needs_high is None else round(verdict.needs_high, 4),
        "false_restarts_per_30d": monthly(verdict.rate),
        "low_per_30d": monthly(verdict.low),
        "high_per_30d": monthly(verdict.high),
        "proven_per_30d": monthly(verdict.proven),
        "seen": verdict.seen,
        "beats": verdict.beats,
        "beats_needed": verdict.enough,
        "recorded_s": round(verdict.recorded, 3),
        "says": "",
    }
    found["says"] = in_words(found)
    return found


def in_words(found: Target) -> str:
    """One line: whether the target can be met, what that costs, and how certain it is."""
    within, maximum = span(found["detect_within_s"]), found["max_false_restarts_per_30d"]
    wish, patience, beats = f"{few(maximum)}/30d", span(found["patience_s"]), f"{found['beats']:,} beats"
    if found["feasible"] is None:
        known = f"{found['beats']} of {found['beats_needed']} beats"
        return f"{within} and {wish}: not known yet ({known}); until then suspected after {patience} of silence"
    low, high = few(found["low_per_30d"]), few(found["high_per_30d"])
    about = f"about {few(found['false_restarts_per_30d'])}/30d ({low} to {high})"
    sure = "" if found["sure"] else "probably "
    if not found["feasible"]:
        price = f"{within} gives {about}, {wish} {needed(found['needs_s'])}"
        return f"{within} and {wish}: {sure}cannot be met together, as {beats} show; {price}"
    known = "kept" if (found["proven_per_30d"] or 0.0) <= maximum else f"{sure}can be met together, as {beats} show"
    return f"{within} and {wish}: {known}; suspected after {patience} of silence, {about}"


def needed(silence: float | None) -> str:
    """`needs 7.2 s of silence`."""
    return "needs over a year of silence" if silence is None else f"needs {span(silence)} of silence"


def few(rate: float | None) -> str:
    """A rate of false restarts, to two digits; rates below 0.001 are all printed as `<0.001`."""
    if rate is None:
        return "?"
    if rate < 0.001:
        return "<0.001" if rate else "0"
    return f"{rate:.2g}" if rate < 99.5 else f"{rate:.0f}"


@overload
def monthly(rate: float) -> float: ...
@overload
def monthly(rate: None) -> None: ...
def monthly(rate: float | None) -> float | None:
    """A rate per second as a rate per month, to four digits."""
    return None if rate is None else float(f"{rate * MONTH:.4g}")
