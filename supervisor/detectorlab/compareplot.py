"""The curves of a comparison, mistakes over detection time, as a picture or in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from math import ceil, log10
from pathlib import Path
from typing import Any

from supervisor.detectorlab.candidates import BY_NAME
from supervisor.detectorlab.comparetext import summary
from supervisor.detectorlab.comparison import OURS
from supervisor.detectorlab.figure_file import figure, save, save_page

JSON = dict[str, Any]

COLUMNS = 3
LEAST = 20.0
"""Mistakes a million beats: below that too few were seen."""
HEIGHT = 24
_COLORS = (
    "#d62728", "#1f77b4", "#17becf", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#ff7f0e",
    "#393b79", "#637939",
)  # fmt: skip


def draw(found: JSON, path: Path) -> None:
    """One panel a scenario.  OperationFailed where matplotlib is missing, or the file cannot be written."""
    scenarios = found["scenarios"]
    columns = min(COLUMNS, len(scenarios))
    rows = ceil(len(scenarios) / columns)
    made = figure(4.2 * columns + 1.0, 3.1 * rows + 0.8)
    panels = made.subplots(rows, columns, squeeze=False)
    for k, axes in enumerate(panels.flat):
        if k < len(scenarios):
            _panel(axes, scenarios[k])
        else:
            axes.axis("off")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower center", ncols=6, fontsize="small", frameon=False)
    if path.suffix == ".html":
        lines = "\n".join(summary(found))
        save_page(made, path, "Failure detectors compared", f"<pre>{escape(lines)}</pre>")
    else:
        save(made, path)


def _panel(axes: Any, scenario: JSON) -> None:
    names = sorted(scenario["curves"], key=lambda name: name == OURS)
    ends = [time for points in scenario["curves"].values() for time, rate in points if rate >= LEAST]
    for name in names:
        shown = sorted((time, rate) for time, rate in scenario["curves"][name] if rate >= LEAST)
        color = _COLORS[sorted(names, key=lambda n: n != OURS).index(name) % len(_COLORS)]
        xs, ys = [t for t, _ in shown], [r for _, r in shown]
        if BY_NAME[name].bent:  # few points, and a straight line would claim what was not tried
            line = {"linestyle": ":", "linewidth": 1.2, "marker": "o", "markersize": 4.5 if name == OURS else 2.5}
            axes.plot(xs, ys, color=color, label=name, **line)
        else:
            axes.plot(xs, ys, color=color, linewidth=1.0, label=name)
    judged = [p for p in scenario["points"].get(OURS, ()) if p is not None and p["mistakes"]]
    axes.plot(
        [p["mean_s"] for p in judged], [1e6 * p["mistakes"] / p["beats"] for p in judged], "D", color=_COLORS[0],
        markersize=5, markeredgecolor="white",
    )  # fmt: skip
    axes.set_yscale("log")
    axes.set_title(scenario["name"], fontsize="medium", loc="left")
    axes.set_xlabel("mean detection time, s", fontsize="small")
    axes.set_ylabel("mistakes a million beats", fontsize="small")
    axes.tick_params(labelsize="small")
    axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)
    times = scenario["times_s"]
    if times and ends:
        axes.set_xlim(min(ends), max(1.6 * times[-1], 1.05 * times[-1] + 0.1))


def sketch(scenario: JSON, width: int, *, colored: bool) -> Iterator[str]:
    """One scenario's curves in lines of at most `width` cells.  ImportError where plotext is missing."""
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
