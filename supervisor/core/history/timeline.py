"""Computes how long within a period an instance was wanted, ready, or in an unknown state.

The ledger records changes.  Between two events the instance was in the state to which the first one led, if the second
one starts from that state.  Otherwise a daemon died in between, and the state is unknown.  It is also unknown where a
process ended without a known exit status.  An adopted process proves that it lived all the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from supervisor.core.model.causes import Cause
from supervisor.core.text.timestamps import from_iso

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event
    from supervisor.core.model.instance_documents import Instance


_SUCCEEDED, _EXIT_UNKNOWN = Cause.SUCCEEDED, Cause.EXIT_UNKNOWN  # Python 3.11 takes its time to find a member
_NOT_WANTED_BEFORE = frozenset(
    {Cause.STARTED_BY_USER, Cause.ADDED, Cause.SCALED, Cause.SURGE_STARTED, Cause.FALLBACK_WANTED}
)
"""Causes of a start: until then nobody wanted the instance, or it was not there."""


@dataclass(slots=True)
class Timeline:
    """Seconds within the period.  `wanted` includes `ready`; `unknown` is in neither.

    `spans`: the same in the order of time, (seconds, wanted, ready) each.  `times`: those of the events, in seconds
    since the epoch."""

    wanted: float = 0.0
    ready: float = 0.0
    unknown: float = 0.0
    spans: list[tuple[float, bool | None, bool]] = field(default_factory=list, compare=False)
    times: list[float] = field(default_factory=list, compare=False)

    def add(self, seconds: float, wanted: bool | None, ready: bool = False) -> None:
        """Add a span of time; `wanted` None: the state is unknown."""
        self.spans.append((seconds, wanted, ready))
        if wanted is None:
            self.unknown += seconds
        elif wanted:
            self.wanted += seconds
            self.ready += seconds if ready else 0.0


def timeline(events: Sequence[Event], since: float, until: float, row: Instance | None, oneshot: bool) -> Timeline:
    """The timeline of one instance.  `events`: its events, oldest first; those before `since` tell how the period
    began.  `row`: its status at `until`, None where it is not known.  A oneshot is never counted as wanted."""
    out = Timeline()
    if not events:
        _unchanged(out, since, until, row, oneshot)
        return out
    out.times = times = [from_iso(event["at"]) for event in events]
    _before(out, max(0.0, times[0] - since), events[0], oneshot)
    done = False
    seconds = 0.0
    for event, following, at, end in zip(events, [*events[1:], None], times, [*times[1:], until], strict=True):
        if end > since:
            seconds += max(0.0, end - (at if at > since else since))
        after = event["to"]
        if event["from"] != after:
            done = event["cause"] == _SUCCEEDED
        if after == "suspect" and following is not None and following["from"] == following["to"] == "suspect":
            continue  # only the end of a suspicion shows whether it was one
        ready = _was_ready(event, following, row)
        wanted = event["goal"] == "up" and not oneshot and not (after == "exited" and done)
        out.add(seconds, None if ready is None else wanted, bool(ready))
        seconds = 0.0
    return out


def _was_ready(event: Event, following: Event | None, row: Instance | None) -> bool | None:
    """Whether the instance was ready between these two events; None: unknown."""
    state = event["to"]
    if following is None:
        seen = row is not None and row["state"] == state and row["incarnation"] == event["incarnation"]
        return bool(row and row["ready"]) if seen or state == "stopped" else None
    if following["from"] != state:
        adopted = following["cause"] == Cause.ADOPTED and following["incarnation"] == event["incarnation"]
        return True if adopted and state in ("running", "suspect") else None
    if following["cause"] == _EXIT_UNKNOWN:
        return None
    if state == "stopped":  # with the goal up it waits for a connection, which is answered
        return event["goal"] == "up"
    return bool(state == "running" or (state == "suspect" and following["to"] == "running"))


def _before(out: Timeline, seconds: float, first: Event, oneshot: bool) -> None:
    """Add the time from the beginning of the period to the first event.  A daemon that starts always begins with
    `stopped`, whatever was before."""
    state = first["from"]
    if state == "stopped":
        out.add(seconds, False if first["cause"] in _NOT_WANTED_BEFORE else None)
    elif state == "exited":
        out.add(seconds, None)
    else:
        goal_up = first["goal"] == "up" or state in ("running", "suspect", "backoff", "failed")
        out.add(seconds, goal_up and not oneshot, state == "running" or (state, first["to"]) == ("suspect", "running"))


def _unchanged(out: Timeline, since: float, until: float, row: Instance | None, oneshot: bool) -> None:
    """Add a period without events: the present state since `since_s`, unknown before."""
    period = max(0.0, until - since)
    age = row["since_s"] if row is not None else None
    known = min(period, age) if age is not None else 0.0
    if row is not None:
        done = row["state"] == "exited" and row["cause"] == Cause.SUCCEEDED
        now = row["goal"] == "up" and not oneshot and not done, bool(row["ready"])
        out.add(period - known, None)
        out.add(known, *now)
        return
    out.add(period, None)
