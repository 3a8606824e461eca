"""The keys of the screen, and the footer that shows the most used ones; the help page has all.  A click on a
key in the footer does the same."""

from __future__ import annotations

from textual.binding import Binding

from supervisor.dashboard.lineview import LineView
from supervisor.dashboard.spans import Line, Span, line, width

BINDINGS = (
    Binding("s", "act('start')", "start"),
    Binding("x", "act('stop')", "stop"),
    Binding("r", "act('restart')", "restart"),
    Binding("K", "signal", "signal"),
    Binding("R", "act('reset')", "reset"),
    Binding("a", "mark_all", "select all"),
    Binding("f", "ask('filter')", "filter"),
    Binding("exclamation_mark", "problems", "problems only"),
    Binding("slash", "ask('search')", "search"),
    Binding("n", "again(1)", "next hit"),
    Binding("N", "again(-1)", "previous hit"),
    Binding("o", "sort", "sort"),
    Binding("O", "reverse", "reverse"),
    Binding("z", "fold_all", "fold all"),
    Binding("d", "pane('detail')", "detail"),
    Binding("l", "pane('log')", "log"),
    Binding("e", "pane('feed')", "events"),
    Binding("L", "full_log", "full log"),
    Binding("w", "why", "why"),
    Binding("v", "last_evidence", "evidence"),
    Binding("H", "hosts", "hosts"),
    Binding("T", "app.change_theme", "theme"),
    Binding("question_mark", "help", "help"),
    Binding("escape", "back", "back"),
)
"""The keys of the screen; the table and the log have further ones."""

Key = tuple[str, str, str]
"""The key as shown, its label, and its action in Textual's notation."""

TABLE: tuple[Key, ...] = (
    ("w", "why", "screen.why"),
    ("s", "start", "screen.act('start')"),
    ("x", "stop", "screen.act('stop')"),
    ("r", "restart", "screen.act('restart')"),
    ("d", "detail", "screen.pane('detail')"),
    ("l", "log", "screen.pane('log')"),
    ("e", "events", "screen.pane('feed')"),
    ("?", "keys", "screen.help"),
    ("q", "quit", "app.quit"),
)
LOG: tuple[Key, ...] = (
    ("p", "pause", "screen.log('pause')"),
    ("/", "search", "screen.ask('search')"),
    ("n", "next hit", "screen.log('hit(1)')"),
    ("N", "previous", "screen.log('hit(-1)')"),
    ("t", "times", "screen.log('times')"),
    ("End", "follow", "screen.log('scroll_end')"),
    ("L", "full", "screen.full_log"),
    ("esc", "back", "screen.back"),
    ("?", "help", "screen.help"),
    ("q", "quit", "app.quit"),
)


def key_lines(keys: tuple[Key, ...], cells: int) -> list[Line]:
    """The keys in as many lines of `cells` as they need."""
    lines: list[Line] = [()]
    for key, words, action in keys:
        item = line(Span(f" {key}", "accent", action), Span(f" {words} " if words else "", "muted", action))
        if width(lines[-1]) + width(item) - 1 > cells and lines[-1]:
            lines.append(())
        lines[-1] = line(lines[-1], item)
    return lines


class KeyBar(LineView):
    """The footer; it has as many lines as the keys need."""

    can_focus = False

    def show(self, keys: tuple[Key, ...]) -> None:
        lines = key_lines(keys, self.room)
        self.styles.height = len(lines)
        self.set_lines(lines)
