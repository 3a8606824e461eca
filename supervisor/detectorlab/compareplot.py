"""Draws the curves of a comparison, mistakes over detection time, as a picture or in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from math import ceil, inf, log10
from pathlib import Path
from typing import Any

from supervisor.detectorlab.candidates import BY_NAME
from supervisor.detectorlab.comparetext import summary
from supervisor.detectorlab.comparison import OURS
from supervisor.detectorlab.figure_file import figure, save, save_page

JSON = dict[str, Any]

COLUMNS = 3
LEAST = 20.0
"""Mistakes per million beats; below that too few were seen."""
HEIGHT = 24
_COLORS = (
    "#d62728", "#1f77b4", "#17becf", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#ff7f0e",
    "#393b79", "#637939",
)  # fmt: skip


def draw(found: JSON, path: Path) -> None:
    """Draw one panel per scenario. Raises OperationFailed if matplotlib is missing or the file cannot be written."""
    scenarios = found["scenarios"]
    columns = min(COLUMNS, len(scenarios))
    rows = ceil(len(scenarios) / columns)
    made = figure(3.4 * columns + 0.8, 2.5 * rows + 0.7)
    panels = made.subplots(rows, columns, squeeze=False, sharey=True)
    for k, axes in enumerate(panels.flat):
        if k < len(scenarios):
            _panel(axes, scenarios[k])
            axes.tick_params(labelleft=k % columns == 0)
            if k >= len(scenarios) - columns:  # no panel is below it
                axes.set_xlabel("mean detection time, s", fontsize="small")
        else:
            axes.axis("off")
    made.supylabel("mistakes a million beats", fontsize="small")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower center", ncols=6, fontsize="small", frameon=False)
    if path.suffix == ".html":
        lines = "\n".join(summary(found))
        save_page(made, path, "Failure detectors compared", f"<pre>{escape(lines)}</pre>")
    else:
        save(made, path)


def _panel(axes: Any, scenario: JSON) -> None:
    names = sorted(scenario["curves"], key=lambda name: name == OURS)
    far = _farthest(scenario)
    for name in names:
        shown = _until(far, sorted(p for p in scenario["curves"][name] if p[1] >= LEAST), bent=BY_NAME[name].bent)
        color = _COLORS[sorted(names, key=lambda n: n != OURS).index(name) % len(_COLORS)]
        xs, ys = [t for t, _ in shown], [r for _, r in shown]
        if BY_NAME[name].bent:  # few points; a straight line would claim what was not tried
            line = {"linestyle": ":", "linewidth": 1.2, "marker": "o", "markersize": 4.5 if name == OURS else 2.5}
            axes.plot(xs, ys, color=color, label=name, clip_on=False, **line)
        else:
            axes.plot(xs, ys, color=color, linewidth=1.0, label=name, clip_on=False)
    judged = [p for p in scenario["points"].get(OURS, ()) if p is not None and p["mistakes"]]
    axes.plot(
        [p["mean_s"] for p in judged], [1e6 * p["mistakes"] / p["beats"] for p in judged], "D", color=_COLORS[0],
        markersize=5, markeredgecolor="white", clip_on=False,
    )  # fmt: skip
    axes.set_yscale("log")
    axes.set_title(scenario["name"], fontsize="medium", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.minorticks_off()
    axes.locator_params(axis="x", nbins=5)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(labelsize="small", bottom=False, left=False)
    axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.6, clip_on=False)
    ends = [time for points in scenario["curves"].values() for time, rate in points if rate >= LEAST]
    if ends and far < inf:
        axes.set_xlim(min(ends), far)
    for line in axes.lines:
        line.set_in_layout(False)  # an empty line that is not clipped has no size, which the layout cannot handle


def _until(far: float, points: list[list[float]], *, bent: bool) -> list[list[float]]:
    """The part of a curve up to the detection time `far`. An interpolated end is added unless only tried points are
    drawn.
    """
    inside = [point for point in points if point[0] <= far]
    if bent or not inside or len(inside) == len(points):
        return inside
    (left, high), (right, low) = inside[-1], points[len(inside)]
    return [*inside, [far, high * (low / high) ** ((far - left) / (right - left))]]


def _farthest(scenario: JSON) -> float:
    """The longest detection time that is drawn: a little more than the longest one at which detectors are compared."""
    times = scenario["times_s"]
    return max(1.6 * times[-1], 1.05 * times[-1] + 0.1) if times else inf


def sketch(scenario: JSON, width: int, *, colored: bool) -> Iterator[str]:
    """One scenario's curves in lines of at most `width` cells. Raises ImportError if plotext is missing."""
    import plotext

    drawing = plotext.figure
    drawing.clear()
    drawing.theme("clear")
    far = 1.6 * scenario["times_s"][-1] if scenario["times_s"] else float("inf")
    marks = dict(zip(scenario["curves"], "tplecwbqaAKH", strict=False))
    for name, points in scenario["curves"].items():
        shown = sorted((time, log10(rate)) for time, rate in points if rate >= LEAST and time <= far)
        if shown:
            signal = drawing.signal([x for x, _ in shown], [y for _, y in shown], marker=marks[name])
            signal.lines()
            drawing.draw(signal)
    drawing.ruler("y").ticks([float(k) for k in range(1, 7)], [f"{10**k:,}" for k in range(1, 7)])
    drawing.plot_size(width, HEIGHT)
    drawn = drawing.build().string()
    yield "mistakes a million beats, over the mean detection time in seconds"
    yield from (drawn if colored else plotext.uncolorize(drawn)).rstrip("\n").split("\n")
    yield "  ".join(f"{mark} {name}" for name, mark in marks.items())
