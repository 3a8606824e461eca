"""Small pictures made of text: sparkline, bar, histogram."""

from __future__ import annotations

from collections.abc import Sequence

from supervisor.dashboard.spans import Line, Span

BLOCKS = " ▁▂▃▄▅▆▇█"
"""Sparklines do not use the full block, so that two rows never touch."""
MOST_BINS = 24


def sparkline(values: Sequence[float | None], floor: float = 0.0, *, relative: bool = False) -> str:
    """One mark for each value, oldest first; a blank where there was nothing to measure.

    The scale goes from 0, or if `relative` from the least value, to the greatest.  It spans at least `floor`, so that
    noise stays small."""
    known = [v for v in values if v is not None]
    bottom = min(known, default=0.0) if relative else 0.0
    scale = max(max(known, default=0.0) - bottom, floor, 1e-12)
    return "".join(" " if v is None else BLOCKS[1 + min(6, int(7 * max(0.0, v - bottom) / scale))] for v in values)


def condensed(values: Sequence[float | None], cells: int, per: int, taken: int) -> list[float | None]:
    """The newest values in `cells` cells, right-aligned; each cell has the greatest of `per` values.

    `taken` is the number of values measured so far.  Cells begin at multiples of `per`, so that a cell that is full no
    longer changes."""
    last = taken % per or per
    known = list(values)[-((cells - 1) * per + last) :] if cells > 0 else []
    out: list[float | None] = []
    while known:
        part = [v for v in known[-last:] if v is not None]
        out.append(max(part) if part else None)
        del known[-last:]
        last = per
    return [None] * (cells - len(out)) + out[::-1]


def bar(fraction: float, cells: int, tone: str) -> Line:
    """A horizontal bar: heavy up to `fraction`, light beyond it."""
    full = round(max(0.0, min(1.0, fraction)) * cells)
    if fraction > 0.02:
        full = max(1, full)
    return tuple(s for s in (Span("━" * full, tone), Span("─" * (cells - full), "faint")) if s.text)


def nearness(fraction: float) -> str:
    """The tone for a value whose threshold is 1; `alarm` only beyond it."""
    if fraction > 1.0:
        return "alarm"
    return "warn" if fraction >= 0.6 else "good"


def suspicion_line(values: Sequence[float | None], threshold: float) -> Line:
    """A sparkline whose full height is the threshold; values near or beyond it stand out."""
    spans: list[Span] = []
    for v in values:
        fraction = 0.0 if v is None else max(0.0, v) / max(threshold, 1e-12)
        tone = "muted" if fraction < 0.6 else nearness(fraction)
        mark = " " if v is None else BLOCKS[1 + min(6, int(fraction * 6))]
        if spans and spans[-1].tone == tone:
            spans[-1] = spans[-1]._replace(text=spans[-1].text + mark)
        else:
            spans.append(Span(mark, tone))
    return tuple(spans)


def bins(values: Sequence[float], number: int) -> tuple[list[int], float, float]:
    """The number of values in each of `number` equal bins, and the least and the greatest value, which bound them."""
    low, high = min(values), max(values)
    counts = [0] * number
    for v in values:
        counts[min(number - 1, int((v - low) / (high - low) * number)) if high > low else number // 2] += 1
    return counts, low, high


def histogram(values: Sequence[float], cells: int, rows: int) -> tuple[list[str], float, float]:
    """`rows` lines of columns two cells wide, top first, and the values at the left and the right edge.

    Every bin that is not empty has at least the smallest mark, so that a single outlier is visible."""
    number = max(1, min(MOST_BINS, cells // 2))
    counts, low, high = bins(values, number)
    peak = max(counts)
    heights = [0 if c == 0 else max(1, round(c / peak * 8 * rows)) for c in counts]
    lines = []
    for row in range(rows - 1, -1, -1):
        lines.append("".join(BLOCKS[max(0, min(8, h - 8 * row))] * 2 for h in heights))
    return lines, low, high
