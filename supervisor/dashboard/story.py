"""The detail pane: why an instance is as it is, in sections of lines.  Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from textwrap import wrap

from supervisor.core.phrases import phrase
from supervisor.core.views import JSON
from supervisor.dashboard import quantities as q
from supervisor.dashboard.draw import bar, histogram, nearness, sparkline, suspicion_line
from supervisor.dashboard.present import CPU_FLOOR, MEMORY_FLOOR, Row, badge, happened, reason, waits
from supervisor.dashboard.spans import Line, Span, clean, cut, fit, line, spread

LABEL = 11
HISTOGRAM_ROWS = 3


def detail(row: Row, more: JSON | None, width: int) -> list[Line]:
    """Everything about one instance; `more` is /v1/instances/NAME, or None while it is on its way."""
    sections = [
        list(_head(row, width)),
        list(_why(row, more, width)),
        list(_suspicion(row, more, width)),
        list(_heartbeats(row, more, width)),
        list(_transitions(more, width)),
        list(_resources(row, width)),
        list(_tree(more, width)),
        list(_command(more, width)),
    ]
    out: list[Line] = []
    for section in sections:
        if section:
            out += [*section, ()]
    return [cut(text, width) for text in out[:-1]]


def one_line(row: Row, width: int) -> Line:
    """The same in one line, for a small terminal."""
    wait = waits(row.view, row.age)
    next_ = line(Span(f"{wait[0]} in ", wait[2]), Span(q.duration(wait[1]), "strong"), "  ") if wait else ()
    view = row.view
    numbers = f"pid {view['pid']} · " if view["pid"] is not None else ""
    left = line(Span(clean(row.name), "strong"), "  ", badge(view), "  ", next_, reason(row))
    return spread(left, (Span(f"{numbers}run {view['incarnation']} · breaker {view['breaker']}", "faint"),), width)


def event_line(event: JSON, *, instance: bool, width: int) -> Line:
    """One event of the ledger: when, who, from where to where, and why."""
    detail = event["detail"]
    before, after = event["from"], event["to"]
    tones = {"failed": "alarm", "suspect": "warn", "backoff": "warn", "running": "good", "starting": "busy"}
    tone = tones.get(after, "muted")
    if after == "exited" and event["cause"] != "succeeded":
        tone = "bad"
    short = width < 64
    moved = line(Span("→ " if short else f"{before} → ", "faint"), Span(after, tone))
    if before == after:
        moved = line(Span("  " + after if short else after, "faint"))
    parts = [Span(q.clock(event["at"]), "muted"), Span("  ")]
    if instance:
        parts += [*fit((Span(clean(event["instance"])),), max(8, min(16, width // 5))), Span(" ")]
    words = clean(phrase(event["cause"], detail))
    mark = Span(" ⌕", "accent", f"screen.evidence({detail['evidence_id']})") if "evidence_id" in detail else Span("")
    return cut(line(*parts, fit(moved, 10 if short else 18), Span("  " + words), mark), width)


def _head(row: Row, width: int) -> Iterator[Line]:
    view = row.view
    facts = [f"pid {view['pid']}"] if view["pid"] is not None else []
    facts.append(f"run {view['incarnation']}")
    if view["uptime_s"] is not None:
        facts.append(f"up {q.duration(view['uptime_s'] + row.age)}")
    facts.append(q.count(view["restarts"], "restart"))
    yield spread(line(badge(view), "  ", Span(" · ".join(facts), "muted")), _readiness(view), width)


def _readiness(view: JSON) -> Line:
    return (Span("ready ✓", "good") if view["ready"] else Span("not ready", "muted"),)


def _why(row: Row, more: JSON | None, width: int) -> Iterator[Line]:
    view = row.view
    words = reason(row)
    yield from labelled("why", words.text, width, "plain" if words.tone in ("faint", "muted") else words.tone)
    decided = decision(row)
    if decided:
        yield from labelled("decided", decided, width)
    changed = view.get("since_s")
    if changed is not None:
        since = q.duration(changed + row.age)
        yield from labelled(
            "since", f"{since} ago: {happened(row)}" if words.text != happened(row) else f"{since} ago", width
        )
    wait = waits(view, row.age)
    if wait:
        label, left, tone = wait
        whole = row.samples.wait[1] if row.samples.wait else left
        gauge = bar(left / whole if whole else 0.0, 12, tone) if label != "suspect" else ()
        what = {"trial": "tried again in ", "restart": "restarts in ", "kill": "killed in ", "due": "must be ready in "}
        yield line(_label("next"), Span(what.get(label, "suspect in ")), Span(q.duration(left), "strong"), "  ", gauge)
    yield line(_label("breaker"), *_breaker(view, more))
    if view.get("status") and words.text != view["status"]:
        yield from labelled("says", clean(view["status"]), width, "plain")
    if not view["current"]:
        yield from labelled("outdated", "runs an older configuration until its next restart", width, "warn")


def decision(row: Row) -> str:
    """What the restart rule made of the last failure, while that is what is being waited for."""
    view = row.view
    if row.last_failure is None or view["state"] not in ("backoff", "failed"):
        return ""
    told = row.last_failure["detail"]
    if view["state"] == "failed":
        return clean(str(told.get("reason") or "the breaker opened"))
    attempt, delay = told.get("attempt"), told.get("delay_s")
    return f"attempt {attempt} after {q.duration(delay)}" if attempt is not None and delay is not None else ""


def _breaker(view: JSON, more: JSON | None) -> Line:
    tone = {"open": "bad", "half-open": "warn"}.get(view["breaker"], "plain")
    words = line(Span(str(view["breaker"]), tone))
    if more and more.get("max_restarts"):
        used, most = more.get("restarts_in_window") or 0, more["max_restarts"]
        words = line(words, "  ", bar(used / most, min(most, 12), "warn"), Span(f" {used} of {most} restarts", "muted"))
    if view["attempt"]:
        words = line(words, Span(f" · attempt {view['attempt']}", "muted"))
    return words


def _suspicion(row: Row, more: JSON | None, width: int) -> Iterator[Line]:
    view = row.view
    phi, threshold = view.get("phi"), view.get("threshold")
    if phi is None or not threshold:
        return
    near = nearness(phi / threshold)
    value = line(Span(f" {q.score(phi)}", "strong"), Span(f" of {threshold:g}", "muted"))
    yield line(
        _label(str(view["detector"])[: LABEL - 1]), bar(phi / threshold, min(24, width - LABEL - 14), near), value
    )
    yield line(_label(""), suspicion_line(list(row.samples.phi)[-(width - LABEL) :], threshold))
    age, left = view.get("last_heartbeat_age_s"), view.get("suspect_in_s")
    words = []
    if age is not None:
        words.append(f"last beat {q.duration(age + row.age)} ago")
    if left is not None and view["state"] == "running":
        words.append(f"suspect in {q.duration(max(0.0, left - row.age))} of silence")
    if view.get("false_suspicions"):
        words.append(q.count(view["false_suspicions"], "false alarm"))
    yield from labelled("", " · ".join(words), width)


def _heartbeats(row: Row, more: JSON | None, width: int) -> Iterator[Line]:
    heartbeat = more.get("heartbeat") if more else None
    if not more or not heartbeat:
        return
    expected = f"{heartbeat['source']} every {q.span_of_time(heartbeat['interval_s'])}"
    intervals = more.get("intervals_s") or []
    yield line(_label("heartbeats"), Span(expected), Span(f" · {q.count(len(intervals), 'interval')}", "muted"))
    if len(intervals) < 2:
        return
    pictures, low, high = histogram(intervals, width - LABEL, HISTOGRAM_ROWS)
    for picture in pictures:
        yield line(_label(""), Span(picture, "busy"))
    cells = len(pictures[0])
    mean = sum(intervals) / len(intervals)
    ends = fit((Span(q.span_of_time(low), "muted"),), cells - len(q.span_of_time(high)))
    yield line(_label(""), ends, Span(q.span_of_time(high), "muted"))
    yield line(_label(""), Span(f"mean {q.span_of_time(mean)}", "muted"))


def _transitions(more: JSON | None, width: int) -> Iterator[Line]:
    events = list(more.get("transitions") or []) if more else []
    if events:
        yield heading("last changes", width)
        for event in events[:-9:-1]:
            yield event_line(event, instance=False, width=width)


def _resources(row: Row, width: int) -> Iterator[Line]:
    view = row.view
    if view.get("memory_bytes") is None:
        return
    cells = max(8, min(40, width - LABEL - 8))
    cpu = sparkline(list(row.samples.cpu)[-cells:], CPU_FLOOR)
    floor = max(MEMORY_FLOOR, view["memory_bytes"] / 10)
    memory = sparkline(list(row.samples.memory)[-cells:], floor, relative=True)
    yield line(_label("cpu"), Span(f"{q.percent(view.get('cpu_percent'))} %".rjust(7)), " ", Span(cpu, "muted"))
    yield line(_label("memory"), Span(q.size(view["memory_bytes"]).rjust(7)), " ", Span(memory, "muted"))


def _tree(more: JSON | None, width: int) -> Iterator[Line]:
    tree = list(more.get("tree") or []) if more else []
    if not tree:
        return
    yield heading(f"processes ({len(tree)})", width)
    for depth, process in _nested(tree):
        branch = "  " * (depth - 1) + "└ " if depth else ""
        left = line(Span(f"{process['pid']:>7} ", "muted"), Span(branch, "faint"), Span(clean(process["command"])))
        right = f"{process['state']} {q.percent(process['cpu_percent']):>5}% {q.size(process['memory_bytes']):>5}"
        yield spread(left, (Span(right, "muted"),), width)


def _nested(tree: list[JSON]) -> Iterator[tuple[int, JSON]]:
    """Parents before children, with their depth; whose parent is not in the tree is a root."""
    pids = {p["pid"] for p in tree}
    children: dict[int, list[JSON]] = {}
    for process in tree:
        children.setdefault(process["ppid"] if process["ppid"] in pids else 0, []).append(process)
    todo = [(0, p) for p in reversed(children.get(0, []))]
    while todo:
        depth, process = todo.pop()
        yield depth, process
        todo += [(depth + 1, p) for p in reversed(children.pop(process["pid"], []))]


def _command(more: JSON | None, width: int) -> Iterator[Line]:
    if not more:
        return
    if more.get("description"):
        yield from labelled("about", clean(more["description"]), width, "plain")
    yield from labelled("command", clean(shlex.join(more.get("command") or [])), width, "plain")
    if more.get("directory"):
        yield from labelled("in", clean(more["directory"]), width)
    if more.get("depends_on"):
        yield from labelled("needs", ", ".join(more["depends_on"]), width)
    if more.get("group"):
        yield from labelled("group", clean(more["group"]), width)


def heading(words: str, width: int) -> Line:
    """A quiet line that parts two sections."""
    return line(Span(words, "muted"), Span(" " + "─" * max(0, width - len(words) - 1), "faint"))


def labelled(label: str, text: str, width: int, tone: str = "muted") -> Iterable[Line]:
    """A label, and a text that is wrapped beside it."""
    for n, part in enumerate(wrap(text, max(8, width - LABEL)) or []):
        yield line(_label(label if n == 0 else ""), Span(part, tone))


def _label(words: str) -> Span:
    return Span(words.ljust(LABEL), "muted")
