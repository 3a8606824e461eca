"""Lines of styled text; every pane of the dashboard consists of them.

A `Line` is a tuple of spans, a span a text with a *tone*.  A tone says what the text means; the style sheet says what
that looks like in the theme in use.  No tone is told by colour alone: glyph, word or weight says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

TONES = ("plain", "strong", "muted", "faint", "good", "busy", "warn", "bad", "alarm", "accent", "hit")
"""The names of the tones; the style sheet has a style for each."""


class Span(NamedTuple):
    """A piece of text with a tone.  `action`: what a click on it does, in Textual's notation; empty: nothing."""

    text: str
    tone: str = "plain"
    action: str = ""


Line = tuple[Span, ...]


def line(*parts: Span | str | Iterable[Span]) -> Line:
    """Join texts, spans and lines to one line."""
    out: list[Span] = []
    for part in parts:
        if isinstance(part, Span):
            out.append(part)
        elif isinstance(part, str):
            out.append(Span(part))
        else:
            out.extend(part)
    return tuple(span for span in out if span.text)


def plain(spans: Line) -> str:
    """The text without tones."""
    return "".join(span.text for span in spans)


def width(spans: Line) -> int:
    """The width in terminal cells."""
    cells = 0
    for text, _, _ in spans:
        cells += len(text) if text.isascii() else cell_len(text)
    return cells


def joined(spans: Line) -> Iterator[Span]:
    """The same line; neighbours of the same tone are one span."""
    text, tone, action = "", "", ""
    for span in spans:
        if span[1] == tone and span[2] == action:
            text += span[0]
        else:
            if text:
                yield Span(text, tone, action)
            text, tone, action = span
    if text:
        yield Span(text, tone, action)


def fit(spans: Line, cells: int, *, right: bool = False) -> Line:
    """The line, exactly `cells` wide: padded, or cut with an ellipsis."""
    have = width(spans)
    if have > cells:
        return cut(spans, cells)
    if have == cells:
        return spans
    padding = Span(" " * (cells - have))
    return (padding, *spans) if right else (*spans, padding)


def cut(spans: Line, cells: int) -> Line:
    """The line, at most `cells` wide; an ellipsis marks what is cut off."""
    if width(spans) <= cells:
        return spans
    out: list[Span] = []
    left = cells - 1
    for span in spans:
        have = cell_len(span.text)
        if have > left:
            break
        out.append(span)
        left -= have
    else:
        return spans
    if cells > 0:
        out.append(span._replace(text=set_cell_size(span.text, max(0, left)) + "…"))
    return tuple(out)


def spread(left: Line, right: Line, cells: int) -> Line:
    """`left` and `right` at the two ends of a line; where there is no room for both, `left` is cut."""
    gap = cells - width(right)
    if gap < 2:
        return cut(right, cells)
    return line(fit(cut(left, gap - 1), gap), right)


_CONTROL = dict.fromkeys((*range(32), *range(127, 160)), "�") | {0x09: "    ", 0x0A: "↵", 0x0D: None}


def clean(text: str) -> str:
    """The output of a process, safe for a terminal: control characters are replaced."""
    return text if text.isascii() and text.isprintable() else text.translate(_CONTROL)
