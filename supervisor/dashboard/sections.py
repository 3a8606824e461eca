"""The layout of the detail pane: labels in a column, wrapped texts beside them, headings between sections."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from supervisor.dashboard.spans import Line, Span, line

LABEL = 11
"""Cells of the column of labels."""


def heading(words: str, width: int) -> Line:
    """The line that begins a section."""
    return line(Span(words, "muted"), Span(" " + "─" * max(0, width - len(words) - 1), "faint"))


def labelled(name: str, text: str, width: int, tone: str = "muted") -> Iterator[Line]:
    """A label, and a text that is wrapped beside it."""
    for n, part in enumerate(wrap(text, max(8, width - LABEL))):
        yield line(label(name if n == 0 else ""), Span(part, tone))


def label(words: str) -> Span:
    """A label in its column."""
    return Span(words.ljust(LABEL), "muted")
