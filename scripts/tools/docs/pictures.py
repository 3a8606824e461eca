"""Draws the pictures of docs/detection.md by running the rules; only the words are written by hand.

Usage: scripts/pictures [--check]

It writes docs/img/suspicion.svg and docs/img/hold.svg; --check changes nothing and exits 1 if they are out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from html import escape
from itertools import pairwise
from pathlib import Path

from supervisor.core.detection.detectors.registry import make
from supervisor.core.detection.schedulable_time import SchedulableTime, Waited
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.transitions import step
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Examine, Record, State
from supervisor.core.model.spec import HeartbeatSpec, RestartSpec, ServiceSpec

ROOT = Path(__file__).resolve().parents[3]
INK, FAINT, GRID, CARD = "#1f2933", "#6b7785", "#e3e8ee", "#ffffff"
GOOD, WARN, HELD, BAD, CALM = "#2f9e63", "#e8a317", "#7a5cc9", "#d64545", "#3d7edb"
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
STATES = {"running": GOOD, "suspect": WARN, "held": HELD, "stopping": BAD, "backoff": "#b6bec8"}


Point = tuple[float, float]
Told = Callable[[float], bool]


class Drawing:
    """An SVG on a white card, so that it can be read on any page. Lengths are in pixels."""

    def __init__(self, width: int, height: int, title: str, subtitle: str) -> None:
        self.width, self.height = width, height
        self.parts: list[str] = []
        self.text(28, 38, title, size=19, weight=650)
        self.text(28, 61, subtitle, colour=FAINT)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: int = 13,
        colour: str = INK,
        anchor: str = "start",
        weight: int = 400,
    ) -> None:
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"'
            f' font-weight="{weight}">{escape(words)}</text>'
        )

    def line(
        self, x1: float, y1: float, x2: float, y2: float, colour: str = GRID, width: float = 1.0, dash: str = ""
    ) -> None:
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"'
            f' stroke-width="{width}" stroke-linecap="round"{dashed}/>'
        )

    def bar(
        self, x1: float, x2: float, y: float, height: float, colour: str, opacity: float = 1.0, radius: int = 4
    ) -> None:
        self.parts.append(
            f'<rect x="{x1:.1f}" y="{y:.1f}" width="{max(x2 - x1, 0.5):.1f}" height="{height}" rx="{radius}"'
            f' fill="{colour}" fill-opacity="{opacity}"/>'
        )

    def curve(self, points: list[Point], colour: str, width: float = 2.2, fill: float | None = None) -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        if fill is not None:
            low, first, last = fill, points[0][0], points[-1][0]
            self.parts.append(
                f'<polygon points="{first:.1f},{low:.1f} {path} {last:.1f},{low:.1f}" fill="{colour}" fill-opacity="0.13"/>'
            )
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"/>'
        )

    def dot(self, x: float, y: float, colour: str, radius: float = 4.0) -> None:
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>')

    def write(self, name: str) -> None:
        path = ROOT / "docs" / "img" / name
        drawn = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}"'
            f' height="{self.height}" font-family="{FONT}">\n'
            f'<rect width="{self.width}" height="{self.height}" rx="10" fill="{CARD}" stroke="{GRID}"/>\n'
            + "\n".join(self.parts)
            + "\n</svg>\n"
        )
        if "--check" not in sys.argv:
            path.write_text(drawn)
            print(path.relative_to(ROOT))
        elif path.read_text() != drawn:
            sys.exit(f"{path.relative_to(ROOT)} is out of date: run scripts/pictures")


# -- silence becomes suspicion -----------------------------------------------------------------------------------------

JITTER = (0.0, 0.14, -0.1, 0.06, 0.22, -0.16, 0.1, -0.05, 0.18, -0.12)
"""Seconds by which each of a worker's beats deviates from the full second."""
BEATS, SHOWN, UNTIL = 60, 6, 7.5
LEAST, MOST, LOOK = 2.0, 4.5, 1.0


def suspicion() -> None:
    detector = make(HeartbeatSpec(detector="phi", interval=1.0, min_timeout=0.0, max_timeout=30.0))
    detector.start(-BEATS - 1.0)
    beats = [n - BEATS + SHOWN + JITTER[n % len(JITTER)] for n in range(1, BEATS + 1)]
    left, right, top, bottom = 74, 872, 118, 330
    first = 0.4

    def x(at: float) -> float:
        return left + (at - first) / (SHOWN + UNTIL - first) * (right - left)

    def y(score: float) -> float:
        return bottom - min(score, 11.0) / 11.0 * (bottom - top)

    d = Drawing(
        900, 480, "Silence becomes suspicion",
        "A worker beats about once a second, and hangs after its last beat. Detector phi, threshold 8.",
    )  # fmt: skip
    for score in (0, 2, 4, 6, 8, 10):
        d.line(left, y(score), right, y(score))
        d.text(left - 10, y(score) + 4, f"{score}", colour=FAINT, anchor="end", size=12)
    d.text(left - 10, top - 20, "φ", size=15, anchor="end", weight=650)
    points: list[Point] = []
    last: float | None = None
    for beat in beats:
        if last is not None and beat >= first:
            steps = [max(first, last) + (beat - max(first, last)) * k / 30 for k in range(31)]
            points += [(x(at), y(detector.suspicion(at))) for at in steps]
        detector.heartbeat(beat)
        last = beat
    assert last is not None
    steps = [last + k * 0.01 for k in range(1 + int(100 * (SHOWN + UNTIL - last)))]
    scores = [(at, detector.suspicion(at)) for at in steps]
    over = next(at for at, score in scores if score >= 11.0)
    points += [(x(at), y(score)) for at, score in scores if at <= over]
    d.bar(x(last), right, top, bottom - top, WARN, 0.07, radius=0)
    d.curve(points, CALM, fill=bottom)
    d.line(left, y(8), right, y(8), BAD, 1.4, "5 4")
    d.text(left + 6, y(8) - 24, "threshold 8: of such silences", colour=BAD)
    d.text(left + 6, y(8) - 8, "one in a hundred million is innocent", colour=BAD)
    crossing = detector.suspect_at(8.0)
    assert crossing is not None
    moment = max(crossing, last + LEAST)
    for beat in beats:
        if beat >= first:
            d.line(x(beat), bottom + 8, x(beat), bottom + 26, GOOD, 3)
    d.text(left - 10, bottom + 22, "beats", colour=FAINT, anchor="end", size=12)
    d.text(x(last) + 8, bottom + 22, "the last one", colour=GOOD, size=12)
    d.dot(x(crossing), y(8), BAD)
    d.text(x(crossing) + 9, y(8) + 20, f"after {crossing - last:.1f} s", size=12)
    # the supervisor's reaction
    lane = bottom + 48
    d.text(left - 10, lane + 16, "state", colour=FAINT, anchor="end", size=12)
    d.bar(left, x(moment) - 1, lane, 24, GOOD)
    d.bar(x(moment) + 1, x(moment + LOOK) - 1, lane, 24, WARN)
    d.bar(x(moment + LOOK) + 1, right, lane, 24, BAD)
    d.text((left + x(moment)) / 2, lane + 17, "running", colour="#fff", anchor="middle", weight=600)
    d.text(x(moment + LOOK / 2), lane + 16, "suspect", colour="#fff", anchor="middle", weight=600, size=12)
    d.text(
        (x(moment + LOOK) + right) / 2,
        lane + 17,
        "ended, then started again",
        colour="#fff",
        anchor="middle",
        weight=600,
    )
    d.text(x(moment + LOOK / 2), lane + 42, "looked at, asked once more: within 1 s", size=12, anchor="middle")
    for at in (last + LEAST, last + MOST):
        d.line(x(at), top - 18, x(at), bottom + 34, FAINT, 1.2, "2 4")
    d.text(x(last + LEAST) - 6, top - 10, "min_timeout: never before", colour=FAINT, size=12, anchor="end")
    d.text(x(last + MOST) + 6, top - 10, "max_timeout: at the latest", colour=FAINT, size=12)
    d.text(
        28,
        464,
        "The steadier the beats, the earlier the threshold is reached; floor and cap are yours to set.",
        colour=FAINT,
        size=12,
    )
    d.write("suspicion.svg")


# -- a process that cannot run cannot beat -------------------------------------------------------------------------

SPEC = ServiceSpec(
    name="web",
    command=("web",),
    heartbeat=HeartbeatSpec(interval=1.0, min_timeout=2.0, max_timeout=4.0),
    restart=RestartSpec(initial=1.0, jitter=0.0),
)


class Played:
    """One instance under the real rules, which beats every second until it is disturbed.

    Times are seconds, 0 at the first beat that is drawn.
    """

    def __init__(self, silent_from: Told, until: float, barred: Told, share: float) -> None:
        """`barred(at)`: whether it cannot run at that time. `share`: the part of its time that it waits for a CPU."""
        self.now, self.barred, self.share = -30.0, barred, share
        self.instance = Instance("web", SPEC, lambda: 0.5)
        self.beats: list[float] = []
        self.states: list[tuple[float, str]] = []
        self.counted: list[Point] = [(0.0, 0.0)]
        self.running = SchedulableTime()
        for event in (ev.Start(), ev.StartPermitted(), ev.Spawned(1, 1)):
            self.step(event)
        at = self.now
        while self.now < until:
            at += 1.0
            while (deadline := self.instance.deadline) is not None and deadline < min(at, until):
                self.now = max(self.now, deadline)
                self.step(ev.Timeout())
            self.now = min(at, until)
            if not silent_from(self.now) and self.now < until:
                self.beats.append(self.now)
                self.step(ev.Heartbeat(self.instance.incarnation, self.now))
        self.states.append((until, ""))

    def step(self, event: ev.Event) -> None:
        for action in step(self.instance, event, self.now):
            if isinstance(action, Record):
                held = action.cause.value == "held"
                self.states.append((self.now, "held" if held else action.after.value))
                if action.before is State.SUSPECT and action.after is State.RUNNING:
                    self.counted += [(self.now, self.counted[-1][1]), (self.now, 0.0)]
            elif isinstance(action, Examine):
                self.look(action.again)
        if self.instance.state is State.STOPPING:
            step(self.instance, ev.Exited(self.instance.incarnation, None, 15, True), self.now + 0.3)

    def look(self, again: bool) -> None:
        if not again:
            self.running = SchedulableTime()
            self.counted.append((self.now, 0.0))
            self.see()
            self.now += 0.4
        self.see()
        barred = "stopped" if self.barred(self.now) else None
        self.step(
            ev.SuspectExamined(self.instance.incarnation, False, barred or self.running.held, {}, self.running.ran)
        )

    def see(self) -> None:
        lost = self.share * max(0.0, self.now)
        self.running.look(self.now, {1: Waited(lost, self.now - lost, 0, True)}, blocked=self.barred(self.now))
        self.counted.append((self.now, self.running.ran))


def hold() -> None:
    d = Drawing(
        900, 560, "Who cannot run cannot beat",
        "Held is not ended: only time in which it could run counts against it, up to max_timeout (4 s here).",
    )  # fmt: skip
    stopped = (4.3, 13.2)
    scenes = (
        (
            "Stopped by hand for nine seconds, then continued: held all the time, and well again",
            Played(lambda at: stopped[0] < at < stopped[1], 20.0, lambda at: stopped[0] < at < stopped[1], 0.0),
            [(*stopped, "stopped (SIGSTOP)")],
        ),
        (
            "A busy loop hangs on a starved host: it gets a third of the time, and is ended when that amounts to 4 s",
            Played(lambda at: at > 4.3, 20.0, lambda at: False, 2 / 3),
            [(0.0, 20.0, "runs a third of the time, waits for a CPU in the rest")],
        ),
    )
    left, right = 112, 872

    def x(at: float) -> float:
        return left + at / 20.0 * (right - left)

    for number, (title, played, bars) in enumerate(scenes):
        y = 98 + 222 * number
        d.text(28, y, title, size=14, weight=600)
        for at in range(0, 21, 2):
            d.line(x(at), y + 14, x(at), y + 178)
            if number:
                d.text(x(at), y + 196, f"{at} s", colour=FAINT, size=12, anchor="middle")
        for label, offset in (("beats", 32), ("process", 62), ("state", 100), ("counted", 150)):
            d.text(left - 14, y + offset, label, colour=FAINT, size=12, anchor="end")
        for beat in played.beats:
            if beat >= 0.0:
                d.line(x(beat), y + 20, x(beat), y + 36, GOOD, 3)
        for begin, end, words in bars:
            d.bar(x(begin), x(end), y + 46, 22, HELD, 0.16)
            d.text((x(begin) + x(end)) / 2, y + 61, words, size=12, anchor="middle", colour=HELD, weight=600)
        shown = [(max(0.0, at), state) for at, state in played.states]
        for (begin, state), (end, _) in pairwise(shown):
            if end > begin and state in STATES:
                d.bar(x(begin) + 1, x(end) - 1, y + 82, 26, STATES[state])
                if x(end) - x(begin) > 62:
                    d.text((x(begin) + x(end)) / 2, y + 100, state, size=12, anchor="middle", colour="#fff", weight=600)
        low, high = y + 174, y + 126
        d.line(left, high, right, high, BAD, 1.2, "5 4")
        d.text(right, high - 5, "max_timeout", colour=BAD, size=12, anchor="end")
        steps = [(x(at), low - min(ran, 4.0) / 4.0 * (low - high)) for at, ran in played.counted if at >= 0.0]
        d.curve(
            [*steps, (x(20.0) if number == 0 else steps[-1][0], low if number == 0 else steps[-1][1])], CALM, fill=low
        )
    d.text(
        28,
        544,
        "Green: running. Yellow: suspect, being looked at. Violet: held. Red: signalled to end.",
        colour=FAINT,
        size=12,
    )
    d.write("hold.svg")


suspicion()
hold()
