"""The header: counts by state, the health of host and daemon where it matters, and a banner for what needs attention.

The functions that make the lines are pure; the widget follows them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from supervisor.dashboard.draw import sparkline
from supervisor.dashboard.history import History
from supervisor.dashboard.lineview import LineView
from supervisor.dashboard.row_status import NEXT, waits
from supervisor.dashboard.spans import Line, Span, clean, cut, line, spread
from supervisor.dashboard.spans import width as cells_of
from supervisor.display import numbers as q
from supervisor.display.deviations import deviation_lines
from supervisor.display.rollout_line import under_way
from supervisor.display.severity import Severity, severity
from supervisor.display.state_style import AWAITS_CONNECTION, FLAPPING, ON_DEMAND, STATES, state_word

if TYPE_CHECKING:
    from supervisor.core.model.documents import Status
    from supervisor.core.model.instance_documents import Instance

LOUD_FIRST = ("failed", "suspect", "flapping", "backoff", "stopping", "starting", ON_DEMAND, "exited", "stopped")
_STYLES = STATES | {"flapping": FLAPPING, ON_DEMAND: AWAITS_CONNECTION}
BUSY = 1.5
"""Load for each CPU from which it is shown."""
PRESSED = 20.0
"""Percentage of time in which something waited for a resource of the host, from which it is shown."""
LATE_MS = 250.0
"""Milliseconds from which the daemon itself counts as late (core.detection.local_health.TOLERANCE)."""


def first_line(status: Status, link: Span, width: int) -> Line:
    """Name of the daemon, and the number of ready instances and of those in every other state."""
    supervisor, views = status["supervisor"], status["instances"]
    wanted = [v["ready"] for v in views if v["goal"] == "up" and v["type"] != "oneshot"]
    ready = sum(map(bool, wanted))
    counts = Counter(map(state_word, views))
    tone = "good" if ready == len(wanted) else "plain"
    parts: list[Span | str] = [
        Span(" φ ", "accent"),
        Span(clean(str(supervisor["name"])), "strong"),
        "   ",
        Span(f"{ready}/{len(wanted)} ready", tone, "screen.show_only('ready')"),
    ]
    for state in LOUD_FIRST:
        number = counts[state]
        if not number or (state in ("exited", "stopped") and width < 110):
            continue
        glyph, tone = _STYLES[state]
        if state == "exited":
            broken = any(state_word(v) == state and severity(v) is Severity.BROKEN for v in views)
            tone = "alarm" if broken else "faint"
        word = state.replace(" ", "-")
        parts += [
            "  ",
            Span(f"{glyph} {number} {state}", "faint" if state == "stopped" else tone, f"screen.show_only('{word}')"),
        ]
    daemon = f"{q.size(supervisor['memory_bytes'])} · pid {supervisor['pid']} · up {q.duration(supervisor['uptime_s'])}"
    left, right = line(*parts), line(Span(daemon, "muted"), "   ", link, " ")
    fits = cells_of(left) + cells_of(right) + 2 <= width
    return spread(left, right if fits else line(link, " "), width)


def host_line(status: Status, history: History, width: int) -> Line:
    """What the host lacks, or that the daemon itself runs late; empty while neither matters."""
    s = status["supervisor"]
    parts: list[Span | str] = []
    load, cpus = (s["load"] or [0.0])[0], s["cpus"] or 1
    if load > BUSY * cpus:
        parts += ["   ", Span(f"load {load:.1f}", "warn"), Span(f" of {q.count(cpus, 'CPU')}", "muted")]
    psi = s["psi"]
    short = (("CPU", psi["cpu"]), ("memory", psi["memory"]), ("I/O", psi["io"])) if psi else ()
    for name, known in short:
        if (known or 0.0) >= PRESSED:
            parts += ["   ", Span(f"short of {name} {known:.0f}%", "warn"), Span(" of the last 10 s", "muted")]
    lag = s["lag_ms"] or 0.0
    if lag >= LATE_MS:
        parts += ["   ", Span(f"the daemon runs {lag:.0f} ms late ", "warn")]
        parts.append(Span(sparkline(list(history.lag)[-20:], LATE_MS), "muted"))
    return cut(line(*parts), width)


def rollout_line(status: Status, width: int) -> Line:
    """The rollouts under way; empty without one.  Where they do not fit, reasons are left out: `rollout` has them."""
    if not status["supervisor"].get("rollouts") or not (moving := under_way(status)):
        return ()
    whole = line("   ", Span(clean("  ·  ".join(moving)), "accent"))
    if cells_of(whole) <= width:
        return whole
    return cut(line("   ", Span(clean("  ·  ".join(under_way(status, short=True))), "accent")), width)


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
        return _first_of(" ⚠ ", [str(p) for p in supervisor["problems"]], width)
    deviating = deviation_lines(supervisor)
    if deviating:
        return _first_of(" ~ ", deviating, width)
    return ()


def _first_of(sign: str, texts: list[str], width: int) -> Line:
    """The first text, and how many more there are, which is never cut off."""
    more = line(f"  (+{len(texts) - 1} more)" if len(texts) > 1 else "")
    return (*cut(line(f"{sign}{clean(texts[0])}"), width - cells_of(more)), *more)


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
            words.append(f"{name} stops" + (f", {NEXT[wait[0]]}{q.duration(wait[1])}" if wait else ""))
        else:
            words.append(f"{name} waits for its dependants to stop")
    return f"{q.count(len(left), 'instance')} left · " + " · ".join(words)


class Header(LineView):
    """One line; a second one while the host matters, and one more while there is a banner."""

    can_focus = False
    _loud = -1

    def show(self, status: Status | None, history: History, link: Span, lost: str, age: float) -> None:
        width = self.room
        first = spread((Span(" φ supervisor", "accent"),), line(link, " "), width)
        host: Line = ()
        moving: Line = ()
        if status is not None:
            first, host = first_line(status, link, width), host_line(status, history, width)
            moving = rollout_line(status, width)
        loud = banner(status, lost, width, age)
        lines = [part for part in (first, host, moving, loud) if part]
        self._loud = len(lines) - 1 if loud else -1
        if len(lines) != len(self.lines):
            self.styles.height = len(lines)
        self.set_lines(lines)

    def overlay(self, index: int) -> str:
        return "line--loud" if index == self._loud else ""
