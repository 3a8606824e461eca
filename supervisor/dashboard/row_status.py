"""Derives the reason and the next step from a row of `status`.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from supervisor.core.history.ratios import divide
from supervisor.core.text.causes import ending, phrase
from supervisor.core.text.maintenance import short
from supervisor.core.text.waiting import runs_elsewhere, waits_for, where
from supervisor.dashboard.history import Samples
from supervisor.dashboard.spans import Line, Span, clean, line
from supervisor.dashboard.strip import Move
from supervisor.display import numbers as q
from supervisor.display.severity import awaits_connection, is_flapping, severity
from supervisor.display.state_style import state_word, style_of
from supervisor.display.status_row import says, steps, unasked

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event
    from supervisor.core.model.instance_documents import Instance

DECIDED = frozenset({"delay_s", "breaker"})
"""Keys of an event's detail that say what was decided, rather than what happened."""
HANGS = frozenset({"heartbeat-silent", "watchdog-triggered"})
"""Causes that mean a hang."""
LATE = 0.6
"""The share of the threshold from which a heartbeat is late."""
NEXT = {
    "try": "next try in ",
    "kill": "SIGKILL in ",
    "drain": "drained within ",
    "ready": "must be ready in ",
    "suspect": "suspect in ",
}
"""The words before a countdown, by its name in `waits`."""
RECENT = 600.0
"""Seconds for which a recovered instance still shows its last failure."""


@dataclass(slots=True)  # frozen it would take three times as long to make, and all are made for each drawing
class Row:
    """One instance: its status row, received `age` seconds ago, its samples, its last failure, where it was then, and
    its changes of state, which are known since a time.  `clock`: now, in seconds since the epoch.

    Or one service of several instances, if `service` is not None: all else is that of its worst instance, with sums in
    `view`.  `nested`: the row of an instance below the row of its service."""

    view: Instance
    age: float = 0.0
    samples: Samples = field(default_factory=Samples)
    last_failure: Event | None = None
    failed_ago: float | None = None
    place: str = ""
    moves: Sequence[Move] = ()
    known_since: float | None = None
    clock: float = 0.0
    service: Service | None = None
    nested: bool = False

    @property
    def name(self) -> str:
        return str(self.view["name"])

    @property
    def key(self) -> str:
        """Distinguishes the row from every other: a service may have an instance of its own name."""
        return self.name if self.service is None else service_key(self.name)

    @property
    def instance(self) -> str:
        """The instance that the row shows; of a service, its worst."""
        return self.name if self.service is None else self.service.worst.name

    @property
    def instances(self) -> list[str]:
        """The instances that the row stands for: of a service, those that match the filter."""
        return [self.name] if self.service is None else list(self.service.shown)

    @property
    def targets(self) -> list[str]:
        """What a command on this row names: the service, unless the filter hides instances of it."""
        return [self.name] if self.service is None or self.service.whole else list(self.service.shown)


def service_key(service: str) -> str:
    """The key of the row of a service."""
    return f"{service}@"


@dataclass(frozen=True, slots=True)
class Service:
    """A service of several instances: what its row shows beside the columns.

    `members`: all of them, in start order.  `shown`: the names of those that match the filter.  `ready` and `wanted`:
    without those that a rollout runs beside the others, but one of them that is ready stands in for another.
    `consistency` C, `load` L and `replication` R are those of the report; None: there is nothing to divide by.
    `rollout`: how far it is, in words; empty where none moves or is halted."""

    members: Sequence[Row]
    shown: Sequence[str]
    worst: Row
    ready: int
    wanted: int
    consistency: float | None
    load: float | None
    rollout: str
    halted: bool
    folded: bool

    @property
    def replication(self) -> float | None:
        return divide(self.ready, self.wanted)

    @property
    def whole(self) -> bool:
        """The filter hides no instance."""
        return len(self.shown) == len(self.members)


def badge(view: Instance) -> Span:
    """Glyph and word of the state."""
    glyph, tone = style_of(view)
    return Span(f"{glyph} {state_word(view)}", tone)


def beat(view: Instance) -> Span:
    """The state of the heartbeat, in a word."""
    if view["detector"] is None:
        return Span(q.NOTHING, "faint")
    if view["state"] == "suspect":
        return Span("held", "warn") if view["held"] else Span("hung", "alarm")
    if view["cause"] in HANGS and view["state"] in ("stopping", "backoff", "failed"):
        return Span("hung", "bad")
    if view["state"] != "running":
        return Span(q.NOTHING, "faint")
    fraction = nearness_to_suspicion(view)
    if fraction is None:
        return Span("none yet", "muted")
    return Span("late", "warn") if fraction >= LATE else Span("on time", "good")


def waits(view: Instance, age: float = 0.0) -> tuple[str, float, str] | None:
    """(what ends the present state, in how many seconds, tone); None where there is no countdown."""
    waiting = (
        (view["next_restart_in_s"], "try", "warn"),
        (view["kill_in_s"], "kill", "warn"),
        (view.get("drain_s"), "drain", "busy"),
        (view["ready_within_s"], "ready", "busy"),
    )
    for left, label, tone in waiting:
        if left is not None:
            return label, max(0.0, left - age), tone
    left, threshold = view["suspect_in_s"], view["threshold"]
    if view["state"] == "running" and left is not None and threshold and (view["phi"] or 0.0) >= LATE * threshold:
        return "suspect", max(0.0, left - age), "warn"
    return None


def nearness_to_suspicion(view: Instance) -> float | None:
    """The score as a fraction of its threshold; over 1 only for a suspect, because below `min_timeout` no score
    however high is one.  None where there is none."""
    phi, threshold = view["phi"], view["threshold"]
    if phi is None or not threshold:
        return None
    fraction = float(phi / threshold)
    return fraction if view["state"] == "suspect" else min(1.0, fraction)


def countdown(view: Instance, age: float = 0.0) -> Line:
    """`next try in 4.2s`, or nothing."""
    wait = waits(view, age)
    if wait is None:
        return ()
    label, left, tone = wait
    return line(Span(NEXT[label], tone), Span(q.duration(left), "strong"))


def reason(row: Row) -> Span:
    """The reason of the state in a few words: what the instance waits for now, else what happened last."""
    kept = row.view.get("maintenance")
    if kept:
        return Span(clean(f"{short(kept)}: {_reason(row).text}"), "busy")
    return _reason(row)


def _reason(row: Row) -> Span:
    view = row.view
    if view["lingering"]:
        return Span(clean(f"cannot be killed: {', '.join(view['lingering'])}"), "bad")
    if (step := view.get("stop_step")) and view["state"] == "stopping":
        return Span(clean(steps(step)), "busy")
    if runs_elsewhere(view):
        return Span(clean(where(view)), "muted")
    if view["waiting_for"]:
        tone = "muted" if awaits_connection(view) else "busy"
        return Span(clean(f"waiting for {waits_for(view)}"), tone)
    if view["held"]:
        return Span(clean(f"held: {view['held']}"), "warn")
    if view.get("paused") and view["state"] in ("running", "starting"):
        return Span(clean(f"cannot run: {view['paused']}"), "warn")
    if view["goal"] == "down" and view["state"] in ("running", "suspect"):
        return Span("stops after its dependants", "busy")
    if unasked(view):
        return Span(clean(unasked(view)), "warn")
    if view["probe_error"] and view["state"] in ("running", "starting"):
        return Span(clean(view["probe_error"]), "warn")
    again = f"failed {view['attempt']} times in a row"
    if view["state"] == "running" and view["ready"] and row.last_failure and (row.failed_ago or 0.0) < RECENT:
        if is_flapping(view):
            return Span(f"{happened(row)}: {again}", "warn")
        return Span(f"ready again after: {happened(row)}", "muted")
    if is_flapping(view) and view["state"] == "running":
        return Span(again, "warn")
    if view["status"] and view["state"] in ("running", "starting"):
        return Span(clean(says(view, row.age)), "muted")
    tones = ("faint" if view["state"] in ("running", "stopped") else "muted", "muted", "plain", "plain")
    healthy = row.last_failure and view["state"] == "running" and view["ready"]
    return Span(("ready again after: " if healthy else "") + happened(row), tones[severity(view)])


def happened(row: Row) -> str:
    """The cause of the last change in words; of an instance that recovers from a failure, the cause of that failure."""
    view, failure = row.view, row.last_failure
    if failure and (failure["cause"] == view["cause"] or view["state"] in ("running", "starting", "failed", "backoff")):
        return row.place or cause_of(failure)
    return clean(
        phrase(
            view["cause"],
            ending(view),
        )
    )


def cause_of(event: Event) -> str:
    """What happened, without what was decided, which state and countdown show."""
    return clean(phrase(event["cause"], {k: v for k, v in event["detail"].items() if k not in DECIDED}))
