"""The text of the help page."""

from __future__ import annotations

from textwrap import wrap

from supervisor.dashboard.spans import Line, Span, line
from supervisor.dashboard.strip import MARKS
from supervisor.display.state_style import AWAITS_CONNECTION, FLAPPING, ON_DEMAND, STATES

_KEYS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "act on the selected rows, else on the one at the cursor",
        (
            ("s  x  r", "start, stop, restart (the last two ask first); a service: all its instances"),
            ("K", "send a signal"),
            ("R", "reset: close the breaker, clear the backoff"),
            ("space  a  esc", "select one, all, none (also shift+↑↓, ctrl+click)"),
        ),
    ),
    (
        "find",
        (
            ("f", "filter: words of name, group, state, ready, unready, problem; !word is the opposite"),
            ("!", "problems only"),
            ("/  n  N", "search; next and previous hit (in the log: a regular expression)"),
            ("o  O", "sort by the next column, reverse the order (also a click on a column)"),
        ),
    ),
    (
        "look",
        (
            ("↑ ↓ j k g G", "move"),
            ("d  l  e", "detail, log, events"),
            ("enter  ← →", "on a service: fold and unfold its instances (← on an instance: go to its service)"),
            ("z", "fold all services, or unfold them"),
            ("enter  L", "the log on the whole screen, and back"),
            ("w", "why: the story of the last failures of the instance at the cursor, or of the worst of a service"),
            ("v", "the evidence captured before the last kill"),
            ("H", "the hosts of the cluster, and what runs where"),
            ("p  t  End", "in the log: pause, show times, follow"),
            ("tab", "from pane to pane"),
            ("ctrl+p  T", "all commands (reload, shut down, …), themes"),
            ("?  q", "this page; quit"),
        ),
    ),
)
_FLAPPING = "fails again and again: it may run now, but has not been healthy for restart.reset_after"
_BEATS = (
    ("on time", "the last heartbeat is as recent as usual"),
    ("late", "the silence is longer than usual, not yet long enough for a suspicion"),
    ("hung", "silent for too long: it is examined, then restarted"),
    ("held", "silent, but it could not run (stopped, frozen, short of CPU): this does not count"),
    ("none yet", "no heartbeat since it became ready"),
)
_SERVICES = (
    ("▸  ▾", "folded; unfolded. Unless you choose, those that are well are folded where not all rows fit"),
    ("3 of 4 ready", "then the worst instance with its reason, and how far a rollout is"),
    ("R", "replication: instances ready / wanted"),
    ("C", "consistency, while below 1: on the present definition / running"),
    ("L", "load, with a balancer in front: requests an instance since the daemon started"),
)
_MARKS = ("not running", "up", "starting or stopping", "suspect", "failed, or down after a failure")
_STATES = {
    "stopped": "not running, and not supposed to",
    "starting": "being started: waiting for dependencies, or not ready yet",
    "running": "running and ready (◐: not ready)",
    "suspect": "silent for too long; being examined",
    "stopping": "being stopped; killed at the end of the countdown",
    "backoff": "failed; next try at the end of the countdown",
    "exited": "ended, and not restarted (✗: but should be up)",
    "failed": "failed too often, breaker open; next try at the end of the countdown",
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
    waits = "starts on demand, and waits for a connection; not down"
    out += _beside(Span(f"  {AWAITS_CONNECTION.glyph} {ON_DEMAND:<13} ", AWAITS_CONNECTION.tone), waits, width)
    out += _beside(Span(f"  {FLAPPING.glyph} {'flapping':<13} ", FLAPPING.tone), _FLAPPING, width)
    out += [(), (Span("services with several instances", "muted"),)]
    for word, text in _SERVICES:
        out += _beside(Span(f"  {word:<15} ", "plain"), text, width)
    out += [(), (Span("heartbeat", "muted"),)]
    for word, text in _BEATS:
        out += _beside(Span(f"  {word:<15} ", "plain"), text, width)
    bar = line("  ", Span("━━━", "good"), Span("─────", "faint"), "        ")
    out.append(line(bar, "φ: how close the present silence is to suspicion"))
    out += [(), (Span("last minutes: a mark for each half minute, the present one on the right", "muted"),)]
    for mark, text in zip(MARKS[1:], _MARKS, strict=True):
        out += _beside(mark._replace(text=f"  {mark.text:<15} "), text, width)
    return out


def _beside(label: Span, text: str, width: int) -> list[Line]:
    room = max(20, width - len(label.text))
    first, *rest = wrap(text, room)
    return [line(label, first), *(line(" " * len(label.text), more) for more in rest)]
