"""The header: counts by state, the health of host and daemon, and a banner for what needs attention.

The functions that make the lines are pure; the widget follows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.dashboard.draw import sparkline
from supervisor.dashboard.history import History
from supervisor.dashboard.lineview import LineView
from supervisor.dashboard.row_status import waits
from supervisor.dashboard.spans import Line, Span, clean, cut, line, spread
from supervisor.display import numbers as q
from supervisor.display.severity import Severity, severity
from supervisor.display.state_style import STATES

if TYPE_CHECKING:
    from supervisor.core.model.documents import Instance, Status

LOUD_FIRST = ("failed", "suspect", "backoff", "stopping", "starting", "exited", "stopped")
LATE_MS = 250.0
"""Milliseconds from which the daemon itself counts as late (core.detection.local_health.TOLERANCE)."""


def first_line(status: Status, link: Span, width: int) -> Line:
    """Name of the daemon, and the number of ready instances and of those in every other state."""
    supervisor, views = status["supervisor"], status["instances"]
    ready = sum(1 for v in views if v["ready"])
    wanted = sum(1 for v in views if v["goal"] == "up" and v["type"] != "oneshot")
    tone = "good" if ready >= wanted else "plain"
    parts: list[Span | str] = [
        Span(" φ ", "accent"),
        Span(clean(str(supervisor["name"])), "strong"),
        "   ",
        Span(f"{ready}/{wanted} ready", tone, "screen.show_only('ready')"),
    ]
    for state in LOUD_FIRST:
        these = [v for v in views if v["state"] == state]
        if not these or (state in ("exited", "stopped") and width < 110):
            continue
        glyph, tone = STATES[state]
        if state == "exited":
            tone = "alarm" if any(severity(v) is Severity.BROKEN for v in these) else "faint"
        parts += [
            "  ",
            Span(
                f"{glyph} {len(these)} {state}", "faint" if state == "stopped" else tone, f"screen.show_only('{state}')"
            ),
        ]
    return spread(line(*parts), line(link, " "), width)


def second_line(status: Status, history: History, width: int) -> Line:
    """The host's own health: load, pressure, and how late the daemon itself runs."""
    s = status["supervisor"]
    load, cpus = s["load"] or [0.0], s["cpus"] or 1
    busy = "warn" if load[0] > 1.5 * cpus else "plain"
    short = width < 110
    parts: list[Span | str] = [
        "   ",
        Span("load ", "muted"),
        Span(" ".join(f"{x:.2f}" for x in load[: 1 if short else 3]), busy),
    ]
    parts.append(Span(f" of {q.count(cpus, 'cpu')}", "faint"))
    psi = s["psi"]
    if psi:
        parts += ["   ", Span("pressure ", "muted")]
        for n, (name, known) in enumerate((("cpu", psi["cpu"]), ("mem", psi["memory"]), ("io", psi["io"]))):
            value = known or 0.0
            parts += [Span(("  " if n else "") + name + " ", "faint")]
            parts += [Span(f"{value:.0f}%", "warn" if value >= 20 else "plain")]
    lag = s["lag_ms"] or 0.0
    parts += ["   ", Span("late ", "muted"), Span(f"{lag:.0f} ms", "warn" if lag >= LATE_MS else "plain")]
    if width >= 140:
        parts += [" ", Span(sparkline(list(history.lag)[-20:], LATE_MS), "muted")]
    right = f"{q.size(s.get('memory_bytes'))} · pid {s['pid']} · up {q.duration(s['uptime_s'])} "
    return spread(line(*parts), (Span(right if not short else f"up {q.duration(s['uptime_s'])} ", "muted"),), width)


def banner(status: Status | None, lost: str, width: int, age: float = 0.0) -> Line:
    """A highlighted line for a lost connection, a shutdown, an overloaded host or a problem; empty without one."""
    if lost:
        return cut(line(" ↯ ", lost), width)
    if status is None:
        return ()
    supervisor, views = status["supervisor"], status["instances"]
    if supervisor["closing"]:
        return cut(line(" ▼ shutting down", ": " + blockers(views, age)), width)
    if supervisor["host_starved"]:
        lag = supervisor["lag_ms"] or 0.0
        return cut(
            line(f" ⚠ host overloaded: the daemon itself ran {lag:.0f} ms late, so silence may not mean a hang"), width
        )
    if supervisor["problems"]:
        problems = [clean(str(p)) for p in supervisor["problems"]]
        more = f"  (+{len(problems) - 1} more)" if len(problems) > 1 else ""
        return cut(line(f" ⚠ {problems[0]}{more}"), width)
    return ()


def blockers(views: list[Instance], age: float) -> str:
    """The instances that the shutdown still waits for, each with its countdown."""
    left = [v for v in views if v["state"] not in ("stopped", "exited", "failed", "backoff")]
    if not left:
        return "all services stopped"
    words = []
    for v in sorted(left, key=lambda v: v["state"] != "stopping"):
        wait = waits(v, age)
        name = clean(v["name"])
        if v["lingering"]:
            words.append(f"{name} cannot be killed ({clean(', '.join(v['lingering']))})")
        elif v["state"] == "stopping":
            words.append(f"{name} stops" + (f", {wait[0]} in {q.duration(wait[1])}" if wait else ""))
        else:
            words.append(f"{name} waits for its dependants to stop")
    return f"{q.count(len(left), 'instance')} left · " + " · ".join(words)


class Header(LineView):
    """Two lines, and a third while there is a banner."""

    can_focus = False

    def show(self, status: Status | None, history: History, link: Span, lost: str, age: float) -> None:
        width = self.room
        lines: list[Line] = []
        if status is None:
            lines = [spread((Span(" φ supervisor", "accent"),), line(link, " "), width), ()]
        else:
            lines = [first_line(status, link, width), second_line(status, history, width)]
        loud = banner(status, lost, width, age)
        self.styles.height = 3 if loud else 2
        self.set_lines([*lines, loud] if loud else lines)

    def overlay(self, index: int) -> str:
        return "line--loud" if index == 2 else ""
