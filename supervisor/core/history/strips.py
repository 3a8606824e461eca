"""Divides a period into cells of equal length, and computes how available each service was in each of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from supervisor.core.history.incidents import is_oneshot
from supervisor.core.history.report import histories
from supervisor.core.history.straightened import straightened
from supervisor.core.history.timeline import timeline
from supervisor.core.text.timestamps import from_iso

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event
    from supervisor.core.model.instance_documents import Instance


@dataclass(slots=True)
class Cell:
    """Seconds of all instances of a service together.  What is in none of them, no instance was wanted."""

    ready: float = 0.0
    down: float = 0.0
    unknown: float = 0.0


def strips(
    events: Iterable[Event], since: float, until: float, status: Sequence[Instance], columns: int
) -> dict[str, list[Cell]]:
    """The cells of each service; `columns` each.  The arguments are those of `report`."""
    found: dict[str, list[Cell]] = {}
    width = max(until - since, 1e-9) / columns
    told = [event for event in straightened(events) if from_iso(event["at"]) <= until]
    for service, history, row in histories(told, status):
        cells = found.setdefault(service, [Cell() for _ in range(columns)])
        at = 0.0
        for seconds, wanted, ready in timeline(history, since, until, row, is_oneshot(row, history)).spans:
            if wanted is not False:
                _spread(cells, width, at, at + seconds, "unknown" if wanted is None else "ready" if ready else "down")
            at += seconds
    return found


def _spread(cells: list[Cell], width: float, begin: float, end: float, kind: str) -> None:
    """Add the time from `begin` to `end`, seconds since the begin of the first cell, to the cells it lies in."""
    first, last = (min(int(at / width), len(cells) - 1) for at in (begin, end))
    for column in range(first, last + 1):
        part = min(end, (column + 1) * width) - max(begin, column * width)
        setattr(cells[column], kind, getattr(cells[column], kind) + max(0.0, part))
