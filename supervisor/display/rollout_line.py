"""Formats a rollout: how far it is, in one line, for the commands and the dashboard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from supervisor.display.numbers import duration

TYPE_CHECKING = False  # importing typing takes time
if TYPE_CHECKING:
    from supervisor.core.model.documents import Status
    from supervisor.core.model.instance_documents import Instance
    from supervisor.core.model.order_documents import Rollout, Scaling

UNDER_WAY = ("running", "rolling-back")
"""The states of a rollout that still replaces instances, or will once it is no longer paused."""
_FAILED = {"rolling-back": "began to go back", "rolled-back": "rolled back", "halted": "halted"}
_NAMES = {"reload": "rollout", "restart": "rolling restart", "undo": "undo"}


def under_way(status: Status, *, short: bool = False) -> list[str]:
    """A line for each rollout that is under way, and one for the part that runs as configured, where not all does.

    `short`: without reasons and explanations, for a narrow terminal."""
    found = [r for r in status["supervisor"].get("rollouts", ()) if r["state"] in UNDER_WAY]
    rows = {row["name"]: row for row in status["instances"]}
    lines = [
        f"{r['service']}  {progress(_without_reason(r) if short else r, rows)}"
        for r in found
        if any(n["service"] == r["service"] for n in rows.values())
    ]
    running = [row for row in rows.values() if row["pid"] is not None]
    current = sum(row["current"] for row in running)
    if current < len(running):
        share = current / len(running)
        meaning = "" if short else f": {current} of {len(running)} run the configuration in force"
        lines.append(f"C {share:.2f}{meaning}")
    return lines


def _without_reason(rollout: Rollout) -> Rollout:
    return {**rollout, "reason": None}


def progress(rollout: Rollout, rows: Mapping[str, Instance]) -> str:
    """How far a rollout is, and what it waits for.  `rows`: the rows of the status by name."""
    what = _NAMES[rollout["order"]]
    done = f"{rollout['settled']} of {rollout['instances']}"
    if rollout["state"] == "finished":
        return f"{what} finished: {rollout['current']} of {rollout['instances']}"
    if rollout["state"] == "rolled-back":
        return f"rolled back: {rollout['reason']}"
    if rollout["state"] == "halted":
        return f"{what} halted: {rollout['reason']}"
    if rollout["state"] == "rolling-back":
        why = f" ({rollout['reason']})" if rollout["reason"] else ""
        what, done = f"rolling back{why}", f"{rollout['current']} of {rollout['instances']}"
    waits = ", ".join(f"{name} {_state(rows[name])}" for name in rollout["waiting_for"] if name in rows)
    return f"{what}{', paused' if rollout['paused'] else ''}: {done}" + (f"; {waits}" if waits else "")


def _state(row: Instance) -> str:
    if row.get("maintenance"):
        return "is left alone in maintenance"
    return "settles" if row["ready"] else row["state"]


def line(rollout: Rollout, rows: Mapping[str, Instance]) -> str:
    """A rollout in one line: how far it is, how many instances are ready, and when it began or ended."""
    beside = len(rollout.get("surge", ()))
    ready = f"{rollout['ready']} of {rollout['instances'] + beside} instances ready"
    ready += f" ({rollout['instances']} wanted, {beside} more until it is over)" if beside else ""
    when = {"running": "began", "rolling-back": "began", "halted": "halted"}.get(rollout["state"], "ended")
    ago = duration(rollout["began_s" if when == "began" else "since_s"])
    return f"{rollout['service']}  {progress(rollout, rows)}; {ready}; {when} {ago} ago"


def scaling_line(scale: Scaling, rows: Mapping[str, Instance]) -> str:
    """A service that is being scaled, in one line."""
    ready = sum(row["ready"] for row in rows.values() if row["service"] == scale["service"] and row["goal"] == "up")
    waits = [f"{name} {rows[name]['state']}" for name in (*scale["starting"], *scale["stopping"]) if name in rows]
    what = f"scale from {scale['before']} to {scale['replicas']}: {', '.join(waits)}"
    return (
        f"{scale['service']}  {what}; {ready} of {scale['replicas']} instances ready; "
        f"began {duration(scale['began_s'])} ago"
    )


def failed_rollouts(rollouts: Iterable[Rollout]) -> dict[str, str]:
    """By service, the outcome of a rollout that was rolled back or halted for a reason, and where more is shown."""
    found = {}
    for one in rollouts:
        reason, what = one["reason"], _FAILED.get(one["state"])
        if reason and what:
            name = reason.partition(": ")[0]
            more = f"; `supervisor why {name}` tells more" if name.partition("@")[0] == one["service"] else ""
            found[one["service"]] = f"{what} {duration(one['since_s'])} ago ({reason}){more}"
    return found
