"""Draws the strip of history of a service, an SVG picture: when it was ready, down, or not known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from supervisor.core.text.timestamps import local
from supervisor.core.text.units import percent
from supervisor.display.markup import text

if TYPE_CHECKING:
    from supervisor.core.history.strips import Cell

LEAST = 0.18
"""The least height of what was down in a cell, so that a short outage can be seen."""


def strip_picture(label: str, cells: Sequence[Cell], since: float, until: float) -> str:
    """`cells` from `since` to `until`, seconds since the epoch. `label`: what the picture shows, for who cannot see it.

    Each run of equal cells has its times and its share as a tip."""
    width = (until - since) / max(len(cells), 1)
    days = until - since > 86_400
    bars: list[str] = []
    at = 0
    equal = [(_heights(cell), len(list(run))) for cell, run in groupby(cells)]  # most cells are as the one before
    for (ready, down, unknown), runs in groupby(equal, itemgetter(0)):
        length = sum(number for _, number in runs)
        begin, end = since + at * width, since + (at + length) * width
        tip = f"{short_moment(begin, days)} to {short_moment(end, days)}: {_in_words(cells[at : at + length])}"
        shapes = ""
        top = 0.0
        for kind, height in (("down", down), ("unknown", unknown), ("ready", ready)):
            if height:
                shapes += f'<rect class={kind} x="{at}" y="{top:.2f}" width="{length + 0.05:g}" height="{height:.2f}"/>'
                top += height
        bars.append(f"<g><title>{text(tip)}</title>{shapes}</g>")
        at += length
    return (
        f'<svg viewBox="0 0 {max(len(cells), 1)} 1" preserveAspectRatio="none" shape-rendering="crispEdges" role="img" '
        f'aria-label="{text(label)}">{"".join(bars)}</svg>'
    )


def short_moment(at: float, days: bool) -> str:
    """A moment as local time. `days`: the period is so long that the date belongs to it."""
    return local(at).strftime("%Y-%m-%d %H:%M" if days else "%H:%M:%S")


def _heights(cell: Cell) -> tuple[float, float, float]:
    """The heights of what was ready, down and unknown, in steps of a twentieth; all zero where it was not wanted."""
    whole = cell.ready + cell.down + cell.unknown
    if whole <= 0.0:
        return 0.0, 0.0, 0.0
    down = 0.0 if not cell.down else max(LEAST, round(20 * cell.down / whole) / 20)
    unknown = min(1.0 - down, round(20 * cell.unknown / whole) / 20)
    return max(0.0, 1.0 - down - unknown), down, unknown


def _in_words(cells: Sequence[Cell]) -> str:
    ready, down, unknown = (sum(getattr(cell, kind) for cell in cells) for kind in ("ready", "down", "unknown"))
    if ready + down > 0.0:
        return f"{percent(ready / (ready + down))} available"
    return "not known" if unknown > 0.0 else "not wanted"
