"""The texts of a row of the table, of an instance or of a service with several, and of the head of a page.

A page is made of them, and the stream sends those that changed; so both always say the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from supervisor.core.history.ratios import is_wanted, ratios
from supervisor.core.text.waiting import runs_elsewhere
from supervisor.display.deviations import deviation_lines
from supervisor.display.numbers import NOTHING, count, duration, percent, size
from supervisor.display.rollout_line import UNDER_WAY, progress
from supervisor.display.severity import Severity, severity
from supervisor.display.state_style import state_word, style_of
from supervisor.display.status_row import happened, note

if TYPE_CHECKING:
    from supervisor.core.model.documents import Status, Supervisor
    from supervisor.core.model.instance_documents import Instance
    from supervisor.core.model.order_documents import Rollout

Fields = dict[str, str]
"""Texts by the name of their place in the row.  `tone` is the look of the row; `share` is a number from 0 to 1, or
empty: the silence as a part of that at which it becomes a suspicion.  An instance without heartbeats has no silence."""

TONES = ("good", "busy", "warn", "alarm")
"""By `Severity`."""


def instance_fields(row: Instance) -> Fields:
    """The texts of one instance."""
    found: Fields = {
        "tone": TONES[severity(row)] if severity(row) or row["state"] == "running" else style_of(row).tone,
        "state": f"{style_of(row).glyph} {state_word(row)}{_readiness(row)}",
        "why": note(row) or _settled(row),
        "restarts": str(row["restarts"]),
        "up": duration(row["uptime_s"]),
        "cpu": percent(row["cpu_percent"]),
        "memory": size(row["memory_bytes"]),
    }
    if row["detector"] is not None:
        found["silence"], found["share"] = _silence(row)
    return found


def _readiness(row: Instance) -> str:
    return ", not ready" if row["state"] == "running" and not row["ready"] and row["type"] != "oneshot" else ""


def _settled(row: Instance) -> str:
    """How it came to a state that needs no explanation."""
    return "" if runs_elsewhere(row) or row["state"] == "stopped" else happened(row)


def _silence(row: Instance) -> tuple[str, str]:
    """How long no heartbeat came, and how soon that is a suspicion; and as a share of the silence that would be one."""
    age, left = row["last_heartbeat_age_s"], row["suspect_in_s"]
    if row["state"] not in ("running", "suspect"):
        return "", ""
    if row["state"] == "suspect":
        return f"silent for {duration(age)}" if age is not None else "silent", "1"
    if age is None:
        return "no heartbeat yet", "" if left is None else "0"
    if left is None:
        return f"{duration(age)} ago", ""
    whole = age + left
    share = min(1.0, age / whole) if whole > 0.0 else 1.0
    return f"{duration(age)} of {duration(whole)}", f"{share:.2f}"


def service_fields(rows: Sequence[Instance], rollout: Rollout | None) -> Fields:
    """The texts of a service with several instances."""
    worst = max(rows, key=severity)
    beside = set(rollout.get("surge", ())) if rollout is not None else set()
    wanted = sum(is_wanted(r["goal"], r["type"], r["state"], r["cause"]) and r["name"] not in beside for r in rows)
    ready = min(sum(bool(r["ready"]) for r in rows), wanted)
    said = []
    if rollout is not None and rollout["state"] in (*UNDER_WAY, "halted"):
        said.append(progress(rollout, {row["name"]: row for row in rows}))
    if severity(worst) >= Severity.WRONG:
        said.append(f"{worst['name']}: {note(worst) or state_word(worst)}")
    return {
        "tone": TONES[severity(worst)] if wanted or severity(worst) else "muted",
        "state": f"{ready} of {wanted} ready" if wanted else f"0 of {len(rows)} wanted",
        "why": "; ".join(said),
        "ratios": ratio_text(rows),
        "restarts": str(sum(row["restarts"] for row in rows)),
        "cpu": percent(_sum([row["cpu_percent"] for row in rows])),
        "memory": size(_sum([row["memory_bytes"] for row in rows])),
    }


def ratio_text(rows: Sequence[Instance]) -> str:
    """R, C and L of some instances, as far as there is something to divide by."""
    found = ratios(rows, len(rows), 0, 0)
    shown = (("R", found["replication"], 2), ("C", found["consistency"], 2), ("L", found["load"], 1))
    return "  ".join(f"{letter} {value:.{digits}f}" for letter, value, digits in shown if value is not None)


def load_text(rows: Sequence[Instance]) -> str:
    """L of some instances; empty where nothing is balanced."""
    load = ratios(rows, len(rows), 0, 0)["load"]
    return "" if load is None else f"L {load:.1f}"


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def head_fields(status: Status) -> Fields:
    """The texts of the head of a page."""
    rows, daemon = status["instances"], status["supervisor"]
    wanted = [row for row in rows if is_wanted(row["goal"], row["type"], row["state"], row["cause"])]
    ready = sum(bool(row["ready"]) for row in wanted)
    worst = max((severity(row) for row in rows), default=Severity.FINE)
    return {
        "tone": TONES[worst],
        "ready": f"{ready} of {count(len(wanted), 'wanted instance')} ready" if wanted else "nothing is wanted",
        "totals": ratio_text(rows),
        "daemon": f"version {daemon['version']}, pid {daemon['pid']}, up {duration(daemon['uptime_s'])}",
    }


def problems(daemon: Supervisor) -> list[str]:
    """What an administrator should know of the daemon itself."""
    found = ["Everything is being stopped."] if daemon["closing"] else []
    if daemon["host_starved"]:
        found.append("This host is short of CPU or memory: silence is not counted as it would be.")
    return [*found, *daemon["problems"], *deviation_lines(daemon)]


def grouped(status: Status) -> list[tuple[str, list[Instance]]]:
    """The services with their instances, those with trouble first, else in start order."""
    found: dict[str, list[Instance]] = {}
    for row in status["instances"]:
        found.setdefault(row["service"], []).append(row)
    return sorted(found.items(), key=lambda pair: -max(map(severity, pair[1])))


def all_fields(status: Status) -> Iterator[tuple[str, Fields]]:
    """The key and the texts of every row, in the order of the table; the head has the key `""`.

    The key of a service with several instances ends with `@`, so that it differs from an instance of that name."""
    yield "", head_fields(status)
    rollouts = {one["service"]: one for one in status["supervisor"].get("rollouts", ())}
    for service, rows in grouped(status):
        if len(rows) > 1:
            yield f"{service}@", service_fields(rows, rollouts.get(service))
        for row in rows:
            yield row["name"], instance_fields(row)


EMPTY = frozenset((NOTHING, ""))
"""Texts that say nothing, which a narrow page leaves out."""
