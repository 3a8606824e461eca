"""Formats one row of `status` as the cells of the table: text and tones.  Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from supervisor.dashboard.draw import bar, condensed, nearness, sparkline
from supervisor.dashboard.history import Samples
from supervisor.dashboard.row_status import Row, badge, beat, countdown, nearness_to_suspicion, reason
from supervisor.dashboard.services.text import service_strip, total, words_and_ratios
from supervisor.dashboard.spans import Line, Span, clean, cut, fit, line, spread, width
from supervisor.dashboard.strip import PER_MARK, strip
from supervisor.display import numbers as q
from supervisor.display.severity import Severity, severity

MEMORY_FLOOR = 1024.0 * 1024
CPU_FLOOR = 5.0
"""The least span of a sparkline's scale, in bytes and in percent; smaller changes are noise."""
TRACE, PER_TRACE = 8, 15
"""Marks in a sparkline of the table, and samples in each: two minutes in all."""
GUTTER = 2
"""Cells for the cursor and the mark."""
LEGIBLE = 16
"""Cells that a reason gets at least; a countdown that would take them is left out."""
FOLDED, UNFOLDED = "▸", "▾"
"""The marks before the name of a service."""
INDENT = 2
"""Cells by which an instance stands below its service."""
REASON = 40
"""Cells that the reason has, before a table of 80 cells shows one more column; wider tables keep more for it."""


def why_and_next(cells: int) -> Callable[[Row], Line]:
    """The reason, and at the end of the column the countdown; of a service, what its instances do, and its ratios."""

    def render(row: Row) -> Line:
        if row.service is not None:
            return words_and_ratios(row.service, cells)
        next_, why = countdown(row.view, row.age), reason(row)
        if not next_ or cells - width(next_) - 2 < min(LEGIBLE, width((why,))):
            return (why,)
        return spread((why,), next_, cells)

    return render


def _strip(cells: int) -> Callable[[Row], Line]:
    def render(row: Row) -> Line:
        if row.service is not None:
            return service_strip(row.service, cells)
        return strip(row.view, row.moves, row.known_since, row.clock, cells)

    return render


def _name(cells: int) -> Callable[[Row], Line]:
    """The name, below that of its service where it has one; a click on the mark of a service folds or unfolds it."""

    def render(row: Row) -> Line:
        tones = ("plain", "plain", "warn", "alarm")
        level = severity(row.view)
        tone = "muted" if row.view["goal"] == "down" and level is Severity.FINE else tones[level]
        name = clean(row.name)
        if row.service is not None:
            mark = FOLDED if row.service.folded else UNFOLDED
            return Span(f"{mark} ", "accent", f"screen.fold('{name}')"), Span(name, tone)
        if not row.nested:
            return (Span(name, tone),)
        short = len(name) + INDENT > cells and "@" in name
        return Span(" " * INDENT), Span(f"@{name.rpartition('@')[2]}" if short else name, tone)

    return render


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


def _cpu_trace(row: Row) -> Line:
    samples = _samples(row)
    return (Span(sparkline(condensed(samples.cpu, TRACE, PER_TRACE, samples.taken), CPU_FLOOR), "muted"),)


def _memory_trace(row: Row) -> Line:
    samples = _samples(row)
    values = condensed(samples.memory, TRACE, PER_TRACE, samples.taken)
    floor = max(MEMORY_FLOOR, (row.view["memory_bytes"] or 0) / 10)
    return (Span(sparkline(values, floor, relative=True), "muted"),)


def _samples(row: Row) -> Samples:
    return row.samples if row.service is None else total([member.samples for member in row.service.members])


def _pid(row: Row) -> Line:
    pid = row.view["pid"]
    return (Span(q.NOTHING, "faint") if pid is None else Span(str(pid), "muted"),)


def _breaker(row: Row) -> Line:
    state = row.view["breaker"]
    return (Span(state, {"open": "bad", "half-open": "warn"}.get(state, "faint")),)


@dataclass(frozen=True, slots=True)
class Column:
    """`sort`: what a click on its title sorts by."""

    key: str
    title: str
    width: int
    render: Callable[[Row], Line]
    right: bool = False
    sort: str = ""


_OPTIONAL = (
    Column("uptime", "UP", 6, _uptime, right=True, sort="uptime"),
    Column("restarts", "↻", 3, _restarts, right=True, sort="restarts"),
    Column("cpu", "CPU%", 5, _cpu, right=True, sort="cpu"),
    Column("memory", "MEM", 5, _memory, right=True, sort="memory"),
    Column("phi", "φ", 9, _suspicion(4), sort="phi"),
    Column("pid", "PID", 7, _pid, right=True),
    Column("memory_trace", "MEM 2 MIN", 9, _memory_trace),
    Column("cpu_trace", "CPU 2 MIN", 9, _cpu_trace),
    Column("breaker", "BREAKER", 9, _breaker),
)
"""The columns beside the reason, in the order in which they get their room."""


def columns(cells: int, longest_name: int, sort: str = "") -> list[Column]:
    """The columns for a table of this width.  The reason comes before the figures and keeps room for a sentence; a
    column that the table is sorted by is always shown."""
    name = max(8, min(longest_name, 12 + max(0, cells - 80) // 8, 30))
    marks = 10 if cells < 120 else 20
    minutes = round(marks * PER_MARK / 60)
    first = [
        Column("state", "STATE", 10, lambda r: (badge(r.view),), sort="trouble"),
        Column("name", "INSTANCE", name, _name(name), sort="name"),
    ]
    last = [
        Column("beat", "BEAT", 8, lambda r: (beat(r.view),)),
        Column("strip", f"LAST {minutes} MIN", marks, _strip(marks)),
    ]
    least = REASON + max(0, cells - 80) // 4
    rest = cells - GUTTER - sum(c.width + 1 for c in (*first, *last))
    figures: set[str] = {column.key for column in _OPTIONAL if column.sort and column.sort == sort}
    rest -= sum(column.width + 1 for column in _OPTIONAL if column.key in figures)
    for column in _OPTIONAL:
        if column.key in figures:
            continue
        if rest - column.width - 1 < least:
            break
        figures.add(column.key)
        rest -= column.width + 1
    room = max(8, rest)
    shown = [column for column in _OPTIONAL if column.key in figures]
    return [*first, Column("why", "WHY", room, why_and_next(room)), *last, *shown]


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
