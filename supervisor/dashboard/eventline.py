"""One event of the ledger as a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.core.text.causes import phrase
from supervisor.dashboard.spans import Line, Span, clean, cut, fit, line
from supervisor.display import numbers as q
from supervisor.display.state_style import STATES, UNKNOWN

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event

NARROW = 64
"""Cells of width below which the line omits the former state."""


def event_line(event: Event, *, instance: bool, width: int) -> Line:
    """Time, instance (only if `instance`), change of state and cause; a click on the glass shows the evidence."""
    detail = event["detail"]
    parts = [Span(q.clock(event["at"]), "muted"), Span("  ")]
    if instance:
        parts += [*fit((Span(clean(event["instance"])),), max(8, min(16, width // 5))), Span(" ")]
    moved = fit(_moved(event, width), 10 if width < NARROW else 18)
    words = Span("  " + clean(phrase(event["cause"], detail)))
    glass = Span(" ⌕", "accent", f"screen.evidence({detail['evidence_id']})") if "evidence_id" in detail else ""
    return cut(line(*parts, moved, words, glass), width)


def _moved(event: Event, width: int) -> Line:
    before, after = event["from"], event["to"]
    if before == after:
        return (Span("  " + after if width < NARROW else after, "faint"),)
    tone = STATES.get(after, UNKNOWN).tone
    if after == "exited" and event["cause"] != "succeeded":
        tone = "bad"
    return (Span("→ " if width < NARROW else f"{before} → ", "faint"), Span(after, tone))
