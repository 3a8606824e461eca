"""Puts events on one time axis where the wall clock was set between them.

The ledger has the time of the wall clock.  Where that was set by two hours, two events that stand two hours apart may
have followed each other at once.  Each time that the clock was set is an event of its own; what stands before it is
moved to what the present clock would have shown then.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import TYPE_CHECKING

from supervisor.core.model.causes import Cause
from supervisor.core.text.timestamps import from_iso, to_iso

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event


def straightened(events: Iterable[Event]) -> list[Event]:
    """The events, oldest first, with times of the present clock; those of the clock itself are left out."""
    events, clock_set = list(events), Cause.CLOCK_SET
    if clock_set not in map(itemgetter("cause"), events):  # nearly always, and many events are read at a time
        return events
    found, shift = [], 0.0
    for event in reversed(events):
        if event["cause"] == clock_set:
            shift += stepped(event)
        else:
            found.append({**event, "at": to_iso(from_iso(event["at"]) + shift)} if shift else event)
    found.reverse()
    return found


def stepped(event: Event) -> float:
    """The seconds by which the clock was set, negative for backwards; 0.0 where an event does not tell."""
    seconds = event["detail"].get("stepped_s")
    return float(seconds) if isinstance(seconds, int | float) else 0.0
