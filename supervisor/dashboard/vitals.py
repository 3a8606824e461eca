"""The second half of the detail pane: an instance's measurements, processes and configuration.  Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from supervisor.dashboard.cells import CPU_FLOOR, MEMORY_FLOOR
from supervisor.dashboard.draw import histogram, sparkline
from supervisor.dashboard.row_status import Row
from supervisor.dashboard.sections import LABEL, heading, label, labelled
from supervisor.dashboard.spans import Line, Span, clean, line, spread
from supervisor.display import numbers as q

if TYPE_CHECKING:
    from supervisor.core.model.documents import InstanceDetail, Process

HISTOGRAM_ROWS = 3


def heartbeats(more: InstanceDetail | None, width: int) -> Iterator[Line]:
    """The configured heartbeat, and a histogram of the measured intervals."""
    heartbeat = more["heartbeat"] if more else None
    if not more or not heartbeat:
        return
    expected = f"{heartbeat['source']} every {q.span_of_time(heartbeat['interval_s'])}"
    if more["target"]:
        yield from labelled("target", more["target"]["says"], width)
    intervals = more["intervals_s"] or []
    yield line(label("heartbeats"), Span(expected), Span(f" · {q.count(len(intervals), 'interval')}", "muted"))
    if len(intervals) < 2:
        return
    pictures, low, high = histogram(intervals, width - LABEL, HISTOGRAM_ROWS)
    for picture in pictures:
        yield line(label(""), Span(picture, "busy"))
    cells = len(pictures[0])
    mean = f"mean {q.span_of_time(sum(intervals) / len(intervals))}"
    ends = q.span_of_time(low), q.span_of_time(high)
    room = cells - len(ends[0]) - len(ends[1])
    middle = mean.center(room) if room >= len(mean) + 2 else " " * max(1, room)
    yield line(label(""), Span(ends[0], "muted"), Span(middle, "faint"), Span(ends[1], "muted"))


def resources(row: Row, width: int) -> Iterator[Line]:
    """CPU and memory, each with the newest samples as a sparkline."""
    view = row.view
    if view["memory_bytes"] is None:
        return
    cells = max(8, min(40, width - LABEL - 8))
    cpu = sparkline(list(row.samples.cpu)[-cells:], CPU_FLOOR)
    floor = max(MEMORY_FLOOR, view["memory_bytes"] / 10)
    memory = sparkline(list(row.samples.memory)[-cells:], floor, relative=True)
    yield line(label("cpu"), Span(f"{q.percent(view.get('cpu_percent'))} %".rjust(7)), " ", Span(cpu, "muted"))
    yield line(label("memory"), Span(q.size(view["memory_bytes"]).rjust(7)), " ", Span(memory, "muted"))


def processes(more: InstanceDetail | None, width: int) -> Iterator[Line]:
    """The tree of the instance's processes."""
    tree = list(more["tree"] or []) if more else []
    if not tree:
        return
    yield heading(f"processes ({len(tree)})", width)
    for depth, process in _nested(tree):
        branch = "  " * (depth - 1) + "└ " if depth else ""
        left = line(Span(f"{process['pid']:>7} ", "muted"), Span(branch, "faint"), Span(clean(process["command"])))
        right = f"{process['state']} {q.percent(process['cpu_percent']):>5}% {q.size(process['memory_bytes']):>5}"
        yield spread(left, (Span(right, "muted"),), width)


def _nested(tree: list[Process]) -> Iterator[tuple[int, Process]]:
    """Processes with their depth, parents before children; a process whose parent is not in the tree is a root."""
    pids = {p["pid"] for p in tree}
    children: dict[int, list[Process]] = {}
    for process in tree:
        children.setdefault(process["ppid"] if process["ppid"] in pids else 0, []).append(process)
    todo = [(0, p) for p in reversed(children.get(0, []))]
    while todo:
        depth, process = todo.pop()
        yield depth, process
        todo += [(depth + 1, p) for p in reversed(children.pop(process["pid"], []))]


def identity(more: InstanceDetail | None, width: int) -> Iterator[Line]:
    """The configuration of the instance."""
    if not more:
        return
    if more["description"]:
        yield from labelled("about", clean(more["description"]), width, "plain")
    yield from labelled("command", clean(shlex.join(more["command"] or [])), width, "plain")
    if more["directory"]:
        yield from labelled("in", clean(more["directory"]), width)
    if more["depends_on"]:
        yield from labelled("needs", ", ".join(more["depends_on"]), width)
    if more["group"]:
        yield from labelled("group", clean(more["group"]), width)
