"""Defines the glyph and the tone of each state, and the colour of each tone on a terminal.

A tone says what something means.  The style sheet of the dashboard defines its look for each theme; the command line
colours it by COLORS, and makes it bold or dim by severity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from supervisor.core.text.waiting import runs_elsewhere
from supervisor.display.severity import Severity, awaits_connection, is_flapping, severity

if TYPE_CHECKING:
    from supervisor.core.model.instance_documents import Instance


class StateStyle(NamedTuple):
    """Each state has its own glyph, so that colour alone never carries the meaning."""

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
FLAPPING = StateStyle("⇅", "warn")
"""The style of an instance that fails again and again; it is shown instead of its state, which changes too often."""
ON_DEMAND = "on demand"
AWAITS_CONNECTION = StateStyle("◌", "good")
"""The word and the style of an instance that waits for a connection; its state is "stopped", but it is not down."""
UNKNOWN = StateStyle("?", "warn")
"""The style of a state that only a later version of the daemon knows."""
SEVERITY_TONES = ("good", "busy", "warn", "alarm")
"""By `Severity`."""
COLORS = {"good": "green", "busy": "cyan", "warn": "yellow", "bad": "red", "alarm": "red"}
"""Colours by tone, with names that click and rich share; a tone that is missing here has no colour."""


def style_of(row: Instance) -> StateStyle:
    """The style of one row of the status, which depends on more than its state."""
    state = row["state"]
    if is_flapping(row):
        return FLAPPING
    if awaits_connection(row) or runs_elsewhere(row):
        return AWAITS_CONNECTION
    found = STATES.get(state, UNKNOWN)
    if state == "running" and not row["ready"]:
        return StateStyle("◐", "busy")
    if state == "exited" and severity(row) is Severity.BROKEN:
        return StateStyle("✗", "alarm")
    if state == "stopping" and row.get("lingering"):
        return found._replace(tone="alarm")
    return found


def state_word(row: Instance) -> str:
    """The word for the state that a reader sees."""
    if is_flapping(row):
        return "flapping"
    if runs_elsewhere(row):
        return "elsewhere"
    return ON_DEMAND if awaits_connection(row) else row["state"]


def severity_color(row: Instance) -> str:
    """The colour of the severity of a row."""
    return COLORS[SEVERITY_TONES[severity(row)]]
