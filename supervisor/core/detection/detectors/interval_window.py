"""The interval window: the newest 200 intervals between the beats of a target, with their mean and deviation.

Sums are exact integers (microseconds), so they neither drift nor make the variance negative, and a beat costs O(1).
The variance is that of the population.  Three rules protect the window:

- **σ has a floor**: mean/10, and 1 ms.  With perfectly regular beats σ would vanish, and the slightest delay would be a
  suspicion.  With few beats the floor is higher: mean/2·√(3/n) for n intervals, which meets mean/10 at n = 75.  Before
  three intervals the configured interval is the mean, and σ is half of it.
- **An outlier counts as at most mean + 4σ** (it is winsorised, not dropped), so that one long pause does not delay the
  detection of the next real failure.
- **Three outliers in a row mean that the intervals have changed**: the window restarts with these three as they were.
"""

from __future__ import annotations

from array import array
from math import sqrt

SIZE = 200
"""Number of intervals in the window."""
COLD = 3
"""With fewer intervals the configured one is used."""
STREAK = 3
"""Number of outliers in a row that restart the window."""
OUTLIER = 4.0
"""Deviations above the mean from which on an interval is an outlier."""
SPREAD = 0.1
COLD_SPREAD = 0.5
"""The floor of σ as a share of the mean: of a full window, and of one with `COLD` intervals."""
FLOOR = 1e-3
"""Seconds; the shortest mean, and the floor of σ."""
FOREVER = 366 * 86_400.0
"""Seconds; a jump of more than a year comes from a broken clock and is no silence."""
OVERDUE = 1.5
"""A beat is missing after this many usual intervals."""
_MICRO = 1_000_000
_TRUSTED = COLD * (COLD_SPREAD / SPREAD) ** 2


class IntervalWindow:
    """`expected`: the configured interval; `longest`: the longest interval that is learned, both in seconds."""

    __slots__ = (
        "_expected",
        "_limit",
        "_longest",
        "_oldest",
        "_ring",
        "_squares",
        "_streak",
        "_total",
        "count",
        "deviation",
        "mean",
        "sigma",
    )

    count: int
    """Number of intervals; `COLD` when the window has just restarted."""
    mean: float
    """Seconds."""
    deviation: float
    """Seconds, without floors."""
    sigma: float
    """Seconds, with floors; never below 1 ms."""

    def __init__(self, expected: float, longest: float) -> None:
        self._expected = max(FLOOR, expected)
        self._longest = round(longest * _MICRO)
        self.fill((), ())

    def fill(self, intervals: tuple[int, ...], streak: tuple[int, ...]) -> None:
        """Replace the intervals and the unfinished streak of outliers; oldest first, in microseconds."""
        longest = self._longest
        self._ring = array("I" if longest < 2**32 else "q", [min(i, longest) for i in intervals[-SIZE:]])
        self._oldest = 0
        self._streak = streak
        self._total = sum(self._ring)
        self._squares = sum(i * i for i in self._ring)
        self._summarize()

    def learn(self, interval: float, keep: bool) -> None:
        """Learn one interval in seconds.  Without `keep` it only counts for the streak, if it is an outlier."""
        micros = round(interval * _MICRO)
        if micros > self._longest:
            micros = self._longest
        if micros > self._limit:
            self._streak += (micros,)
            if len(self._streak) == STREAK:
                self.fill(self._streak, ())
                return
            micros = self._limit
        elif self._streak:
            self._streak = ()
        if not keep:
            return
        ring = self._ring
        if self.count < SIZE:
            ring.append(micros)
            self._total += micros
            self._squares += micros * micros
        else:
            oldest = self._oldest
            gone = ring[oldest]
            ring[oldest] = micros
            self._oldest = oldest + 1 if oldest + 1 < SIZE else 0
            self._total += micros - gone
            self._squares += micros * micros - gone * gone
        self._summarize()

    def end_streak(self) -> None:
        """End the streak: outliers before and after this moment are not in a row."""
        self._streak = ()

    def newest(self, count: int) -> tuple[int, ...]:
        """The newest `count` intervals at most, oldest first, in microseconds."""
        ring, oldest = self._ring, self._oldest
        return tuple(ring[oldest:] + ring[:oldest])[-count:]

    @property
    def streak(self) -> tuple[int, ...]:
        """The unfinished streak of outliers as they were, in microseconds."""
        return self._streak

    def _summarize(self) -> None:
        n, total = len(self._ring), self._total
        self.count = n
        if n < COLD:
            self.mean = mean = self._expected
            self.deviation = sigma = COLD_SPREAD * mean
        else:
            self.mean = mean = total / (n * _MICRO)
            self.deviation = sigma = sqrt(n * self._squares - total * total) / (n * _MICRO)
            floor = mean * (SPREAD if n >= _TRUSTED else COLD_SPREAD * sqrt(COLD / n))
            if sigma < floor:
                sigma = floor
        self.sigma = sigma = sigma if sigma > FLOOR else FLOOR
        self._limit = round((mean + OUTLIER * sigma) * _MICRO)
