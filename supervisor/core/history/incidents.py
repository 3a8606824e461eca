"""Defines what counts as a failure, and groups the events of the ledger into incidents.

An *incident* begins when an instance falls under suspicion or fails, and ends when it is cleared, gets more time, is
ready again, fails again, or is given up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from supervisor.core.model.causes import ENDED_BY_ITSELF, FAILURES, Cause
from supervisor.core.text.timestamps import from_iso

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event
    from supervisor.core.model.instance_documents import Instance


BY_PERSON = frozenset(
    {
        Cause.STARTED_BY_USER,
        Cause.STOPPED_BY_USER,
        Cause.RESTARTED_BY_USER,
        Cause.RESET_BY_USER,
        Cause.SIGNALLED_BY_USER,
        Cause.MAINTENANCE_BEGUN,
        Cause.RELOADED,
        Cause.SCALED,
        Cause.ADDED,
        Cause.ROLLED_OUT,
    }
)
_SUCCEEDED, _BREAKER_TRIAL = Cause.SUCCEEDED, Cause.BREAKER_TRIAL  # Python 3.11 takes its time to find a member
CLEARED = frozenset({Cause.HEARTBEAT_RESUMED, Cause.CONFIRMED_ALIVE})
_UNDECIDED = frozenset({Cause.HOLD_OVER, Cause.ADOPTED, Cause.PROBE_UNKNOWN, Cause.MAINTENANCE_BEGUN})
_WORKING = ("starting", "running", "suspect")
_AT_REST = ("backoff", "failed", "exited")


class IncidentOutcome(StrEnum):
    """How an incident ended, or that it is open."""

    OPEN = "open"
    FALSE_ALARM = "false-alarm"
    UNDECIDED = "undecided"
    """It got more time: it could not run until then, or another daemon took it over.  It may hang after all."""
    RECOVERED = "recovered"
    FAILED_AGAIN = "failed-again"
    STOPPED = "stopped"
    GAVE_UP = "gave-up"


@dataclass(slots=True)
class Incident:
    """Times are seconds since the epoch.  `failed_at` is None while it is only a suspicion."""

    began: float
    cause: str
    incarnation: int
    failed_at: float | None = None
    ended_at: float | None = None
    outcome: IncidentOutcome = IncidentOutcome.OPEN
    by_person: bool = False
    detection: float | None = None
    events: list[Event] = field(default_factory=list)


def is_failure(before: str, after: str, cause: str, detail: Mapping[str, Any]) -> bool:
    """Whether a record is the one that takes an instance out of work because it failed; each failure has exactly one.

    A suspicion is not a failure yet.  The records that follow (stopping → backoff, the next spawn) repeat the cause and
    are not counted again; a failed spawn that is tried again at once stays in `starting`.
    """
    if cause not in FAILURES or before not in _WORKING or after in ("running", "suspect"):
        return False
    return after != "starting" or "attempt" in detail


def is_decision(before: str, after: str, cause: str, detail: Mapping[str, Any]) -> bool:
    """Whether a record says what follows a failure, once the process is gone: backoff, an open breaker, no restart, or
    the next attempt at once.  Exactly one for each failure whose instance is still wanted up."""
    if after == "starting":
        return cause in FAILURES and "attempt" in detail
    return cause in FAILURES and before != after and after in _AT_REST


def is_restart(before: str, after: str, cause: str, detail: Mapping[str, Any]) -> bool:
    """Whether a record is a restart that the supervisor decided: it follows a failure, or is the trial of a breaker."""
    again = "delay_s" in detail and after in ("backoff", "starting")
    return again or (cause == _BREAKER_TRIAL and before != after)


def is_about_failure(before: str, after: str, cause: str) -> bool:
    """Whether a record changes the state because of a failure, or of the suspicion of one: it falls under suspicion, is
    ended, or what follows is decided.  The newest such record explains the present state."""
    return cause in FAILURES and before != after


def detection_s(cause: str, detail: Mapping[str, Any]) -> float | None:
    """The longest possible time in seconds from a failure to its detection; None where it is not known.

    An exit is reported by the kernel at once.  A hang began after the last beat, a failed start when it began.
    """
    if cause in ENDED_BY_ITSELF or cause in (Cause.SPAWN_FAILED, Cause.TRIGGERED):
        return 0.0
    known = detail.get({Cause.SILENT: "silence_s", Cause.START_TIMEOUT: "start_timeout_s"}.get(Cause(cause), ""))
    return float(known) if isinstance(known, int | float) else None


def is_oneshot(row: Instance | None, events: Iterable[Event]) -> bool:
    """Whether the instance is a oneshot: its status row says so, or, where there is none, a success in its events."""
    if row is not None:
        return row["type"] == "oneshot"
    return _SUCCEEDED in map(itemgetter("cause"), events)


def is_recovery(event: Event, oneshot: bool) -> bool:
    """Whether the instance is ready again; a oneshot recovers when it succeeds."""
    if event["cause"] == _SUCCEEDED:
        return True
    return not oneshot and event["to"] == "running" and event["from"] not in ("running", "suspect")


def incidents(events: Iterable[Event], oneshot: bool) -> list[Incident]:
    """All incidents in the events of *one* instance (oldest first), oldest first."""
    found: list[Incident] = []
    current: Incident | None = None
    for event in events:
        before, after, cause = event["from"], event["to"], event["cause"]
        failed = cause in FAILURES and is_failure(before, after, cause, event["detail"])
        suspected = after == "suspect" and before != "suspect"
        if failed and current is not None and current.failed_at is None:
            _fail(current, event)
        elif failed or suspected:
            if current is not None:
                _end(current, IncidentOutcome.FAILED_AGAIN, event)
            current = Incident(from_iso(event["at"]), cause, event["incarnation"])
            found.append(current)
            if failed:
                _fail(current, event)
        if current is None:
            continue
        current.events.append(event)
        current.by_person |= cause in BY_PERSON
        outcome = _outcome(event, oneshot)
        if outcome is not None:
            _end(current, outcome, event)
            current = None
    return found


def _fail(incident: Incident, event: Event) -> None:
    incident.failed_at = from_iso(event["at"])
    incident.cause = event["cause"]
    incident.detection = detection_s(event["cause"], event["detail"])


def _end(incident: Incident, outcome: IncidentOutcome, event: Event) -> None:
    incident.outcome = outcome
    incident.ended_at = from_iso(event["at"])


def _outcome(event: Event, oneshot: bool) -> IncidentOutcome | None:
    """The outcome that an event gives its incident; None while the incident continues."""
    if event["from"] == "suspect" and event["to"] == "running":
        undecided = event["cause"] in _UNDECIDED
        return IncidentOutcome.UNDECIDED if undecided else IncidentOutcome.FALSE_ALARM
    if is_recovery(event, oneshot):
        return IncidentOutcome.RECOVERED
    if event["to"] == "stopped" and event["from"] != "stopped":
        return IncidentOutcome.STOPPED
    if event["to"] == "exited" and event["from"] != "exited":
        return IncidentOutcome.GAVE_UP
    return None
