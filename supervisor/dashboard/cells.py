"""Formats one row of `status` as the cells of the table: text and tones.  Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from supervisor.dashboard.draw import bar, condensed, nearness, sparkline, suspicion_line
from supervisor.dashboard.row_status import Row, badge, countdown, nearness_to_suspicion, reason
from supervisor.dashboard.spans import Line, Span, clean, cut, fit, line, width
from supervisor.display import numbers as q
from supervisor.display.severity import Severity, severity

MEMORY_FLOOR = 1024.0 * 1024
CPU_FLOOR = 5.0
"""The least span of a sparkline's scale, in bytes and in percent; smaller changes are noise."""
TRACE, PER_MARK = 8, 15
"""Marks in a sparkline of the table, and samples in each: two minutes in all."""
GUTTER = 2
"""Cells for the cursor and the mark."""
LEGIBLE = 10
"""Cells; a reason is left out if it would get fewer."""


def next_and_why(cells: int) -> Callable[[Row], Line]:
    """The last column: the countdown, then the reason if there is room for it."""

    def render(row: Row) -> Line:
        next_, why = countdown(row.view, row.age), reason(row)
        if next_ and cells - width(next_) < min(LEGIBLE, len(why.text) + 2):
            return next_
        return line(next_, "  " if next_ else "", why)

    return render


def _name(row: Row) -> Line:
    tones = ("plain", "plain", "warn", "alarm")
    level = severity(row.view)
    tone = "muted" if row.view["goal"] == "down" and level is Severity.FINE else tones[level]
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
    return (
        Span(
            str(number) if number < 1000 else f"{min(99, number // 1000)}k", "warn" if severity(row.view) else "plain"
        ),
    )


def _cpu(row: Row) -> Line:
    value = row.view["cpu_percent"]
    return (Span(q.percent(value), "faint" if not value else "plain"),)


def _memory(row: Row) -> Line:
    value = row.view["memory_bytes"]
    return (Span(q.size(value), "faint" if not value else "plain"),)


def _suspicion(cells: int) -> Callable[[Row], Line]:
    """φ as a bar towards its threshold, and its value."""

    def render(row: Row) -> Line:
        fraction = nearness_to_suspicion(row.view)
        if fraction is None:
            return (Span(q.NOTHING.rjust(cells + 5), "faint"),)
        tone = nearness(fraction)
        quiet = "muted" if tone == "good" else tone
        return line(bar(fraction, cells, tone), Span(q.score(row.view["phi"]).rjust(5), quiet))

    return render


def _phi_trace(row: Row) -> Line:
    values = condensed(row.samples.phi, 10, 2, row.samples.taken)
    return suspicion_line(values, row.view["threshold"] or 1.0)


def _cpu_trace(row: Row) -> Line:
    return (Span(sparkline(condensed(row.samples.cpu, TRACE, PER_MARK, row.samples.taken), CPU_FLOOR), "muted"),)


def _memory_trace(row: Row) -> Line:
    values = condensed(row.samples.memory, TRACE, PER_MARK, row.samples.taken)
    floor = max(MEMORY_FLOOR, (row.view["memory_bytes"] or 0) / 10)
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


def columns(cells: int, longest_name: int) -> list[Column]:
    """The columns for a table of this width; the last one gets the cells that the others leave."""
    name = max(8, min(longest_name, 14 + max(0, cells - 80) // 8, 30))
    wide = cells >= 112
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
    shown = [c for c in every if c.since <= cells]
    rest = max(8, cells - GUTTER - sum(c.width + 1 for c in shown))
    return [*shown, Column("why", "NEXT · WHY", rest, next_and_why(rest))]


def title_line(shown: list[Column], sort: str, descending: bool) -> Line:
    """The table's head.  An arrow marks the column that the table is sorted by; a click on a title sorts by it."""
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
    """One row: the cursor, the mark, then the cells."""
    sign = ("◆" if here else "▪") if marked else ("❯" if here else " ")
    out: list[Span] = [Span(f"{sign} ", "accent")]
    for column in shown:
        out += fit(column.render(row), column.width, right=column.right)
        out.append(Span(" "))
    return tuple(out[:-1])
