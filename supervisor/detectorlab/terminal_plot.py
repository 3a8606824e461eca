"""Draws the curves of `detectors tune` in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, floor, log10
from typing import Any

JSON = dict[str, Any]

LETTERS = {
    "timeout": "t", "phi": "p", "phi-logistic": "l", "exponential": "e", "chen": "c", "two-window": "w", "bertier": "b",
    "quantile": "q", "adaptive": "a",
}  # fmt: skip
"""Each detector's mark; where several coincide, the last one is visible."""
NOW, WANTED = "●", "×"
HEIGHT = 22
_ROOM = 10.0
"""Rates are drawn down to this many times less than the target."""


def sketch(found: JSON, width: int, *, colored: bool) -> Iterator[str]:
    """Lines of at most `width` cells. Raises ImportError if plotext is missing."""
    import plotext

    figure = plotext.figure
    figure.clear()
    figure.theme("clear")
    minimum = found["target"]["max_false_restarts_per_30d"] / _ROOM
    seen: list[tuple[float, float]] = []

    def put(points: list[tuple[float, float]], mark: str, *, joined: bool) -> None:
        placed = [(log10(silence), log10(rate)) for silence, rate in points if rate >= minimum]
        if placed:
            seen.extend(placed)
            signal = figure.signal([x for x, _ in placed], [y for _, y in placed], marker=mark)
            if joined:
                signal.lines()
            figure.draw(signal)

    for row in found["detectors"]:
        put(
            [(p["silence_s"], p["false_restarts_per_30d"]) for p in row["curve"]], LETTERS[row["detector"]], joined=True
        )
    target, now = found["target"], found["present"]
    if target["most_s"] > 0.0:
        put([(target["most_s"], target["max_false_restarts_per_30d"])], WANTED, joined=False)
    put([(now["silence_s"], max(minimum, now["false_restarts_per_30d"]))], NOW, joined=False)
    _scale(figure.ruler("x"), [x for x, _ in seen], (1.0, 2.0, 5.0), "s")
    _scale(figure.ruler("y"), [y for _, y in seen], (1.0,), "")
    figure.plot_size(width, HEIGHT)
    drawn = figure.build().string()
    yield "false restarts in 30 days, over the silence after which it suspects (mean)"
    yield from (drawn if colored else plotext.uncolorize(drawn)).rstrip("\n").split("\n")
    yield "  ".join(f"{letter} {name}" for name, letter in LETTERS.items())
    yield f"{NOW} now: {now['setting']}   {WANTED} wanted: here, or below and to the left"


def _scale(ruler: Any, values: list[float], steps: tuple[float, ...], unit: str) -> None:
    """Set ticks at round numbers of a logarithmic axis."""
    low, high = min(values), max(values)
    powers = range(floor(low), ceil(high) + 1)
    every = max(1, len(powers) // 8)
    ticks = [step * 10.0**power for power in powers[::every] for step in steps]
    shown = [tick for tick in ticks if low - 1e-9 <= log10(tick) <= high + 1e-9]
    ruler.ticks([log10(tick) for tick in shown], [f"{_plain(tick)}{unit and ' ' + unit}" for tick in shown])


def _plain(tick: float) -> str:
    return f"{tick:,.0f}" if tick >= 1.0 else f"{tick:g}"
