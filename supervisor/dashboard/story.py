"""The story of an instance's last failures, as `supervisor why` prints it."""

from __future__ import annotations

from supervisor.core.history.why import tell, why
from supervisor.dashboard.spans import Line, Span, clean
from supervisor.dashboard.stream_reader import Client
from supervisor.display.recorded import FromDaemon, with_clock

PAGE = 1000
"""Events of the instance that are read."""


def story_lines(client: Client, name: str) -> list[str]:
    """The lines, fetched from the daemon; SupervisorError where it does not answer."""
    source = FromDaemon(client)
    return tell(why(client.instance(name), with_clock(source, name, PAGE), source.evidence, source.words))


def as_page(lines: list[str], width: int) -> list[Line]:
    """The lines, wrapped below their labels.  The first one, which is the answer, stands out."""
    out: list[Line] = []
    for number, text in enumerate(lines):
        indent = " " * (12 if text.startswith("  ") else 0)
        rest = clean(text)
        while len(rest) > width > 40:
            at = rest.rfind(" ", len(indent) + 1, width + 1)
            at = at if at > len(indent) else width
            out.append((Span(rest[:at], "strong" if number == 0 else "plain"),))
            rest = indent + rest[at:].lstrip()
        out.append((Span(rest, "strong" if number == 0 else "plain"),) if rest else ())
    return out
