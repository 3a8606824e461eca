"""When the next beat of a sender that keeps a schedule is due: NFD-E's estimate of expected arrivals.

Chen, Toueg, Aguilera: "On the Quality of Service of Failure Detectors", IEEE Transactions on Computers 51(5), 2002.
EA(l+1) = mean over the newest n beats of (A(i) − η·i), plus (l+1)·η.  Beats carry no sequence number here: each
belongs to the slot that it is next to, so a lost beat is noticed and a queue that arrives at once is not time passed.
Where beats say when they were sent, NFD-S: the next is due a period and a usual delay after the last was *sent*.

The period is the configured one until the rhythm has shown its own; it is measured anew as the window doubles, and
from then on once for every n beats.  Integers of microseconds: sums do not drift.
"""

from __future__ import annotations

from array import array

from supervisor.core.detectors.rhythm import COLD, FOREVER, LEAST, Rhythm
from supervisor.core.saved import number, sequence, whole

SIZE = 100
_MICRO = 1_000_000
_LEAST = 1_000
_LONGEST = round(FOREVER * _MICRO)
_FAR = 2**62
_MEASURED = frozenset((4, 8, 16, 32, 64, SIZE))
_GAIN = 1 / 16


class Schedule:
    """`period` and `ahead` are seconds: the sender's, at least 1 ms, and how long after the last beat the next is due.

    The next beat is never further from a period away than half of one, or it would be another.
    """

    __slots__ = (
        "_beats",
        "_delay",
        "_offset",
        "_oldest",
        "_period",
        "_ring",
        "_span",
        "_steps",
        "_total",
        "ahead",
        "period",
    )

    ahead: float
    period: float

    def __init__(self, expected: float) -> None:
        self._delay = 0.0
        self._restart(expected)

    def lose(self) -> None:
        """What comes next is in no step with what came before, though the period is as it was."""
        self._ring = array("q", [0])
        self._oldest = self._offset = self._total = 0
        self._beats = self._steps = self._span = 0
        self.ahead = self.period = self._period / _MICRO

    def take(self, gap: float, delay: float | None, usual: bool, rhythm: Rhythm) -> None:
        """As `Law.learn`."""
        if rhythm.count == COLD:
            self._restart(rhythm.mean)
        elif usual:
            self._step(round(gap * _MICRO))
        else:
            self.lose()
        period = self._period
        if delay is None:
            due = period + self._total // len(self._ring) - self._offset
        else:
            self._delay += (delay - self._delay) * (_GAIN if self._delay else 1.0)
            due = period + round((self._delay - delay) * _MICRO)
        half = period >> 1
        if due < half:
            due = half
        elif due > half + period:
            due = half + period
        self.ahead = due / _MICRO

    def dump(self) -> list[float]:
        ring, oldest = self._ring, self._oldest
        counts = (self._period, self._offset, self._beats, self._steps, self._span)
        return [self._delay, self.ahead, *counts, *ring[oldest:], *ring[:oldest]]

    def load(self, saved: list[object]) -> None:
        delay, ahead = number(saved[0], 0.0, FOREVER), number(saved[1], 0.0, 2.0 * FOREVER)
        period = whole(saved[2], _LEAST, _LONGEST)
        offset, beats, steps, span = whole(saved[3], -_FAR, _FAR), *(whole(i, 0, _FAR) for i in saved[4:7])
        ring = array("q", [whole(i, -_FAR, _FAR) for i in sequence(saved[7:], SIZE)])
        if not ring:
            raise ValueError("no beats")
        self._delay, self.ahead, self._period, self._offset = delay, ahead, period, offset
        self._beats, self._steps, self._span, self._ring = beats, steps, span, ring
        self.period = period / _MICRO
        self._oldest, self._total = 0, sum(ring)

    def _restart(self, period: float) -> None:
        self._period = round(min(max(LEAST, period), FOREVER) * _MICRO)
        self.lose()

    def _step(self, gap: int) -> None:
        """The offset is how far the last beat lies behind its schedule, in the ring are those of the newest beats."""
        period, ring, offset = self._period, self._ring, self._offset + gap
        steps = (offset - self._total // len(ring) + (period >> 1)) // period
        if steps < 0:
            steps = 0
        self._offset = offset = offset - steps * period
        if len(ring) < SIZE:
            ring.append(offset)
            self._total += offset
        else:
            oldest = self._oldest
            self._total += offset - ring[oldest]
            ring[oldest] = offset
            self._oldest = (oldest + 1) % SIZE
        self._span += gap
        self._steps += steps
        self._beats = beats = self._beats + 1
        if beats in _MEASURED:
            self._measure()

    def _measure(self) -> None:
        """Where slots were skipped or filled twice more often than not, the period was wrong, and beats are counted."""
        beats, steps = self._beats, self._steps
        if not beats <= 2 * steps <= 4 * beats:
            self._restart(self._span / beats / _MICRO)
        else:
            self._turn()
            if beats == SIZE:
                self._beats = self._steps = self._span = 0

    def _turn(self) -> None:
        """Turn the line of offsets by its slope, the least squares': what is left of it was the period's error."""
        ring = self._ring = self._ring[self._oldest :] + self._ring[: self._oldest]
        n, self._oldest = len(ring), 0
        middle = (n - 1) / 2
        slope = round(sum((i - middle) * offset for i, offset in enumerate(ring)) * 12 / (n * (n * n - 1)))
        period = min(max(_LEAST, self._period + slope), _LONGEST)
        slope, self._period, self.period = period - self._period, period, period / _MICRO
        for i in range(n):
            ring[i] += slope * (n - 1 - i)
        self._total = sum(ring)
