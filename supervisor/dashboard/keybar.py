"""The keys that matter now, in the footer; a click does the same."""

from __future__ import annotations

from supervisor.dashboard.lineview import LineView
from supervisor.dashboard.spans import Line, Span, line, width

Key = tuple[str, str, str]
"""Key as shown, what it does, action."""

TABLE: tuple[Key, ...] = (
    ("s", "start", "screen.act('start')"),
    ("x", "stop", "screen.act('stop')"),
    ("r", "restart", "screen.act('restart')"),
    ("K", "signal", "screen.signal"),
    ("R", "reset", "screen.act('reset')"),
    ("␣", "select", "screen.mark"),
    ("f", "filter", "screen.ask('filter')"),
    ("/", "search", "screen.ask('search')"),
    ("o", "sort", "screen.sort"),
    ("d", "", "screen.pane('detail')"),
    ("l", "", "screen.pane('log')"),
    ("e", "view", "screen.pane('feed')"),
    ("L", "full", "screen.full_log"),
    ("?", "help", "screen.help"),
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
    """As many lines as it takes."""
    lines: list[Line] = [()]
    for key, words, action in keys:
        item = line(Span(f" {key}", "accent", action), Span(f" {words} " if words else "", "muted", action))
        if width(lines[-1]) + width(item) - 1 > cells and lines[-1]:
            lines.append(())
        lines[-1] = line(lines[-1], item)
    return lines


class KeyBar(LineView):
    """As high as it must be to show every key."""

    can_focus = False

    def show(self, keys: tuple[Key, ...]) -> None:
        lines = key_lines(keys, self.room)
        self.styles.height = len(lines)
        self.set_lines(lines)
