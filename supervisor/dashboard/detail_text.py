"""The text of the detail pane: the state of an instance and its reasons, in sections of lines.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING

from supervisor.dashboard.draw import bar, nearness, suspicion_line
from supervisor.dashboard.eventline import event_line
from supervisor.dashboard.row_status import NEXT, Row, badge, happened, nearness_to_suspicion, reason, waits
from supervisor.dashboard.sections import LABEL, heading, label, labelled
from supervisor.dashboard.services.text import service_detail, service_line
from supervisor.dashboard.spans import Line, Span, clean, cut, line, spread
from supervisor.dashboard.spans import width as cells_of
from supervisor.dashboard.vitals import heartbeats, identity, processes, resources
from supervisor.display import numbers as q
from supervisor.display.status_row import says

if TYPE_CHECKING:
    from supervisor.core.model.documents import InstanceDetail
    from supervisor.core.model.instance_documents import Instance


def detail(row: Row, more: InstanceDetail | None, width: int) -> list[Line]:
    """Everything about an instance, or a service of several.  `more`: /v1/instances/NAME; None until it has arrived."""
    if row.service is not None:
        return service_detail(row.service, width)
    sections = [
        list(_head(row, width)),
        list(_why(row, more, width)),
        list(_suspicion(row, width)),
        list(heartbeats(more, width)),
        list(_changes(more, width)),
        list(resources(row, width)),
        list(processes(more, width)),
        list(identity(more, width)),
    ]
    out: list[Line] = []
    for section in sections:
        if section:
            out += [*section, ()]
    return [cut(text, width) for text in out[:-1]]


def one_line(row: Row, width: int) -> Line:
    """The same in one line, for a small terminal: the reason in full, which the table may have cut."""
    if row.service is not None:
        return service_line(row, row.service, width)
    wait = waits(row.view, row.age)
    next_ = line(Span(NEXT[wait[0]], wait[2]), Span(q.duration(wait[1]), "strong"), " ") if wait else ()
    view = row.view
    pid = f"pid {view['pid']} · " if view["pid"] is not None else ""
    numbers = (Span(f"{pid}run {view['incarnation']} ", "faint"),)
    why = reason(row)
    left = line(" ", Span(clean(row.name), "strong"), "  ", why if why.tone != "faint" else why._replace(tone="muted"))
    right = line(next_, numbers) if width >= cells_of(left) + cells_of(line(next_, numbers)) + 2 else next_
    return spread(left, right, width) if right else cut(left, width)


def _head(row: Row, width: int) -> Iterator[Line]:
    view = row.view
    words = reason(row)
    tone = {"faint": "plain", "muted": "plain", "plain": "strong"}.get(words.tone, words.tone)
    for part in wrap(words.text, max(8, width)):
        yield (Span(part, tone),)
    yield ()
    facts = [f"pid {view['pid']}"] if view["pid"] is not None else []
    facts.append(f"run {view['incarnation']}")
    if view["uptime_s"] is not None:
        facts.append(f"up {q.duration(view['uptime_s'] + row.age)}")
    facts.append(q.count(view["restarts"], "restart"))
    yield spread(line(badge(view), "  ", Span(" · ".join(facts), "muted")), _readiness(view), width)


def _readiness(view: Instance) -> Line:
    return (Span("ready ✓", "good") if view["ready"] else Span("not ready", "muted"),)


def _why(row: Row, more: InstanceDetail | None, width: int) -> Iterator[Line]:
    view = row.view
    words = reason(row)
    decided = decision(row)
    if decided:
        yield from labelled("decided", decided, width)
    changed = view["since_s"]
    if changed is not None:
        since = q.duration(changed + row.age)
        yield from labelled(
            "since", f"{since} ago: {happened(row)}" if happened(row) not in words.text else f"{since} ago", width
        )
    wait = waits(view, row.age)
    if wait:
        what, left, tone = wait
        whole = row.samples.wait[1] if row.samples.wait else left
        gauge = bar(left / whole if whole else 0.0, 12, tone) if what != "suspect" else ()
        yield line(label("next"), Span(NEXT[what]), Span(q.duration(left), "strong"), "  ", gauge)
    yield line(label("breaker"), *_breaker(view, more))
    said = clean(says(view, row.age))
    if said and words.text != said:
        yield from labelled("says", said, width, "plain")
    if (balanced := view.get("balanced")) is not None:
        said = (
            f"{balanced['slot'] or 'takes no requests'} · {balanced['sessions']} running · {balanced['requests']} taken"
        )
        said += f" · {balanced['rate']}/s · {balanced['queue']} queued · {balanced['errors']} errors"
        yield from labelled("balanced", said, width, "plain" if balanced["slot"] == "active" else "warn")
    if view.get("processes"):
        from supervisor.core.text.processes import told

        for text in told(view):
            yield from labelled("process", clean(text), width, "warn")
    if not view["current"]:
        yield from labelled("outdated", "runs an older configuration until it is restarted", width, "warn")


def decision(row: Row) -> str:
    """The decision about the last failure, while the instance waits for its restart or its trial; else empty."""
    view = row.view
    if row.last_failure is None or view["state"] not in ("backoff", "failed"):
        return ""
    told = row.last_failure["detail"]
    if view["state"] == "failed":
        return clean(str(told.get("reason") or "the breaker opened"))
    attempt, delay = told.get("attempt"), told.get("delay_s")
    return f"attempt {attempt}, after {q.duration(delay)}" if attempt is not None and delay is not None else ""


def _breaker(view: Instance, more: InstanceDetail | None) -> Line:
    tone = {"open": "bad", "half-open": "warn"}.get(view["breaker"], "plain")
    words = line(Span(str(view["breaker"]), tone))
    if more and more["max_restarts"] and view["breaker"] == "closed":
        used, maximum = more["restarts_in_window"] or 0, more["max_restarts"]
        words = line(
            words, "  ", bar(used / maximum, min(maximum, 8), "warn"), Span(f" {used} of {maximum} restarts", "muted")
        )
    if view["attempt"] and view["state"] == "running":
        words = line(words, Span(f" · attempt {view['attempt']}", "muted"))
    return words


def _suspicion(row: Row, width: int) -> Iterator[Line]:
    view = row.view
    fraction, threshold = nearness_to_suspicion(view), view["threshold"]
    if not threshold or not any(row.samples.phi):
        return
    name = label(str(view["detector"])[: LABEL - 1])
    if fraction is not None:
        gauge = bar(fraction, min(24, width - LABEL - 14), nearness(fraction))
        yield line(name, gauge, Span(f" {q.score(view['phi'])}", "strong"), Span(f" of {threshold:g}", "muted"))
        name = label("")
    yield line(name, suspicion_line(list(row.samples.phi)[-(width - LABEL) :], threshold))
    age, left = view["last_heartbeat_age_s"], view["suspect_in_s"]
    words = []
    if age is not None:
        words.append(f"last beat {q.duration(age + row.age)} ago")
    if left is not None and view["state"] == "running":
        words.append(f"suspect in {q.duration(max(0.0, left - row.age))} of silence")
    if view["false_suspicions"]:
        words.append(q.count(view["false_suspicions"], "false alarm"))
    yield from labelled("", " · ".join(words), width)


def _changes(more: InstanceDetail | None, width: int) -> Iterator[Line]:
    events = list(more["transitions"] or []) if more else []
    if events:
        yield heading("last changes", width)
        for event in events[:-9:-1]:
            yield event_line(event, instance=False, width=width)
