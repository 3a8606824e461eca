"""Computes the report: availability, failures and repairs, detection times, and ratios.

All times are those of the present clock, also where it was set since (straightened).

- availability: time ready / time wanted up.  Time without a daemon counts for neither, and where more time is unknown
  than wanted, so is the availability.
- MTBF (mean time between failures): time ready / failures.
- MTTR (mean time to repair): from the moment at which an instance was found failing until it was ready again, mean
  of the outages that began in the period and are over.  An outage may hold several failures (a crash loop).
- detection: the longest possible time until a failure was detected (incidents.detection_s).
- recovered: failures after which the instance was ready again without a command of the user.

A value that is not known is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from supervisor.core.history.incidents import (
    CLEARED,
    Incident,
    IncidentOutcome,
    incidents,
    is_oneshot,
    is_recovery,
    is_restart,
)
from supervisor.core.history.ratios import divide, ratios
from supervisor.core.history.straightened import straightened
from supervisor.core.history.timeline import timeline
from supervisor.core.model.causes import Cause
from supervisor.core.model.daemon_records import DAEMON
from supervisor.core.text.timestamps import from_iso, to_iso

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event
    from supervisor.core.model.instance_documents import Instance
    from supervisor.core.model.story_documents import Figures, Report


_HELD = Cause.HELD


@dataclass(slots=True)
class Account:
    """Sums for one instance, one service or all services."""

    rows: list[Instance] = field(default_factory=list)
    instances: int = 0
    wanted: float = 0.0
    ready: float = 0.0
    unknown: float = 0.0
    causes: list[str] = field(default_factory=list)
    recovered: int = 0
    detections: list[tuple[str, float]] = field(default_factory=list)
    outages: list[float] = field(default_factory=list)
    restarts: list[str] = field(default_factory=list)
    """The causes of the restarts."""
    false_suspicions: int = 0
    holds: int = 0
    breaker_opened: int = 0

    def add(self, other: Account) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            value += getattr(other, name)  # extends a list in place: the sum of many accounts is long
            setattr(self, name, value)


def report(events: Iterable[Event], since: float | None, until: float, status: Sequence[Instance]) -> Report:
    """`events`: event objects, oldest first, all of the period; earlier ones tell how it began.  `since`, `until`:
    seconds since the epoch (None: from the first event on).  `status`: the instances' status rows at `until`, empty
    where no daemon runs.  Services come in the order of `status`, then those that are gone."""
    events = [event for event in straightened(events) if from_iso(event["at"]) <= until]
    begin = _begin(events, since, until)
    services: dict[str, Account] = {row["service"]: Account() for row in status}
    total = Account()
    for service, history, row in histories(events, status):
        account = _account(history, begin, until, row)
        services.setdefault(service, Account()).add(account)
        total.add(account)
    return {
        "since": to_iso(begin),
        "until": to_iso(until),
        "seconds": round(until - begin, 3),
        "services": [{"service": name, **_figures(account)} for name, account in services.items()],
        "total": _figures(total),
    }


def histories(
    events: Iterable[Event], status: Sequence[Instance]
) -> Iterator[tuple[str, list[Event], Instance | None]]:
    """The service, the events and the status row of each instance: those of `status`, then those that are gone."""
    found: dict[str, list[Event]] = {row["name"]: [] for row in status}
    for event in events:
        name = event["instance"]
        if name in found:
            found[name].append(event)
        elif name != DAEMON:
            found[name] = [event]
    rows = {row["name"]: row for row in status}
    for name, history in found.items():
        row = rows.get(name)
        yield (row["service"] if row is not None else history[0]["service"]), history, row


def _begin(events: list[Event], since: float | None, until: float) -> float:
    """The begin of the period; the first event of the ledger is the earliest."""
    first = from_iso(events[0]["at"]) if events else until
    if since is None:
        return first
    begins_here = bool(events) and events[0]["id"] == 1
    return min(until, max(since, first) if begins_here else since)


def _account(history: list[Event], since: float, until: float, row: Instance | None) -> Account:
    """The account of one instance."""
    oneshot = is_oneshot(row, history)
    if not oneshot:
        history = history[_calm_before(history, since) :]
    spent = timeline(history, since, until, row, oneshot)
    out = Account(
        rows=[row] if row is not None else [],
        instances=1,
        wanted=spent.wanted,
        ready=spent.ready,
        unknown=spent.unknown,
    )
    for outage in _outages(incidents(history, oneshot)):
        _count_outage(out, outage, since)
    for event, at in zip(history, spent.times, strict=True):
        if at >= since:
            _count_event(out, event)
    return out


def _calm_before(history: list[Event], since: float) -> int:
    """The index of the last event before the period that made the instance ready: nothing that is counted in the period
    needs what stands before it."""
    times = [from_iso(event["at"]) for event in history]
    begin = next((n for n in range(len(times), 0, -1) if times[n - 1] < since), 0)
    if max(times[:begin], default=since) >= since:  # the clock was set back, and no event tells of it
        return 0
    for n in range(begin - 1, -1, -1):
        if history[n]["from"] != history[n]["to"] and is_recovery(history[n], oneshot=False):
            return n
    return 0


def _outages(found: list[Incident]) -> Iterator[list[Incident]]:
    """Groups incidents that have no recovery between them."""
    outage: list[Incident] = []
    for incident in found:
        outage.append(incident)
        if incident.outcome is not IncidentOutcome.FAILED_AGAIN:
            yield outage
            outage = []


def _count_outage(out: Account, outage: list[Incident], since: float) -> None:
    last = outage[-1]
    failures = [incident for incident in outage if incident.failed_at is not None]
    by_itself = last.outcome is IncidentOutcome.RECOVERED
    for incident in reversed(outage):
        by_itself = by_itself and not incident.by_person
        if incident.failed_at is None or incident.failed_at < since:
            continue
        out.causes.append(incident.cause)
        out.recovered += by_itself
        if incident.detection is not None:
            out.detections.append((incident.cause, incident.detection))
    if (
        failures
        and last.outcome is IncidentOutcome.RECOVERED
        and failures[0].began >= since
        and last.ended_at is not None
    ):
        out.outages.append(max(0.0, last.ended_at - failures[0].began))


def _count_event(out: Account, event: Event) -> None:
    cause, after, moved = event["cause"], event["to"], event["from"] != event["to"]
    if is_restart(event["from"], after, cause, event["detail"]):
        out.restarts.append(cause)
    if cause in CLEARED and after == "running":
        out.false_suspicions += 1
    elif cause == _HELD:
        out.holds += 1
    if moved and after == "failed":
        out.breaker_opened += 1


def _figures(a: Account) -> Figures:
    causes, failures = _counted(a.causes), len(a.causes)
    seconds = [value for _, value in a.detections]
    return {
        "instances": a.instances,
        "wanted_s": round(a.wanted, 3),
        "ready_s": round(a.ready, 3),
        "unknown_s": round(a.unknown, 3),
        "availability": divide(a.ready, a.wanted) if a.wanted >= a.unknown else None,
        "failures": failures,
        "failures_by_cause": causes,
        "recovered": a.recovered,
        "restarts": len(a.restarts),
        "restarts_by_cause": _counted(a.restarts),
        "breaker_opened": a.breaker_opened,
        "false_suspicions": a.false_suspicions,
        "holds": a.holds,
        "mtbf_s": round(a.ready / failures, 3) if failures and a.wanted else None,
        "outages": len(a.outages),
        "mttr_s": _mean(a.outages),
        "longest_outage_s": _most(a.outages),
        "detection_mean_s": _mean(seconds),
        "detection_max_s": _most(seconds),
        "detection_by_cause": {
            cause: {"mean_s": _mean(known), "max_s": _most(known)}
            for cause in causes
            if (known := [value for of, value in a.detections if of == cause])
        },
        **ratios(a.rows, a.instances, failures, a.recovered),
    }


def _counted(causes: Sequence[str]) -> dict[str, int]:
    """How often each occurs, the most frequent first."""
    return {
        cause: causes.count(cause) for cause in sorted(set(causes), key=lambda cause: (-causes.count(cause), cause))
    }


def _mean(values: list[float]) -> float | None:
    return round(sum(values) / len(values), 3) if values else None


def _most(values: list[float]) -> float | None:
    return round(max(values), 3) if values else None
