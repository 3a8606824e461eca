"""The distribution of all intervals between the beats of an instance, by which a target is assessed (target.py).

A detector keeps the newest intervals; the histogram counts all of them in a few kilobytes.  It has sixteen classes per
doubling (none is wider than a sixteenth of its lower end) and keeps the longest intervals exactly.  It holds only
intervals of a healthy process, including those that were suspected and then ended by a beat.

The probability of an interval longer than t is counted where enough longer ones were seen.  Beyond that a generalised
Pareto distribution continues the longest intervals.  It is fitted by probability-weighted moments (Hosking, Wallis:
"Parameter and Quantile Estimation for the Generalized Pareto Distribution", Technometrics 29(3), 1987), and its tail is
never lighter than an exponential one.

Errors: at `z` standard errors a count c stands for c + z²/2 ± z·√(c + z²/4) (the score interval).  Of a distribution
fitted to k intervals, share, mean excess and shape are all shifted at once, which overstates the error rather than
understating it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right, insort
from collections.abc import Mapping
from math import exp, frexp, inf, log, sqrt
from typing import NamedTuple

from supervisor.core.model.saved import GARBAGE, integer, number, sequence

LONGEST = 200
"""Number of longest intervals that are kept exactly."""
FIT = 160
"""Number of longest intervals that the tail is fitted to, at most; never more than a tenth of all."""
COUNTED = 10
"""From this many longer intervals on, their share is counted rather than fitted."""
MIN_INTERVALS = 200
"""With fewer intervals nothing is stated about their tail."""
Z95 = 1.645
"""Standard errors of a one-sided confidence of 95 %."""
_PARTS = 16
"""Classes per doubling."""
_PENDING = 32
"""Intervals that are buffered and added together, because the cost of adding one is mostly that of cold caches."""
_SHORTEST, _LONGEST = 1e-6, 3.2e7
"""Seconds; other intervals are ignored."""
_MAX_SHAPE = 0.9
"""The heaviest tail that is fitted."""
_MAX_ERROR_SHAPE = 0.45
"""The standard error grows without bound for heavier shapes; theirs is taken to be that of this shape."""


def shifted(count: float, z: float) -> float:
    """The count, `z` standard errors higher (lower for a negative `z`)."""
    return max(0.0, count + z * z / 2.0 + z * sqrt(count + z * z / 4.0)) if z else count


class Tail(NamedTuple):
    """P(interval > t) = `share`·(1 + `shape`·(t − `start`)/`scale`)^(−1/`shape`) for t ≥ `start` (seconds), fitted to
    the `longer` longest intervals."""

    start: float
    share: float
    scale: float
    shape: float
    longer: int

    def shifted(self, z: float) -> Tail:
        """The tail, `z` standard errors heavier (lighter) everywhere; the error of the shape is Hosking's and
        Wallis's."""
        x, one = min(self.shape, _MAX_ERROR_SHAPE), z / sqrt(self.longer)
        error = sqrt((1.0 - x) * (2.0 - x) ** 2 * (1.0 - x + 2.0 * x * x) / ((1.0 - 2.0 * x) * (3.0 - 2.0 * x)))
        shape = min(max(0.0, self.shape + one * error), _MAX_SHAPE)
        more = max(0.1, 1.0 + one)
        scale = self.scale * more * (1.0 - shape) / (1.0 - self.shape)
        scale = max(scale, self.scale) if z > 0.0 else min(scale, self.scale)
        return self._replace(share=min(1.0, self.share * more), scale=scale, shape=shape)

    def beyond(self, t: float) -> float:
        """The probability of an interval longer than `t` ≥ `start`."""
        x = (t - self.start) / self.scale
        if self.shape < 1e-9:
            return self.share * exp(-min(x, 700.0))
        return float(self.share * (1.0 + self.shape * x) ** (-1.0 / self.shape))

    def silence(self, chance: float) -> float:
        """The inverse of `beyond`: the seconds that an interval exceeds with this probability; `start` above
        `share`."""
        excess = max(0.0, log(self.share / chance))
        if self.shape < 1e-9:
            return self.start + self.scale * excess
        return self.start + self.scale * (exp(min(self.shape * excess, 700.0)) - 1.0) / self.shape


class IntervalHistogram:
    """Counts intervals in seconds.  Every method and property covers all intervals that were added."""

    __slots__ = ("_classes", "_count", "_longest", "_pending", "_total")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._classes: dict[int, int] = {}
        self._longest = array("d")
        self._pending = array("d")
        self._count = 0
        self._total = 0.0

    def add(self, interval: float) -> None:
        """Count an interval in seconds; impossible values are ignored."""
        if not _SHORTEST <= interval <= _LONGEST:
            return
        pending = self._pending
        pending.append(interval)
        if len(pending) >= _PENDING:
            self._flush()

    def merge(self, other: IntervalHistogram) -> None:
        """Add all intervals of another histogram."""
        self._flush()
        other._flush()
        self._count += other._count
        self._total += other._total
        for key, count in other._classes.items():
            self._classes[key] = self._classes.get(key, 0) + count
        self._longest = array("d", sorted([*self._longest, *other._longest])[-LONGEST:])

    @property
    def count(self) -> int:
        """Number of intervals."""
        return self._count + len(self._pending)

    @property
    def total(self) -> float:
        """Sum of the intervals in seconds."""
        self._flush()
        return self._total

    @property
    def mean(self) -> float:
        """Seconds; 0.0 where there is nothing."""
        return self.total / self.count if self.count else 0.0

    @property
    def longest(self) -> float:
        """Seconds; 0.0 where there is nothing."""
        self._flush()
        return self._longest[-1] if self._longest else 0.0

    def classes(self) -> list[tuple[float, float, int]]:
        """(from, to, count) of every class that is not empty; seconds, shortest first."""
        self._flush()
        return [(*_bounds(key), self._classes[key]) for key in sorted(self._classes)]

    def by_exponent(self) -> dict[int, int]:
        """The number of intervals by the exponent e for which 2^(e-1) ≤ interval < 2^e seconds."""
        self._flush()
        counts: dict[int, int] = {}
        for key, count in self._classes.items():
            exponent = key // _PARTS
            counts[exponent] = counts.get(exponent, 0) + count
        return counts

    def beyond(self, t: float, z: float = 0.0) -> float:
        """The share of intervals longer than `t` seconds, shifted by `z`; 1.0 below `MIN_INTERVALS`."""
        if self.count < MIN_INTERVALS:
            return 1.0
        self._flush()
        if t >= self._longest[-COUNTED]:
            return min(self.tail().shifted(z).beyond(t), shifted(COUNTED, z) / self.count)
        return min(1.0, shifted(self.longer(t), z) / self.count)

    def longer(self, t: float) -> float:
        """Number of intervals longer than `t` seconds; interpolated where they are no longer kept exactly."""
        self._flush()
        if self._longest and t >= self._longest[0]:
            return len(self._longest) - bisect_right(self._longest, t)
        longer = 0.0
        for low, high, count in self.classes():
            if high > t:
                longer += count * (1.0 if low >= t else (high - t) / (high - low))
        return max(longer, len(self._longest))

    def silence(self, chance: float, z: float = 0.0) -> float:
        """The seconds that an interval exceeds with this probability, shifted by `z`; inf below `MIN_INTERVALS`."""
        if self.count < MIN_INTERVALS or not chance > 0.0:
            return inf
        self._flush()
        allowed = chance * self.count
        left = allowed - z * sqrt(allowed)
        if left < COUNTED:
            return max(self.tail().shifted(z).silence(chance), self._longest[-COUNTED])
        if left <= len(self._longest):
            return self._longest[-int(left)]
        classes = self.classes()
        while classes[-1][2] < left and len(classes) > 1:
            left -= classes.pop()[2]
        low, high, count = classes[-1]
        return min(max(0.0, high - left / count * (high - low)), self._longest[0])

    def tail(self) -> Tail:
        """Fit the tail to the longest intervals.  At least `MIN_INTERVALS` must have been added."""
        self._flush()
        k = min(FIT, self.count // 10, len(self._longest) - 1)
        start = self._longest[-k - 1]
        excesses = [max(0.0, x - start) for x in self._longest[-k:]]
        first = sum(excesses) / k
        second = sum((k - 1 - i) / (k - 1) * y for i, y in enumerate(excesses)) / k
        gap = first - 2.0 * second
        shape = 2.0 - first / gap if gap > 1e-12 * first else _MAX_SHAPE
        shape = min(max(0.0, shape), _MAX_SHAPE)
        scale = max(first * (1.0 - shape), start / 1000.0, _SHORTEST)
        return Tail(start, k / self.count, scale, shape, k)

    def snapshot(self) -> dict[str, object]:
        """The histogram as JSON-able data."""
        self._flush()
        classes = {str(key): count for key, count in self._classes.items()}
        return {"classes": classes, "longest": list(self._longest), "total": round(self._total, 6)}

    def restore(self, saved: object) -> None:
        """Continue from a snapshot; damaged data leave the histogram empty."""
        self.clear()
        try:
            if not isinstance(saved, Mapping):
                return
            classes = {int(key): integer(count, 1, 2**62) for key, count in dict(saved["classes"]).items()}
            longest = [number(x, _SHORTEST, _LONGEST) for x in sequence(saved["longest"], LONGEST)]
            total = number(saved["total"], 0.0, inf)
            count = sum(classes.values())
            if not all(_class(_SHORTEST) <= key <= _class(_LONGEST) for key in classes) or len(longest) != min(
                count, LONGEST
            ):
                return
        except GARBAGE:
            return
        self._classes, self._count, self._total = classes, count, total
        self._longest = array("d", sorted(longest))

    def _flush(self) -> None:
        classes, longest = self._classes, self._longest
        for interval in self._pending:
            self._total += interval
            mantissa, exponent = frexp(interval)  # as _class, without a call
            key = exponent * _PARTS + int(mantissa * 2 * _PARTS) - _PARTS
            classes[key] = classes.get(key, 0) + 1
            if len(longest) < LONGEST:
                insort(longest, interval)
            elif interval > longest[0]:
                del longest[0]
                insort(longest, interval)
        self._count += len(self._pending)
        del self._pending[:]


def _class(interval: float) -> int:
    mantissa, exponent = frexp(interval)
    return exponent * _PARTS + int(mantissa * 2 * _PARTS) - _PARTS


def _bounds(key: int) -> tuple[float, float]:
    exponent, part = divmod(key, _PARTS)
    unit: float = 2.0 ** (exponent - 1) / _PARTS
    return unit * (_PARTS + part), unit * (_PARTS + part + 1)
