"""How a state looks: its glyph, its tone, and the colour of a tone on a terminal.

A tone says what something means.  The dashboard's style sheet gives it a look for each theme; the command line colours
it by COLORS, and adds weight where it wants to be louder or quieter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from supervisor.display.severity import Severity, severity

if TYPE_CHECKING:
    from supervisor.core.model.documents import Instance


class StateStyle(NamedTuple):
    """The glyph is different for each state, so that none is told by its colour alone."""

    glyph: str
    tone: str


STATES: dict[str, StateStyle] = {
    "stopped": StateStyle("○", "muted"),
    "starting": StateStyle("◔", "busy"),
    "running": StateStyle("●", "good"),
    "suspect": StateStyle("▲", "warn"),
    "stopping": StateStyle("▼", "busy"),
    "backoff": StateStyle("↻", "warn"),
    "exited": StateStyle("✓", "muted"),
    "failed": StateStyle("✖", "alarm"),
}
UNKNOWN = StateStyle("?", "warn")
"""Of a state that a later version of the daemon may have."""
SEVERITY_TONES = ("good", "busy", "warn", "alarm")
"""By `Severity`."""
COLORS = {"good": "green", "busy": "cyan", "warn": "yellow", "bad": "red", "alarm": "red"}
"""By tone, in names that click and rich share; a tone that is not here has no colour."""


def style_of(row: Instance) -> StateStyle:
    """Of one row of the status, where its state alone does not tell all."""
    state = row["state"]
    found = STATES.get(state, UNKNOWN)
    if state == "running" and not row["ready"]:
        return StateStyle("◐", "busy")
    if state == "exited" and severity(row) is Severity.BROKEN:
        return StateStyle("✗", "alarm")
    if state == "stopping" and row.get("lingering"):
        return found._replace(tone="alarm")
    return found


def severity_color(row: Instance) -> str:
    """The colour of how bad it is."""
    return COLORS[SEVERITY_TONES[severity(row)]]
