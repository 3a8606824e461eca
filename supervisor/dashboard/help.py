"""The help page."""

from __future__ import annotations

from textwrap import wrap

from supervisor.dashboard.spans import Line, Span, line
from supervisor.display.state_style import STATES

_KEYS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "act on the selected instances, else on the one at the cursor",
        (
            ("s  x  r", "start, stop, restart"),
            ("K", "send a signal"),
            ("R", "reset: close the breaker, clear the backoff"),
            ("space  a  esc", "select one, all, none (also shift+↑↓, ctrl+click)"),
        ),
    ),
    (
        "find",
        (
            ("f", "filter: words of name, group, state, ready, unready, problem; !word is the opposite"),
            ("!", "only what has a problem"),
            ("/  n  N", "search: the next, the previous hit; in the log a regular expression"),
            ("o  O", "sort by the next column, the other way round (also a click on the column)"),
        ),
    ),
    (
        "look",
        (
            ("↑ ↓ j k g G", "move"),
            ("d  l  e", "detail, log, events"),
            ("enter  L", "the log on the whole screen, and back"),
            ("v", "the evidence captured before the last kill"),
            ("p  t  End", "in the log: pause, show times, follow"),
            ("tab", "from pane to pane"),
            ("ctrl+p  T", "all commands (reload, shut down, …), themes"),
            ("q", "quit"),
        ),
    ),
)
_STATES = {
    "stopped": "not running, and not wanted",
    "starting": "on its way: waits for dependencies, or is not ready yet",
    "running": "runs and is ready (◐: runs, not ready)",
    "suspect": "silent for too long; being examined",
    "stopping": "told to end; killed when the countdown is over",
    "backoff": "failed; starts again when the countdown is over",
    "exited": "ended, and stays so (✗: it should not have)",
    "failed": "failed too often: the breaker is open, and tries once when the countdown is over",
}


def help_lines(width: int) -> list[Line]:
    """Keys, then the meaning of glyphs and bars; long explanations are wrapped."""
    out: list[Line] = []
    for title, keys in _KEYS:
        out.append((Span(title, "muted"),))
        for key, text in keys:
            out += _beside(Span(f"  {key:<15} ", "accent"), text, width)
        out.append(())
    out.append((Span("states", "muted"),))
    for state, (glyph, tone) in STATES.items():
        out += _beside(Span(f"  {glyph} {state:<13} ", tone), _STATES[state], width)
    out += [(), (Span("φ", "muted"),)]
    out.append(line("  ", Span("━━━", "good"), Span("─────", "faint"), "  how far a silence is from suspicion"))
    return out


def _beside(label: Span, text: str, width: int) -> list[Line]:
    room = max(20, width - len(label.text))
    first, *rest = wrap(text, room)
    return [line(label, first), *(line(" " * len(label.text), more) for more in rest)]
