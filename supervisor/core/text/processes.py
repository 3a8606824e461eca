"""Processes that send heartbeats of their own, in words: which is silent, which was ended, and what replaced it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.core.text.units import span

if TYPE_CHECKING:
    from supervisor.core.model.instance_documents import BeatingProcess, EndedProcess, Instance

IDLE = 60.0
"""Seconds from which a process that has not run is worth a line (`source = "activity"`)."""


def silent(row: Instance) -> list[str]:
    """One line for each process that is under suspicion, or was killed and is not gone."""
    return [_silent(process) for process in row.get("processes", ()) if _suspect(process)]


def told(row: Instance) -> list[str]:
    """All lines about processes: the silent ones, those that have not run for long, and the last that was ended."""
    idle = [
        f"process {p['pid']} has not run for {span(p['silent_s'])}"
        for p in row.get("processes", ())
        if p["phi"] is None and p["silent_s"] >= IDLE
    ]
    ended = row.get("ended_process")
    if ended and ended["pid"] in [p["pid"] for p in row.get("processes", ()) if p["ended_s"] is not None]:
        ended = None  # that it is not gone says more
    return silent(row) + idle + ([_ended(ended)] if ended else [])


def _suspect(process: BeatingProcess) -> bool:
    return process["suspect_s"] is not None or process["ended_s"] is not None


def _silent(process: BeatingProcess) -> str:
    if process["ended_s"] is not None:
        return f"process {process['pid']} was killed {span(process['ended_s'])} ago and is not gone"
    doing = f", which works on {process['doing']}," if process["doing"] else ""
    held = f"; held: {process['held']}" if process["held"] else ""
    return f"process {process['pid']}{doing} has been silent for {span(process['silent_s'])}{held}"


def _ended(ended: EndedProcess) -> str:
    said = f"process {ended['pid']} was silent and was ended {span(ended['ago_s'])} ago"
    if ended["replaced_by"] is None:
        return f"{said}; no new process has beaten since"
    return f"{said}; process {ended['replaced_by']} beats instead, {span(ended['replaced_after_s'])} after that"
