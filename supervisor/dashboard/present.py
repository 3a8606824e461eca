"""One row of `status` as the cells of the table: pure, view in, text and tones out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from supervisor.core.phrases import phrase
from supervisor.core.views import JSON
from supervisor.dashboard import quantities as q
from supervisor.dashboard.draw import bar, condensed, nearness, sparkline, suspicion_line
from supervisor.dashboard.history import Samples
from supervisor.dashboard.spans import Line, Span, clean, cut, fit, line

STATES: dict[str, tuple[str, str]] = {
    "stopped": ("○", "muted"),
    "starting": ("◔", "busy"),
    "running": ("●", "good"),
    "suspect": ("▲", "warn"),
    "stopping": ("▼", "busy"),
    "backoff": ("↻", "warn"),
    "exited": ("✓", "muted"),
    "failed": ("✖", "alarm"),
}
"""Glyph and tone of each state; `badge` refines them."""

MEMORY_FLOOR = 1024.0 * 1024
CPU_FLOOR = 5.0
"""What a sparkline spans at least: less than that is noise."""
TRACE, PER_MARK = 8, 15
"""Marks in a sparkline of the table, and samples in each: two minutes in all."""
DECIDED = frozenset({"delay_s", "breaker"})
RECENT = 600.0
"""Seconds for which a healed instance still says what had happened to it."""


@dataclass(frozen=True, slots=True)
class Row:
    """An instance as last heard of, `age` seconds ago, and what is remembered of it."""

    view: JSON
    age: float = 0.0
    samples: Samples = field(default_factory=Samples)
    last_failure: JSON | None = None
    failed_ago: float | None = None

    @property
    def name(self) -> str:
        return str(self.view["name"])


def trouble(view: JSON) -> int:
    """How much it asks for attention: 0 all well, 1 on its way, 2 something is wrong, 3 broken."""
    state = view["state"]
    if state == "failed" or view.get("lingering"):
        return 3
    if state == "exited":
        return 3 if view["goal"] == "up" and view["cause"] != "succeeded" else 0
    if state in ("suspect", "backoff") or (view["breaker"] != "closed" and view["goal"] == "up"):
        return 2
    if state == "running":
        return 1 if view["goal"] == "down" or not (view["ready"] or view["type"] == "oneshot") else 0
    return 0 if state == "stopped" else 1


def badge(view: JSON) -> Span:
    """Glyph and word of the state."""
    state = str(view["state"])
    glyph, tone = STATES.get(state, ("?", "warn"))
    if state == "running" and not view["ready"]:
        glyph, tone = "◐", "busy"
    if state == "exited" and trouble(view) == 3:
        glyph, tone = "✗", "alarm"
    if state == "stopping" and view.get("lingering"):
        tone = "alarm"
    return Span(f"{glyph} {state}", tone)


def waits(view: JSON, age: float = 0.0) -> tuple[str, float, str] | None:
    """What ends its present state and in how many seconds, with a tone; None where nothing counts down."""
    waiting = (
        ("next_restart_in_s", "trial" if view["state"] == "failed" else "restart", "warn"),
        ("kill_in_s", "kill", "warn"),
        ("ready_within_s", "due", "busy"),
    )
    for key, label, tone in waiting:
        left = view.get(key)
        if left is not None:
            return label, max(0.0, left - age), tone
    left, threshold = view.get("suspect_in_s"), view.get("threshold")
    if view["state"] == "running" and left is not None and threshold and (view.get("phi") or 0.0) >= 0.6 * threshold:
        return "suspect", max(0.0, left - age), "warn"
    return None


def countdown(view: JSON, age: float = 0.0) -> Line:
    """`restart in 4.2s`, or nothing."""
    wait = waits(view, age)
    if wait is None:
        return ()
    label, left, tone = wait
    return line(Span(f"{label} in ", tone), Span(q.duration(left), "strong"))


def reason(row: Row) -> Span:
    """Why it is as it is, in a few words: what holds it up now, else what happened last."""
    view = row.view
    if view.get("lingering"):
        return Span(clean(f"will not die: {', '.join(view['lingering'])}"), "bad")
    if view.get("waiting_for"):
        return Span(clean(f"waits for {view['waiting_for']}"), "busy")
    if view.get("held"):
        return Span(clean(f"held: {view['held']}"), "warn")
    if view["goal"] == "down" and view["state"] in ("running", "suspect"):
        return Span("stops after its dependants", "busy")
    if view.get("probe_error") and view["state"] in ("running", "starting"):
        return Span(clean(view["probe_error"]), "warn")
    if view["state"] == "running" and view["ready"] and row.last_failure and (row.failed_ago or 0.0) < RECENT:
        return Span(f"back after: {happened(row)}", "muted")
    if view.get("status") and view["state"] in ("running", "starting"):
        return Span(clean(view["status"]), "muted")
    tones = ("faint" if view["state"] in ("running", "stopped") else "muted", "muted", "plain", "plain")
    return Span(happened(row), tones[trouble(view)])


def happened(row: Row) -> str:
    """The last change's cause in words; for one that failed and is up again or about to be, that of its failure."""
    view, failure = row.view, row.last_failure
    if failure and (failure["cause"] == view["cause"] or view["state"] in ("running", "starting", "failed", "backoff")):
        return cause_of(failure)
    return clean(phrase(view["cause"], {"exit_code": view["exit_code"], "signal": view["signal"]}))


def cause_of(event: JSON) -> str:
    """What happened, without what was decided about it: that is shown by state and countdown."""
    return clean(phrase(event["cause"], {k: v for k, v in event["detail"].items() if k not in DECIDED}))


def next_and_why(row: Row) -> Line:
    """The last column: what comes when, then why."""
    next_ = countdown(row.view, row.age)
    return line(next_, "  " if next_ else "", reason(row))


def _name(row: Row) -> Line:
    tones = ("plain", "plain", "warn", "alarm")
    level = trouble(row.view)
    tone = "muted" if row.view["goal"] == "down" and level == 0 else tones[level]
    return (Span(clean(row.name), tone),)


def _ready(row: Row) -> Line:
    if row.view["ready"]:
        return (Span("✓", "good"),)
    return (Span("…", "busy") if row.view["state"] in ("starting", "running") else Span("·", "faint"),)


def _uptime(row: Row) -> Line:
    up = row.view["uptime_s"]
    return (Span(q.NOTHING, "faint") if up is None else Span(q.duration(up + row.age), "muted"),)


def _restarts(row: Row) -> Line:
    number = row.view["restarts"]
    if number == 0:
        return (Span("0", "faint"),)
    return (Span(str(number) if number < 10000 else "9k+", "warn" if trouble(row.view) else "plain"),)


def _cpu(row: Row) -> Line:
    value = row.view.get("cpu_percent")
    return (Span(q.percent(value), "faint" if not value else "plain"),)


def _memory(row: Row) -> Line:
    value = row.view.get("memory_bytes")
    return (Span(q.size(value), "faint" if not value else "plain"),)


def _suspicion(cells: int) -> Callable[[Row], Line]:
    """φ as a bar towards its threshold, and its value."""

    def render(row: Row) -> Line:
        phi, threshold = row.view.get("phi"), row.view.get("threshold")
        if phi is None or not threshold:
            return (Span(q.NOTHING.rjust(cells + 5), "faint"),)
        tone = nearness(phi / threshold)
        quiet = "muted" if tone == "good" else tone
        return line(bar(phi / threshold, cells, tone), Span(q.score(phi).rjust(5), quiet))

    return render


def _phi_trace(row: Row) -> Line:
    values = condensed(row.samples.phi, 10, 2, row.samples.taken)
    return suspicion_line(values, row.view.get("threshold") or 1.0)


def _cpu_trace(row: Row) -> Line:
    return (Span(sparkline(condensed(row.samples.cpu, TRACE, PER_MARK, row.samples.taken), CPU_FLOOR), "muted"),)


def _memory_trace(row: Row) -> Line:
    values = condensed(row.samples.memory, TRACE, PER_MARK, row.samples.taken)
    floor = max(MEMORY_FLOOR, (row.view.get("memory_bytes") or 0) / 10)
    return (Span(sparkline(values, floor, relative=True), "muted"),)


def _pid(row: Row) -> Line:
    pid = row.view["pid"]
    return (Span(q.NOTHING, "faint") if pid is None else Span(str(pid), "muted"),)


def _breaker(row: Row) -> Line:
    state = row.view["breaker"]
    return (Span(state, {"open": "bad", "half-open": "warn"}.get(state, "faint")),)


@dataclass(frozen=True, slots=True)
class Column:
    """`since`: the table width from which on it is shown.  `sort`: what a click on its title sorts by."""

    key: str
    title: str
    width: int
    render: Callable[[Row], Line]
    right: bool = False
    since: int = 0
    sort: str = ""


def columns(width: int, longest_name: int) -> list[Column]:
    """The columns for a table of so many cells; the last one takes what the others leave."""
    name = max(8, min(longest_name, 14 + max(0, width - 80) // 8, 30))
    wide = width >= 112
    every = [
        Column("state", "STATE", 10, lambda r: (badge(r.view),), sort="trouble"),
        Column("name", "INSTANCE", name, _name, sort="name"),
        Column("ready", "✓", 1, _ready),
        Column("pid", "PID", 7, _pid, right=True, since=150),
        Column("uptime", "UP", 6, _uptime, right=True, sort="uptime"),
        Column("restarts", "↻", 3, _restarts, right=True, sort="restarts"),
        Column("breaker", "BREAKER", 9, _breaker, since=170),
        Column("cpu", "CPU%", 5, _cpu, right=True, sort="cpu"),
        Column("cpu_trace", "", TRACE, _cpu_trace, since=124),
        Column("memory", "MEM", 5, _memory, right=True, sort="memory"),
        Column("memory_trace", "", TRACE, _memory_trace, since=98),
        Column("phi", "φ SUSPECT", 13 if wide else 9, _suspicion(8 if wide else 4), sort="phi"),
        Column("phi_trace", "", 10, _phi_trace, since=112),
    ]
    shown = [c for c in every if c.since <= width]
    rest = width - GUTTER - sum(c.width + 1 for c in shown)
    return [*shown, Column("why", "NEXT · WHY", max(8, rest), next_and_why)]


GUTTER = 2


def title_line(shown: list[Column], sort: str, descending: bool) -> Line:
    """The table's head; the column sorted by carries an arrow, and each sorts on a click."""
    out: list[Span] = [Span(" " * GUTTER)]
    for column in shown:
        arrow = ("▾" if descending else "▴") if column.sort and column.sort == sort else ""
        title = cut((Span(column.title),), max(1, column.width - len(arrow)))[0].text if column.title else ""
        text = fit((Span(title + arrow),), column.width, right=column.right)
        action = f"screen.sort_by('{column.sort}')" if column.sort else ""
        out += [span._replace(tone="accent" if arrow else "muted", action=action) for span in text]
        out.append(Span(" "))
    return tuple(out[:-1])


def row_line(row: Row, shown: list[Column], *, here: bool = False, marked: bool = False) -> Line:
    """One row: where the cursor is, whether it is marked, then the cells."""
    sign = ("◆" if here else "▪") if marked else ("❯" if here else " ")
    out: list[Span] = [Span(f"{sign} ", "accent")]
    for column in shown:
        out += fit(column.render(row), column.width, right=column.right)
        out.append(Span(" "))
    return tuple(out[:-1])
