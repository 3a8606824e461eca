"""What was learned of a target's rhythm: the newest 200 intervals between beats, their mean and their spread.

Sums are exact integers (microseconds), so they neither drift nor make the variance negative, and a beat costs
O(1).  The variance is the population's.  Three rules keep the window honest:

- **A spread of its own is never believed to be nothing.**  Perfectly regular beats would make σ vanish and a
  hiccup look like death: σ ≥ mean/10, and ≥ 1 ms.  A young window knows less: with n beats σ ≥ mean/2·√(3/n),
  which meets mean/10 at n = 75.  Before three beats the configured interval stands in, with σ half of it.
- **An outlier counts at most mean + 4σ** (winsorised, not dropped), so that one long pause does not blind the
  detector to the next real death.
- **Three outliers in a row are a new rhythm**: the window begins anew with them as they were.
"""

from __future__ import annotations

from array import array
from math import sqrt

SIZE = 200
COLD = 3
STREAK = 3
OUTLIER = 4.0
SPREAD = 0.1
COLD_SPREAD = 0.5
FLOOR = 1e-3
FOREVER = 366 * 86_400.0
"""A jump of more than a year (seconds) is a broken clock, not a silence."""
_MICRO = 1_000_000
_TRUSTED = COLD * (COLD_SPREAD / SPREAD) ** 2


class IntervalWindow:
    """`expected` and `longest` are seconds: the configured interval, and the longest interval worth learning."""

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
    """How many intervals are known; `COLD` when a new rhythm has just begun."""
    mean: float
    """Seconds."""
    deviation: float
    """Seconds, of the window as it is."""
    sigma: float
    """Seconds, floors applied; never below 1 ms."""

    def __init__(self, expected: float, longest: float) -> None:
        self._expected = max(FLOOR, expected)
        self._longest = round(longest * _MICRO)
        self.fill((), ())

    def fill(self, intervals: tuple[int, ...], streak: tuple[int, ...]) -> None:
        """Start over from these intervals and this unfinished streak of outliers, oldest first, in microseconds."""
        longest = self._longest
        self._ring = array("I" if longest < 2**32 else "q", [min(i, longest) for i in intervals[-SIZE:]])
        self._oldest = 0
        self._streak = streak
        self._total = sum(self._ring)
        self._squares = sum(i * i for i in self._ring)
        self._summarize()

    def learn(self, interval: float, keep: bool) -> None:
        """Take in one interval in seconds.  Without `keep` it only counts as one more outlier, if it is one."""
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
        if keep:
            self._push(micros)
            self._summarize()

    def end_streak(self) -> None:
        """Outliers before and after this moment are not in a row."""
        self._streak = ()

    def newest(self, count: int) -> tuple[int, ...]:
        """The newest `count` intervals at most, oldest first, in microseconds."""
        ring, oldest = self._ring, self._oldest
        return tuple(ring[oldest:] + ring[:oldest])[-count:]

    @property
    def streak(self) -> tuple[int, ...]:
        """The unfinished streak of outliers as they were, in microseconds."""
        return self._streak

    def _push(self, micros: int) -> None:
        if len(self._ring) < SIZE:
            self._ring.append(micros)
        else:
            gone = self._ring[self._oldest]
            self._total -= gone
            self._squares -= gone * gone
            self._ring[self._oldest] = micros
            self._oldest = (self._oldest + 1) % SIZE
        self._total += micros
        self._squares += micros * micros

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
