"""Explains the last failures of an instance: what was seen, captured, written and decided, and what is next.

`why` collects this as JSON whose lists hold finished lines of text; `tell` lays it out for a reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, cast

from supervisor.core.history.evidence_text import captured, seen
from supervisor.core.history.incidents import BY_PERSON, Incident, IncidentOutcome, incidents, is_oneshot
from supervisor.core.history.outlook import prospect, standing
from supervisor.core.history.place import place
from supervisor.core.history.straightened import straightened
from supervisor.core.model.causes import Cause
from supervisor.core.text.causes import phrase
from supervisor.core.text.processes import told
from supervisor.core.text.timestamps import from_iso, local_time, to_iso
from supervisor.core.text.units import signal_name, span

if TYPE_CHECKING:
    from supervisor.core.model.document_types import JSON
    from supervisor.core.model.documents import Event
    from supervisor.core.model.evidence_documents import Evidence
    from supervisor.core.model.instance_documents import Instance, InstanceName
    from supervisor.core.model.story_documents import Excuse, IncidentStory, Moment, Refused, Why


Words = Callable[[str, float | None, float | None], list[str]]
"""`words(instance, since, until)`: the last lines of its output from one time to another (seconds since the epoch)."""

INCIDENTS = 3
PROCESSES = 12
"""Records about single processes that are told, the newest last."""
OF_PROCESSES = (
    Cause.PROCESS_SILENT,
    Cause.PROCESS_HELD,
    Cause.PROCESS_RESUMED,
    Cause.PROCESS_ENDED,
    Cause.PROCESS_REPLACED,
)
_LINE = 200
_ROUNDED = 0.0005  # seconds by which a time in whole milliseconds may come after the moment itself
_NO_DETAIL = ("phase", "evidence_id", "mainpid")


def why(
    view: InstanceName,
    events: Iterable[Event],
    evidence: Callable[[int], Evidence | None],
    words: Words,
    last: int = INCIDENTS,
    removed: bool = False,
    rollout: str = "",
) -> Why:
    """`view`: the instance's status row; only `name` and `service` where no daemon runs, or where the instance was
    `removed` from the configuration.  `events`: event objects, oldest first; those of other instances are skipped, and
    those of the daemon tell where the clock was set, so that no span depends on it.
    `evidence(event id)`: what was captured, or None.  `words`: gives the last output of processes that ended before
    they could be examined.  `last`: the number of incidents, the newest last; one more before them where it fails since
    the signal of a user.  `rollout`: what became of the last rollout of the service, where that failed."""
    events = list(events)
    mine = [event for event in events if event["instance"] == view["name"]]
    row = cast("Instance", view) if "state" in view else None
    found = incidents_of(view, events)
    shown = found[-last:] if last > 0 else []
    since = _fails_since(found, shown)
    if since is not None:
        shown = [since, *shown]
    story: Why = {
        "instance": view["name"],
        "service": view["service"],
        "state": row["state"] if row else None,
        "ready": row["ready"] if row else None,
        "now": f"{row['name']} is {standing(row)}" if row else _absence(view, removed),
        "target": row["target"]["says"] if row and row["target"] else None,
        "known_since": mine[0]["at"] if mine else None,
        "failures": sum(incident.failed_at is not None for incident in found),
        "false_alarms": sum(incident.outcome is IncidentOutcome.FALSE_ALARM for incident in found),
        "excused": [_excuse(event) for event in mine if event["cause"] == Cause.HELD and event["to"] == "running"],
        "last_order": next(map(_order, (event for event in reversed(mine) if event["detail"].get("by"))), None),
        "incidents": [_story(incident, mine, evidence, words) for incident in shown],
        "next": prospect(row)
        if row
        else {
            "what": f"nothing until {'it is configured again' if removed else 'a daemon answers'}",
            "in_s": None,
        },
    }
    of_processes = [_of_process(event, evidence) for event in mine if event["cause"] in OF_PROCESSES]
    if of_processes:
        story["processes"] = of_processes[-PROCESSES:]
    if since is not None:
        story["fails_since"] = {"at": to_iso(since.began), "says": phrase(since.cause, _undecided(_detail(since)))}
    if refused := _refused(mine):
        story["refused"] = refused
    if rollout:
        story["rollout"] = rollout
    if row is not None and row.get("processes"):
        story["silent"] = told(row)
    return story


def _of_process(event: Event, evidence: Callable[[int], Evidence | None]) -> Moment:
    """What happened to one process, with the place where it hung."""
    said = phrase(event["cause"], event["detail"], _LINE)
    found = event["detail"].get("evidence_id")
    where = place(Cause.SILENT, evidence(found)) if found is not None else None
    return {"at": event["at"], "says": f"{said}; it {where}" if where else said}


def _fails_since(found: list[Incident], shown: list[Incident]) -> Incident | None:
    """The first failure of those that follow each other up to now, where a user's signal came right before it, and it
    is not `shown`."""
    first = None
    for incident in reversed(found):
        if incident.outcome not in (IncidentOutcome.OPEN, IncidentOutcome.FAILED_AGAIN, IncidentOutcome.GAVE_UP):
            break
        first = incident
    return first if first is not None and first not in shown and "after_signal" in _detail(first) else None


def _refused(mine: list[Event]) -> Refused | None:
    """The last order to reload, if its check refused it, and the process is still the one that it was for."""
    for event in reversed(mine):
        detail = event["detail"]
        if event["cause"] == Cause.RELOAD_REFUSED:
            says = (
                f"{signal_name(detail['refused'])} was not sent, because reload_check has not passed: {detail['why']}"
            )
            return {"at": event["at"], "says": says, "output": [line[:_LINE] for line in detail["output"]]}
        if event["cause"] in (Cause.SPAWNED, Cause.SIGNALLED_BY_USER):
            return None
    return None


def _absence(view: InstanceName, removed: bool) -> str:
    if removed:
        return f"{view['name']} is no longer in the configuration; this is read from the ledger"
    return "no daemon answers; this is read from its ledger"


def tell(story: Why) -> list[str]:
    """Plain lines; the first one says where the last suspect hangs, if that is known.  Times are local."""
    lines = [*_last_place(story), f"{story['now']}."]
    if story["target"]:
        lines.append(f"Target: {story['target']}.")
    if story["last_order"]:
        lines.append(f"Last order, at {local_time(story['last_order']['at'])}: {story['last_order']['says']}.")
    if since := story.get("fails_since"):
        lines.append(f"It fails since {local_time(since['at'])}: {since['says']}.")
    if refused := story.get("refused"):
        lines.append(f"Reload refused at {local_time(refused['at'])}: {refused['says']}.  It runs on as it was:")
        lines += [f"  {line}" for line in refused["output"]]
    if story.get("rollout"):
        lines.append(f"Last rollout of {story['service']}: {story['rollout']}.")
    lines += [f"{line[0].upper()}{line[1:]}." for line in story.get("silent", ())]
    lines += _summary(story)
    if story.get("processes"):
        lines += ["", "Of its processes:"]
        lines += [f"  {local_time(one['at'])}  {one['says']}" for one in story["processes"]]
    for incident in story["incidents"]:
        lines += ["", f"{local_time(incident['at'])}  {incident['says']}"]
        for label, texts in parts(incident).items():
            for number, line in enumerate(texts):
                lines.append(f"  {label if number == 0 else '':<9} {line}")
    coming = story["next"]
    when = f", in {span(coming['in_s'])}" if coming["in_s"] is not None else ""
    return [*lines, "", f"Next{when}: {coming['what']}."]


def parts(incident: IncidentStory) -> dict[str, list[str]]:
    """The lines of text about an incident, by what they are about, in the order of reading."""
    return {
        "where": [incident["place"]] if incident["place"] else [],
        "seen": incident["seen"],
        "captured": incident["captured"],
        "output": incident["said"],
        "known": incident.get("known", []),
        "decided": incident["decided"],
        "after": incident["after"],
    }


def incidents_of(view: InstanceName, events: Iterable[Event]) -> list[Incident]:
    """The incidents of an instance, oldest first; `view` and `events` as for `why`.  The first event of an incident
    names it."""
    events = list(events)
    mine = [event for event in events if event["instance"] == view["name"]]
    row = cast("Instance", view) if "state" in view else None
    of_instance = (e for e in events if e["instance"] == view["name"] or e["cause"] == Cause.CLOCK_SET)
    return incidents(straightened(of_instance), is_oneshot(row, mine))


def headline(incident: Incident) -> str:
    """What happened, in a line."""
    return _headline(incident, _detail(incident))


def evidence_of(incident: Incident) -> int | None:
    """The number of the evidence that was captured in an incident; None: there is none, or it was a false alarm."""
    found = None if incident.outcome is IncidentOutcome.FALSE_ALARM else _detail(incident).get("evidence_id")
    return found if isinstance(found, int) else None


def one_incident(
    view: InstanceName,
    events: Iterable[Event],
    event_id: int,
    evidence: Callable[[int], Evidence | None],
    words: Words,
) -> IncidentStory | None:
    """The incident that an event is part of; None where it is part of none.  The others as for `why`."""
    events = list(events)
    found = (i for i in incidents_of(view, events) if any(event["id"] == event_id for event in i.events))
    incident = next(found, None)
    if incident is None:
        return None
    return _story(incident, [event for event in events if event["instance"] == view["name"]], evidence, words)


def _last_place(story: Why) -> Iterator[str]:
    """Where the process was at its last incident, and which incident that was, unless it goes on."""
    if not story["incidents"] or (last := story["incidents"][-1])["place"] is None:
        return
    when = "" if last["outcome"] == IncidentOutcome.OPEN else f" (run {last['incarnation']}, {local_time(last['at'])})"
    yield f"{'Last failure: ' if when else ''}{story['instance']} {last['place']}{when}."


def _summary(story: Why) -> Iterator[str]:
    since = f" since {local_time(story['known_since'])}" if story["known_since"] else ""
    count, alarms, told = story["failures"], story["false_alarms"], len(story["incidents"])
    if story["excused"]:
        last = story["excused"][-1]
        times = "once" if len(story["excused"]) == 1 else f"{len(story['excused'])} times"
        when = local_time(last["at"])
        yield f"Silence was not counted {times}, last at {when}: {last['why']} for {span(last['for_s'])}."
    if not count and not alarms:
        yield f"No failure recorded{since}."
        return
    failures = f"{count} failure{'' if count == 1 else 's'}" if count else "No failure"
    false = f" and {alarms} false alarm{'' if alarms == 1 else 's'}" if alarms else ""
    which = f"the one since which it fails, and the last {told - 1}" if "fails_since" in story else f"the last {told}"
    shown = "" if told >= count + alarms else f"; {which}:"
    yield f"{failures}{false} recorded{since}{shown or '.'}"


def _detail(incident: Incident) -> JSON:
    """All that its events tell of its cause."""
    detail: JSON = {}
    for event in incident.events:
        if event["cause"] == incident.cause or event["cause"] == Cause.HELD:
            detail.update(event["detail"])
    return detail


def _story(
    incident: Incident, mine: list[Event], evidence: Callable[[int], Evidence | None], words: Words
) -> IncidentStory:
    detail = _detail(incident)
    evidence_id = detail.get("evidence_id")
    recorded = next(event["at"] for event in mine if event["id"] == incident.events[0]["id"])
    body = evidence(evidence_id) if evidence_id is not None else None
    return {
        "at": recorded,
        "incarnation": incident.incarnation,
        "cause": incident.cause,
        "outcome": incident.outcome.value,
        "by_person": incident.by_person,
        "says": _headline(incident, detail),
        "place": None if incident.outcome is IncidentOutcome.FALSE_ALARM else place(incident.cause, body),
        "detail": {key: value for key, value in detail.items() if key not in _NO_DETAIL},
        "evidence_id": evidence_id,
        "seen": [*_ordered(incident, mine, detail), *seen(incident.cause, detail, body)],
        "captured": captured(mine[0]["instance"], evidence_id, body),
        "said": _said(incident, mine, words) if evidence_id is None and incident.failed_at is not None else [],
        "decided": list(_decided(incident, detail)),
        "after": list(_after(incident)),
    }


def _ordered(incident: Incident, mine: list[Event], detail: JSON) -> list[str]:
    """The signal of a user after which the process ended, and who sent it."""
    if "after_signal" not in detail:
        return []
    of_run = (event for event in mine if event["incarnation"] == incident.incarnation)
    sent = [one for one in of_run if one["cause"] == Cause.SIGNALLED_BY_USER and "sent" in one["detail"]]
    return [f"the order: {phrase(one['cause'], one['detail'], _LINE)}, at {local_time(one['at'])}" for one in sent[-1:]]


def _said(incident: Incident, mine: list[Event], words: Words) -> list[str]:
    """The last output of the run.  It ends where the next run began: nothing of the next run can have been read before,
    because a spawn takes longer than the error of a time in the ledger."""
    if incident.cause == Cause.SPAWN_FAILED:
        return []  # it never ran; the log holds the output of another run
    ran = {e["incarnation"]: from_iso(e["at"]) - _ROUNDED for e in mine if e["cause"] == Cause.SPAWNED}
    later = [at for incarnation, at in ran.items() if incarnation > incident.incarnation]
    lines = words(mine[0]["instance"], ran.get(incident.incarnation), min(later, default=None))
    return [line if len(line) <= _LINE else f"{line[: _LINE - 1]}…" for line in lines if line.strip()]


def _order(event: Event) -> Moment:
    return {"at": event["at"], "says": phrase(event["cause"], event["detail"], _LINE)}


def _excuse(event: Event) -> Excuse:
    """A silence that was not counted and never became a suspicion."""
    detail = event["detail"]
    return {"at": event["at"], "why": detail.get("held"), "for_s": detail.get("for_s")}


def _headline(incident: Incident, detail: JSON) -> str:
    kind = {
        IncidentOutcome.FALSE_ALARM: "false alarm",
        IncidentOutcome.UNDECIDED: "suspicion",
        IncidentOutcome.OPEN: "failure" if incident.failed_at else "suspicion",
    }
    what = kind.get(incident.outcome, "failure" if incident.failed_at else "suspicion")
    return f"{what} of run {incident.incarnation}: {phrase(incident.cause, _undecided(detail))}"


def _undecided(detail: JSON) -> JSON:
    """What was seen, without what was decided."""
    return {key: value for key, value in detail.items() if key not in ("attempt", "breaker", "action", "phase")}


def _decided(incident: Incident, detail: JSON) -> Iterator[str]:
    """Decisions and commands, in the order of their time."""
    suspected = incident.events[0]["to"] == "suspect"
    if detail.get("action") == "report":
        yield "only reported, as configured"
    yield from (_hold(event["detail"]) for event in incident.events if event["cause"] == Cause.HELD)
    if incident.outcome in (IncidentOutcome.FALSE_ALARM, IncidentOutcome.UNDECIDED):
        yield f"kept running; {phrase(incident.events[-1]['cause'])}"
        return
    if incident.failed_at is not None and suspected:
        looked = incident.failed_at - incident.began
        yield f"signalled to end, {f'{span(looked)} after the suspicion' if looked >= 0.05 else 'at once'}"
    if "tree" in detail:
        yield "its child processes were still running and were signalled too"
        if detail.get("exit_code") == 0:
            yield "a program that goes to the background ends in this way: start it with its option for the foreground"
    for event in incident.events:
        if event["cause"] in (Cause.STOP_TIMEOUT, Cause.LINGERING) or event["cause"] in BY_PERSON:
            yield phrase(event["cause"], event["detail"])
    yield from _verdict(incident, detail)


def _hold(detail: JSON) -> str:
    """One hold, with its numbers."""
    said = f"held, {span(detail.get('for_s'))} after the suspicion: {detail.get('held')}"
    share, ran = (detail.get("waited") or {}).get("share"), detail.get("ran_s")
    waited = f"; it had waited {100 * share:.0f} % of the time" if share else ""
    return said + waited + (f"; {span(ran)} counted as silence" if ran is not None else "")


def _verdict(incident: Incident, detail: JSON) -> Iterator[str]:
    if "breaker" in detail:
        yield f"no restart: {detail.get('reason', 'the breaker is open')}"
    elif "delay_s" in detail:
        limit = f"{detail.get('restarts_in_window')} of at most {detail.get('max_restarts')}"
        when = f"after a backoff of {span(detail['delay_s'])}" if detail["delay_s"] else "at once"
        yield f"restart {when}: {limit} within {span(detail.get('window_s'))} (attempt {detail.get('attempt')})"
    elif incident.outcome is IncidentOutcome.GAVE_UP:
        yield from _not_restarted(detail)


def _not_restarted(detail: JSON) -> Iterator[str]:
    """Why nothing follows, and what to write where that is not meant."""
    policy, code = detail.get("policy"), detail.get("exit_code")
    if detail.get("maintenance"):
        yield "left as it is, in maintenance; at the end of that its restart policy decides"
        return
    if rule := detail.get("exit_code_rule"):
        yield f"no restart: restart.exit_codes.{rule} has {code}"
        return
    yield f'no restart: restart.policy = "{policy}"' if policy else "no restart: its policy does not restart it"
    if code == 0 and policy == "on-failure":
        yield 'to start it again after every end: restart.policy = "always"; for a job that ends: type = "oneshot"'


def _after(incident: Incident) -> Iterator[str]:
    took = None if incident.ended_at is None else span(max(0.0, incident.ended_at - incident.began))
    last = incident.events[-1]
    if incident.outcome is IncidentOutcome.RECOVERED:
        yield f"ready again after {took}, as run {last['incarnation']}"
    elif incident.outcome is IncidentOutcome.FAILED_AGAIN:
        yield f"it failed again {took} later, before it was ready"
    elif incident.outcome is IncidentOutcome.FALSE_ALARM:
        yield f"cleared after {took}; run {incident.incarnation} continues"
    elif incident.outcome is IncidentOutcome.UNDECIDED:
        yield f"not decided after {took}: it got more time, and run {incident.incarnation} continues"
    elif incident.outcome is IncidentOutcome.STOPPED:
        yield f"stopped after {took}"
    elif incident.outcome is IncidentOutcome.OPEN:
        yield f"not over yet: {last['to']}"
