"""Makes a screenshot of Textual smaller without changing what it shows.

Rich writes one background rectangle and one clip path for each run of cells. Most of them are redundant, and together
they are three quarters of the file.
"""

from __future__ import annotations

import re

_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.S)
_LINE_CLIP = re.compile(r'\s*<clipPath id="[^"]*-line-\d+">.*?</clipPath>', re.S)
_USE_OF_LINE_CLIP = re.compile(r' clip-path="url\(#[^)]*-line-\d+\)"')
_PREFIX = re.compile(r"terminal-\d+-")
_RECT = re.compile(
    r'<rect fill="(?P<fill>[^"]+)" x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)" width="(?P<w>[\d.]+)" height="(?P<h>[\d.]+)"'
    r' shape-rendering="crispEdges"/>'
)
_BLANK_TEXT = re.compile(r"<text [^>]*>(?:&#160;)*</text>")
_FONTS = "'Fira Code', 'DejaVu Sans Mono', Menlo, Consolas, monospace"

Box = tuple[str, float, float, float, float]
"""Fill, left, top, right, bottom."""


def compact(svg: str) -> str:
    """The same picture in fewer bytes, without fonts from elsewhere, which an embedded picture would not load."""
    svg = _FONT_FACE.sub("", svg).replace("Fira Code, monospace", _FONTS)
    svg = _USE_OF_LINE_CLIP.sub("", _LINE_CLIP.sub("", svg))
    svg = _PREFIX.sub("", svg)
    boxes = [_box(match) for match in _RECT.finditer(svg)]
    if boxes:
        before, after = svg[: _first(svg).start()], _RECT.sub("", svg[_first(svg).start() :])
        drawn = "".join(_drawn(box) for box in merged(boxes))
        svg = f'{before}<g shape-rendering="crispEdges">{drawn}</g>\n{after}'
    svg = _BLANK_TEXT.sub("", svg).replace("&#160;", "\N{NO-BREAK SPACE}")
    return "\n".join(line.strip() for line in svg.splitlines() if line.strip()) + "\n"


def merged(boxes: list[Box]) -> list[Box]:
    """Neighbours of one colour merged into one rectangle: first within a line, then equal ones below each other."""
    lines: list[Box] = []
    for box in sorted(boxes, key=lambda b: (b[2], b[1])):
        last = lines[-1] if lines else None
        if last and last[0] == box[0] and last[2] == box[2] and abs(last[3] - box[1]) < 0.1:
            lines[-1] = (*last[:3], box[3], last[4])
        else:
            lines.append(box)
    whole: list[Box] = []
    open_at: dict[tuple[str, float, float], int] = {}
    for fill, left, top, right, bottom in lines:
        at = open_at.get((fill, left, right))
        if at is not None and whole[at][4] >= top:
            whole[at] = (fill, left, whole[at][2], right, bottom)
        else:
            open_at[fill, left, right] = len(whole)
            whole.append((fill, left, top, right, bottom))
    return whole


def _first(svg: str) -> re.Match[str]:
    found = _RECT.search(svg)
    assert found is not None
    return found


def _box(match: re.Match[str]) -> Box:
    x, y = float(match["x"]), float(match["y"])
    return (match["fill"], x, y, round(x + float(match["w"]), 2), round(y + float(match["h"]), 2))


def _drawn(box: Box) -> str:
    fill, left, top, right, bottom = box
    return f'<rect fill="{fill}" x="{left:g}" y="{top:g}" width="{right - left:g}" height="{bottom - top:g}"/>\n'
