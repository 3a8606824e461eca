"""The Prometheus text exposition format, version 0.0.4: labels, numbers and histograms."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate

MARK = "\0"
"""Stands for the labels in a prepared text."""
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})


class Histogram:
    """Counts values by fixed upper bounds, and sums them."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str, text: str) -> str:
        """The lines of the histogram `name`. `text`: its labels."""
        return fill(template(name, self.bounds), text, self.counts, self.total)


def template(name: str, bounds: Sequence[float]) -> str:
    """The lines of a histogram, to be filled in by `fill`: most of their text is always the same."""
    lines = [f'{name}_bucket{{{MARK},le="{bound}"}} %d\n' for bound in (*bounds, "+Inf")]
    return "".join([*lines, f"{name}_sum{{{MARK}}} %r\n", f"{name}_count{{{MARK}}} %d\n"])


def fill(lines: str, text: str, counts: Sequence[int], total: float) -> str:
    """The lines of one histogram. `text`: its labels; `counts`: by upper bound, not cumulated, the last one `+Inf`."""
    sums = tuple(accumulate(counts))
    return (lines % (*sums, total, sums[-1])).replace(MARK, text)


def labels(pairs: Mapping[str, str]) -> str:
    """`name="value",…`, in the order given."""
    return ",".join([f'{name}="{value.translate(_ESCAPES)}"' for name, value in pairs.items()])


def sample(name: str, text: str, value: float | bool) -> str:
    """The line of one sample. `text`: its labels, or nothing."""
    number = int(value) if type(value) is bool else value
    return f"{name}{{{text}}} {number}\n" if text else f"{name} {number}\n"
