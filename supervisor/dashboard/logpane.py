"""The log pane: the output of the chosen instances, to follow, pause, search and read back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message

from supervisor.dashboard.lineview import LineView
from supervisor.dashboard.spans import Line, Span, clean, width
from supervisor.display import numbers as q

KEEP = 5000
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?")
_BAD = re.compile(r"\b(?:ERROR|CRITICAL|FATAL|PANIC|Traceback|[A-Z]\w+Error)\b")
_WARN = re.compile(r"\b(?:WARN|WARNING)\b")
_NAME_TONES = ("busy", "accent", "good", "warn", "plain")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line as it was captured; `at` is seconds since the epoch where it is known."""

    instance: str
    at: float | None
    text: str


class LogPane(LineView, can_focus=True):
    """Follows new output while scrolled to the end; keeps its place otherwise."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "pause", show=False),
        Binding("t", "times", "times", show=False),
        Binding("n", "hit(1)", "next hit", show=False),
        Binding("N", "hit(-1)", "previous hit", show=False),
        Binding("G", "scroll_end", "follow", show=False),
    ]

    class Paused(Message):
        """The pane was paused or continues."""

    class Older(Message):
        """The user has scrolled to the top; older lines are needed."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.entries: list[Entry] = []
        self.targets: list[str] = []
        self.paused = False
        self.pattern: re.Pattern[str] | None = None
        self._times = False
        self._hit = -1
        self.following = True

    def begin(self, targets: Sequence[str]) -> None:
        """Empty the pane, for the output of these instances."""
        self.targets = list(targets)
        self.entries, self._hit = [], -1
        self.paused, self.following = False, True
        self._resized()
        self._say()

    def append(self, entries: Sequence[Entry]) -> None:
        """Add newer lines; beyond KEEP lines the oldest are removed."""
        top = self.scroll_offset.y
        self.entries += entries
        lost = max(0, len(self.entries) - KEEP)
        if lost:
            del self.entries[:lost]
            self._hit = max(-1, self._hit - lost)
        self._resized()
        if self.following:
            self._to_end()
        elif lost:
            self.scroll_to(y=max(0, top - lost), animate=False)
        self._say()

    def prepend(self, entries: Sequence[Entry]) -> None:
        """Add older lines; those in view stay in view."""
        room = entries[-max(0, KEEP - len(self.entries)) :] if len(self.entries) < KEEP else []
        self.entries = [*room, *self.entries]
        self._hit = self._hit + len(room) if self._hit >= 0 else -1
        self._resized()
        self.scroll_to(y=self.scroll_offset.y + len(room), animate=False)

    def search(self, text: str) -> None:
        """Mark every line that matches `text`, and go to the newest one.

        A text that is no valid regular expression is searched literally."""
        try:
            self.pattern = re.compile(text, re.IGNORECASE) if text else None
        except re.error:
            self.pattern = re.compile(re.escape(text), re.IGNORECASE)
        self._hit = len(self.entries)
        if self.pattern is not None:
            self.action_hit(-1)
        self._say()
        self.refresh()

    def action_hit(self, step: int) -> None:
        """Go to the next line that matches, and from the last to the first."""
        number = len(self.entries)
        for n in range(1, number + 1):
            index = (self._hit + n * step) % number
            if self._matches(index):
                self._hit = index
                self.scroll_to(y=max(0, index - self.size.height // 2), animate=False)
                break
        self._say()
        self.refresh()

    def action_pause(self) -> None:
        self.paused = not self.paused
        self._say()
        self.post_message(self.Paused())

    def action_times(self) -> None:
        self._times = not self._times
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if new_value >= self.max_scroll_y:
            self.following = True
        elif new_value < old_value:
            self.following = False
            if new_value == 0:
                self.post_message(self.Older())
        self._say()

    def on_resize(self) -> None:
        if self.following:
            self._to_end()

    def _to_end(self) -> None:
        """Now, and once more when the layout has learnt how much there is."""
        self.scroll_to(y=len(self.entries), animate=False)
        self.call_after_refresh(self._stay_at_end)

    def _stay_at_end(self) -> None:
        if self.following:
            self.scroll_to(y=len(self.entries), animate=False)

    def line_at(self, index: int) -> Line:
        if not 0 <= index < len(self.entries):
            return ()
        entry = self.entries[index]
        out: list[Span] = []
        if self._times:
            out.append(Span(q.clock(entry.at) + " ", "faint"))
        if len(self.targets) > 1:
            tone = _NAME_TONES[self.targets.index(entry.instance) % 5] if entry.instance in self.targets else "muted"
            longest = max(len(t) for t in self.targets)
            out.append(Span(entry.instance.ljust(longest) + " │ ", tone))
        return (*out, *self._text(clean(_ESCAPE.sub("", entry.text))))

    def overlay(self, index: int) -> str:
        if index == self._hit and self._matches(index):
            return "line--cursor"
        return ""

    def _text(self, text: str) -> list[Span]:
        tone = "bad" if _BAD.search(text) else "warn" if _WARN.search(text) else "plain"
        if self.pattern is None:
            return [Span(text, tone)]
        out, at = [], 0
        for hit in islice(self.pattern.finditer(text), 50):
            if hit.end() > hit.start():
                out += [Span(text[at : hit.start()], tone), Span(hit.group(), "hit")]
                at = hit.end()
        return [span for span in (*out, Span(text[at:], tone)) if span.text]

    def _matches(self, index: int) -> bool:
        return (
            self.pattern is not None
            and 0 <= index < len(self.entries)
            and bool(self.pattern.search(self.entries[index].text))
        )

    def _resized(self) -> None:
        newest = range(max(0, len(self.entries) - 200), len(self.entries))
        self.virtual_size = Size(max((width(self.line_at(n)) for n in newest), default=0), len(self.entries))
        self.refresh()

    def _say(self) -> None:
        names = ", ".join(self.targets)
        self.border_title = f"log  {names}" if names else "log"
        state = "⏸ paused" if self.paused else "follows" if self.following else "End follows"
        if self.pattern is not None:
            hits = sum(1 for n in range(len(self.entries)) if self._matches(n))
            state = f"/{self.pattern.pattern}/ {q.count(hits, 'line')} · {state}"
        self.border_subtitle = state
