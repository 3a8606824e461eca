"""Draws what a terminal showed as one animated SVG, which a browser plays without a script.

Each different line is drawn once. A frame is a column of references to lines; all frames stand below each other, and
an animation in CSS moves the one whose time it is into view.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any

import pyte

CELL, LINE, FONT = 8.4, 18, 14
MARGIN, GAP = 10, 6
BACKGROUND, FOREGROUND = "#0d1117", "#e6edf3"
CAPTION, CAPTION_FAST = "#8b949e", "#e3b341"
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
COLORS = {
    "black": "#484f58",
    "red": "#ff7b72",
    "green": "#3fb950",
    "brown": "#d29922",
    "blue": "#58a6ff",
    "magenta": "#bc8cff",
    "cyan": "#39c5cf",
    "white": "#b1bac4",
    "brightblack": "#6e7681",
    "brightred": "#ffa198",
    "brightgreen": "#56d364",
    "brightbrown": "#e3b341",
    "brightblue": "#79c0ff",
    "brightmagenta": "#d2a8ff",
    "brightcyan": "#56d4dd",
    "brightwhite": "#ffffff",
}
SWITCH = re.compile("\x1b\\[\\?1049([hl])")
NOT_KNOWN = re.compile("\x1b\\[[<>=][0-9;]*u")  # the keyboard protocol of kitty
Line = tuple["Run", ...]


class Screen(pyte.Screen):
    """A terminal's screen, with the second one that full-screen programs switch to, which pyte does not have."""

    def __init__(self, columns: int, lines: int) -> None:
        super().__init__(columns, lines)
        self._stream = pyte.Stream(self)
        self._first: tuple[Any, Any] | None = None

    def feed(self, text: str) -> None:
        for index, part in enumerate(SWITCH.split(NOT_KNOWN.sub("", text))):
            if index % 2 == 0:
                self._stream.feed(part)
            elif part == "h":
                self._first = deepcopy(self.buffer), copy(self.cursor)
                self.erase_in_display(2)
            elif self._first is not None:
                self.buffer, self.cursor = self._first
                self._first = None


@dataclass(frozen=True)
class Run:
    """Neighbouring cells that look alike."""

    column: int
    text: str
    foreground: str
    background: str
    bold: bool = False


@dataclass(frozen=True)
class Frame:
    """What is seen from `at` on, in seconds of the picture."""

    at: float
    lines: tuple[Line, ...]
    caption: str = ""
    speed: float = 1.0


def lines_of(screen: Screen) -> tuple[Line, ...]:
    """What a screen shows, with the cursor."""
    shown = []
    for row in range(screen.lines):
        cells = [screen.buffer[row][column] for column in range(screen.columns)]
        looks = [_look(cell, _is_cursor(screen, row, column)) for column, cell in enumerate(cells)]
        runs, column = [], 0
        for look, group in groupby(zip(looks, cells, strict=True), key=lambda pair: pair[0]):
            text = "".join(cell.data for _, cell in group)
            if text.strip() or look[1] != BACKGROUND:
                runs.append(Run(column, text, *look))
            column += len(text)
        shown.append(tuple(runs))
    return tuple(shown)


def _is_cursor(screen: Screen, row: int, column: int) -> bool:
    return not screen.cursor.hidden and (screen.cursor.y, screen.cursor.x) == (row, column)


def _look(cell: Any, cursor: bool) -> tuple[str, str, bool]:
    front, back = _color(cell.fg, FOREGROUND), _color(cell.bg, BACKGROUND)
    if cell.reverse != cursor:
        front, back = back, front
    return front, back, cell.bold


def _color(name: str, default: str) -> str:
    return default if name == "default" else COLORS.get(name, f"#{name}")


def svg(frames: Sequence[Frame], columns: int, rows: int, seconds: float, still: int, title: str) -> str:
    """`still`: the frame that is shown where the reader wants no motion."""
    width, height = round(columns * CELL) + 2 * MARGIN, (rows + 1) * LINE + GAP + 2 * MARGIN
    known: dict[Line, int] = {}
    drawn = [_frame(frame, number * height, width - 2 * MARGIN, rows, known) for number, frame in enumerate(frames)]
    steps = "".join(
        f"{frame.at / seconds:.3%}{{transform:translateY({-n * height}px)}}" for n, frame in enumerate(frames)
    )
    style = (
        f"text{{font:{FONT}px {FONTS};white-space:pre}}.b{{font-weight:bold}}"
        f"#f{{animation:m {seconds:g}s step-end infinite}}@keyframes m{{{steps}}}"
        f"@media (prefers-reduced-motion:reduce){{#f{{animation:none;transform:translateY({-still * height}px)}}}}"
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
            f"<title>{escape(title)}</title><style>{style}</style>",
            f"<defs>{''.join(_line(line, number) for line, number in known.items())}</defs>",
            f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>',
            f'<svg x="{MARGIN}" y="{MARGIN}" width="{width - 2 * MARGIN}" height="{height - 2 * MARGIN}"><g id="f">',
            *drawn,
            "</g></svg></svg>\n",
        ]
    )


def _frame(frame: Frame, top: int, width: int, rows: int, known: dict[Line, int]) -> str:
    uses = "".join(
        f'<use href="#l{known.setdefault(line, len(known))}" y="{top + row * LINE}"/>'
        for row, line in enumerate(frame.lines)
        if line
    )
    below = top + rows * LINE + FONT + GAP
    speed = f"▶▶ {frame.speed:.2g} times as fast" if frame.speed > 1.0 else "▶ real time"
    color = CAPTION_FAST if frame.speed > 1.0 else CAPTION
    return (
        f'{uses}<text y="{below}" fill="{CAPTION_FAST}">{escape(frame.caption)}</text>'
        f'<text x="{width}" y="{below}" text-anchor="end" fill="{color}">{speed}</text>'
    )


def _line(line: Iterable[Run], number: int) -> str:
    parts = []
    for run in line:
        x, width = f"{run.column * CELL:g}", f"{len(run.text) * CELL:g}"
        if run.background != BACKGROUND:
            parts.append(f'<rect x="{x}" width="{width}" height="{LINE}" fill="{run.background}"/>')
        text = run.text.rstrip() if run.background == BACKGROUND else run.text
        if text.strip():
            bold = ' class="b"' if run.bold else ""
            length = f"{len(text) * CELL:g}"
            parts.append(
                f'<text x="{x}" y="{FONT}" textLength="{length}" fill="{run.foreground}"{bold}>{escape(text)}</text>'
            )
    return f'<g id="l{number}">{"".join(parts)}</g>'
