"""The schedule of a sender: when its next beat is due, or a mean interval after the last where it keeps no schedule.

Chen, Toueg, Aguilera: "On the Quality of Service of Failure Detectors", IEEE Transactions on Computers 51(5), 2002.
Their expected arrival is EA(l+1) = mean over the newest n beats of (A(i) − η·i), plus (l+1)·η.  Beats carry no sequence
number here: each belongs to the nearest slot, so a lost beat is noticed, and beats that arrive together share a slot.
Where beats carry the time at which they were sent, this is NFD-S: the next is due a period and the usual delay after
the last was *sent*.

The period η is the median gap of the first 32 beats, refined by least squares over the window, once for each window.
A sender that works and then sleeps keeps no schedule: while EA errs more than "a period after the last", the next beat
is due a mean gap after the last.  Sums are integers of microseconds, so they do not drift.
"""

from __future__ import annotations

from array import array

from supervisor.core.detection.detectors.interval_window import FLOOR, FOREVER
from supervisor.core.model.saved import integer, number, sequence

SIZE = 80
"""Beats in the window."""
FIRST = 32
"""Beats after which the period is known."""
_GUESSED = frozenset((3, 8, 16))
_STREAK = 6
"""This many gaps in a row of more than one and a half periods mean another period rather than lost beats."""
_MICRO = 1_000_000
_SHORTEST = 1_000
_LONGEST = round(FOREVER * _MICRO)
_FAR = 2**62
_GAIN = 1 / 16
_WORTH_GAIN = 1 / 64
"""Weights of the newest value in the usual delay and in `_worth`."""


class Schedule:
    """`period`: the sender's, at least 1 ms.  `ahead`: the time from the last beat until the next is due.  Both in
    seconds.

    `ahead` is within half a period of one period; a beat beyond that would belong to another slot.
    """

    __slots__ = (
        "_beats",
        "_delay",
        "_found",
        "_offset",
        "_oldest",
        "_period",
        "_ring",
        "_slots",
        "_streak",
        "_total",
        "_worth",
        "ahead",
        "period",
    )

    ahead: float
    period: float

    def __init__(self, expected: float) -> None:
        self._delay = self._worth = 0.0
        self._restart(round(min(max(FLOOR, expected), FOREVER) * _MICRO))

    def lose(self) -> None:
        """Forget the phase but keep the period: the next beat is out of phase with the last ones."""
        if self._found:
            self._ring = array("q", [0])
            self._oldest = self._offset = self._total = self._beats = self._slots = 0
        self._streak = 0
        self.ahead = self.period

    def take(self, gap: float, delay: float | None, usual: bool, mean: float) -> None:
        """As `ScoreFunction.learn`; `mean` is the mean gap in seconds."""
        if not usual:
            self.lose()
        elif self._found:
            self._follow(round(gap * _MICRO))
        else:
            self._guess(round(gap * _MICRO))
        kept = self._worth > 0.0 and self._found
        if delay is not None:
            self._delay += (delay - self._delay) * (_GAIN if self._delay else 1.0)
            due = (self.period if kept else mean) + self._delay - delay
        elif kept:
            due = (self._period + self._total // len(self._ring) - self._offset) / _MICRO
        else:
            self.ahead = mean
            return
        if due < 0.5 * self.period:
            due = 0.5 * self.period
        elif due > 1.5 * self.period:
            due = 1.5 * self.period
        self.ahead = due

    def dump(self) -> list[float]:
        ring, oldest = self._ring, self._oldest
        counts = (int(self._found), self._period, self._offset, self._beats, self._slots, self._streak)
        return [self._delay, self._worth, self.ahead, *counts, *ring[oldest:], *ring[:oldest]]

    def load(self, saved: list[object]) -> None:
        delay, worth = number(saved[0], 0.0, FOREVER), number(saved[1], -FOREVER, FOREVER)
        ahead, found = number(saved[2], 0.0, 2.0 * FOREVER), integer(saved[3], 0, 1) == 1
        period, offset = integer(saved[4], _SHORTEST, _LONGEST), integer(saved[5], -_FAR, _FAR)
        beats, slots, streak = (integer(i, 0, _FAR) for i in saved[6:9])
        ring = array("q", [integer(i, -_FAR, _FAR) for i in sequence(saved[9:], SIZE)])
        if found and not ring:
            raise ValueError("no beats")
        self._delay, self._worth, self.ahead, self._found = delay, worth, ahead, found
        self._period, self.period, self._offset = period, period / _MICRO, offset
        self._beats, self._slots, self._streak = beats, slots, streak
        self._ring, self._oldest, self._total = ring, 0, sum(ring)

    def _restart(self, period: int) -> None:
        """Begin to look for the period.  Until it is found the ring holds gaps."""
        self._found = False
        self._ring = array("q")
        self._oldest = self._offset = self._total = self._beats = self._slots = self._streak = 0
        self._believe(period)
        self.ahead = self.period

    def _believe(self, period: int) -> None:
        self._period = period = min(max(_SHORTEST, period), _LONGEST)
        self.period = period / _MICRO

    def _guess(self, gap: int) -> None:
        """Estimate the period from the gaps; one of about k medians is k periods."""
        gaps = self._ring
        gaps.append(gap)
        n = len(gaps)
        if n == FIRST:
            median = max(_SHORTEST, sorted(gaps)[n // 2])
            slots = sum((gap + median // 2) // median for gap in gaps)
            self._believe(sum(gaps) // max(1, slots))
            self._found, self._ring = True, array("q", [0])
            for gap in gaps:
                self._place(gap)
            self._turn()
        elif n in _GUESSED:
            self._believe(sorted(gaps)[n // 2])

    def _follow(self, gap: int) -> None:
        period = self._period
        if gap > period + (period >> 1):
            self._streak += 1
            if self._streak == _STREAK:
                self._restart(gap)
                return
        else:
            self._streak = 0
            error = gap - period - self._total // len(self._ring) + self._offset
            better = abs(gap - period) - abs(error)
            self._worth += (better / period - self._worth) * _WORTH_GAIN
        self._place(gap)
        if self._beats == SIZE:
            if 3 * SIZE <= 4 * self._slots <= 7 * SIZE:
                self._turn()
                self._beats = self._slots = 0
            else:
                self._restart(period)

    def _place(self, gap: int) -> None:
        """Put a beat into its slot.  The offset is the time from the slot to the beat; the ring holds the newest
        ones."""
        period, ring, offset = self._period, self._ring, self._offset + gap
        slots = (offset - self._total // len(ring) + (period >> 1)) // period
        if slots < 0:
            slots = 0
        self._offset = offset = offset - slots * period
        if len(ring) < SIZE:
            ring.append(offset)
            self._total += offset
        else:
            oldest = self._oldest
            self._total += offset - ring[oldest]
            ring[oldest] = offset
            self._oldest = (oldest + 1) % SIZE
        self._slots += slots
        self._beats += 1

    def _turn(self) -> None:
        """Correct the period by the slope of the offsets (least squares), and the offsets with it."""
        ring = self._ring = self._ring[self._oldest :] + self._ring[: self._oldest]
        n, self._oldest, before = len(ring), 0, self._period
        middle = (n - 1) / 2
        slope = sum((i - middle) * offset for i, offset in enumerate(ring)) * 12 / (n * (n * n - 1))
        self._believe(before + round(slope))
        slope = self._period - before
        for i in range(n):
            ring[i] += slope * (n - 1 - i)
        self._total = sum(ring)
