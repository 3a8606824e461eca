"""Maintenance in words, for `status`, `why`, the dashboard and the problems of the daemon."""

from __future__ import annotations

from collections.abc import Mapping

from supervisor.core.text.units import span

TYPE_CHECKING = False  # importing typing takes time
if TYPE_CHECKING:
    from typing import Any

    from supervisor.core.model.instance_documents import Maintenance

ITS_END = "the end of its maintenance"
"""What the start of an instance in maintenance waits for, unless a user ordered it."""


def told(of: Maintenance) -> str:
    """`in maintenance for another 28m: new disk (by ann, with …)`."""
    lasts = "until it is ended" if of["ends_in_s"] is None else f"for another {span(of['ends_in_s'])}"
    said = f"in maintenance {lasts}"
    if of["reason"]:
        said += f": {of['reason']}"
    return f"{said} ({of['by']})" if of["by"] else said


def short(of: Maintenance) -> str:
    """The same without the user, in front of what else is said of the instance."""
    lasts = "" if of["ends_in_s"] is None else f" {span(of['ends_in_s'])}"
    return f"maintenance{lasts}" + (f" ({of['reason']})" if of["reason"] else "")


def begun(detail: Mapping[str, Any]) -> str:
    """The begin of a maintenance, for `events`."""
    lasts = f" for {span(detail['for_s'])}" if detail.get("for_s") is not None else ""
    reason = f": {detail['reason']}" if detail.get("reason") else ""
    return f"in maintenance{lasts}{reason}"
