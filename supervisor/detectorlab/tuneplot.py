"""Draws `detectors tune` as a picture: the recorded intervals, and each detector's predicted behaviour on them."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from supervisor.detectorlab.figure_file import figure, save, save_page

JSON = dict[str, Any]

_ROOM = 30.0
"""Rates are drawn down to this many times less than the target."""
_WIDE = 20.0
"""Ratio of the longest to the shortest silence above which their axis is logarithmic."""


def draw(found: JSON, path: Path) -> None:
    """Draw a .png, .svg or .html file. Raises OperationFailed if that is not possible."""
    made = figure(9.0, 8.0)
    above, below = made.subplots(2, 1, height_ratios=(2, 3))
    _histogram(above, found)
    _curves(below, found)
    if path.suffix == ".html":
        notes = "".join(f"<li>{escape(note)}</li>" for note in found["notes"])
        says, toml = escape(found["target"]["says"]), escape(found["toml"])
        title = f"{found['service']}: what its rhythm means for its heartbeat"
        save_page(made, path, title, f"<p>{says}.</p>\n<ul>{notes}</ul>\n<pre>{toml}</pre>")
    else:
        save(made, path)


def _histogram(axes: Any, found: JSON) -> None:
    classes = found["histogram"]
    axes.bar(
        [c["from_s"] for c in classes], [c["count"] for c in classes], [c["to_s"] - c["from_s"] for c in classes],
        align="edge", color="#4c78a8",
    )  # fmt: skip
    axes.set_yscale("log")
    axes.set_title(f"{found['service']}: {found['beats']:,} recorded intervals")
    axes.set_xlabel("seconds from beat to beat")
    axes.set_ylabel("how many")


def _curves(axes: Any, found: JSON) -> None:
    target, now = found["target"], found["present"]
    wish = target["max_false_restarts_per_30d"]
    for row in found["detectors"]:
        shown = [p for p in row["curve"] if p["false_restarts_per_30d"] >= wish / _ROOM]
        xs, ys = [p["silence_s"] for p in shown], [p["false_restarts_per_30d"] for p in shown]
        axes.plot(xs, ys, label=row["detector"], linewidth=2.5 if row["detector"] == "adaptive" else 1.2)
    minimum = max(now["false_restarts_per_30d"], wish / _ROOM)
    axes.plot([now["silence_s"]], [minimum], "ko", markersize=8, label=f"now: {now['setting']}")
    axes.axhline(wish, color="grey", linestyle=":", linewidth=1)
    axes.axvline(target["most_s"], color="grey", linestyle=":", linewidth=1)
    axes.plot([target["most_s"]], [wish], "r*", markersize=12, label="wanted: left of and below this")
    left, right = axes.get_xlim()
    if right > _WIDE * max(left, found["mean_s"]):
        axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("seconds of silence after which it suspects (mean)")
    axes.set_ylabel("false restarts in 30 days (predicted)")
    axes.legend(fontsize="small")
