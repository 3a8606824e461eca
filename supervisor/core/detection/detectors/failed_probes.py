"""Failed probes: how often the probes of a healthy target fail, and how many in a row are therefore no accident.

A failed probe is not silence.  The target was asked and did not answer, and how often that happens while it is healthy
can be counted.  With a rate r of failed probes, k of them in a row happen by chance with probability r^k, so that
suspicion at φ needs k = φ/−log₁₀ r of them: seven at φ = 8 where one probe in fifteen fails.

- Failures are learned when an answer follows them.  The interval that they made longer is not learned as well.
- Where none of the last `KNOWN` probes failed, a failure says no more than silence: silence alone decides.
- Before that the rate is not known, and `YOUNG` failures in a row are needed.
- Older probes count less: all counts are halved whenever they reach `MEMORY`.
"""

from __future__ import annotations

from math import ceil, isfinite, log10

from supervisor.core.detection.detectors.float_guards import margin
from supervisor.core.model.saved import GARBAGE, integer, number, sequence

KNOWN = 200
"""Probes after which the rate of failures is known."""
YOUNG = 3
"""Failures in a row that begin a suspicion before the rate is known."""
MEMORY = 2_000
"""Probes that are counted at most."""
MOST_LEARNED = 3
"""Failures of one row that are learned at most: more of them were rather one hang that passed than bad luck."""
_MOST_RATE = 0.5
_FORGOTTEN = 0.5
"""With fewer failures in memory (they were halved) none is known."""
_LEAST_PHI, _MOST_PHI = 0.01, 300.0


class FailedProbes:
    """Counts of one target.  `phi`: φ at which suspicion begins; `threshold`: the same on the detector's own scale;
    `timeout`: seconds that a probe may take."""

    __slots__ = ("_answered", "_failed", "_phi", "_unit", "at", "each", "needed", "row", "timeout")

    needed: int
    """Failures in a row from which on they are suspicious; 0: failures do not matter, silence alone decides."""
    each: float
    """What each failure adds to the score."""
    row: int
    """Failures since the last answer."""
    at: float
    """When the last one of the row was seen."""

    def __init__(self, phi: float, threshold: float, timeout: float) -> None:
        self._phi = min(max(phi, _LEAST_PHI), _MOST_PHI) if phi == phi else _MOST_PHI
        self._unit = margin(threshold) / self._phi
        self.timeout = timeout if isfinite(timeout) and timeout > 0.0 else 0.0
        self.row, self.at = 0, 0.0
        self._answered = self._failed = 0.0
        self._estimate()

    @property
    def excused(self) -> bool:
        """The failures so far may be an accident: suspicion waits for the result of the next probe."""
        return self.row < self.needed

    def failed(self, at: float) -> None:
        """A probe failed."""
        self.row += 1
        self.at = at

    def answered(self) -> None:
        """A probe was answered: learn the row that ends here."""
        self._answered += 1.0
        self._failed += min(self.row, MOST_LEARNED)
        self.row = 0
        if self._answered + self._failed >= MEMORY:
            self._answered *= 0.5
            self._failed *= 0.5
        self._estimate()

    def end_row(self) -> None:
        """What failed until now was not the target's fault, or another incarnation's."""
        self.row = 0

    def snapshot(self) -> list[float]:
        return [self._answered, self._failed, self.row, self.at]

    def restore(self, saved: object) -> None:
        """Continue from a snapshot; nothing is known where it is damaged or missing."""
        try:
            answered, failed, row, at = sequence(saved, 4)
            counts = number(answered, 0.0, MEMORY), number(failed, 0.0, MEMORY)
            present = integer(row, 0, 2**31), number(at, -(2.0**34), 2.0**34)
        except GARBAGE:
            counts, present = (0.0, 0.0), (0, 0.0)
        (self._answered, self._failed), (self.row, self.at) = counts, present
        self._estimate()

    def _estimate(self) -> None:
        known = self._answered + self._failed
        if self._failed < _FORGOTTEN:
            each = self._phi / YOUNG
            self.needed = YOUNG if known < KNOWN else 0
        else:
            each = -log10(min(_MOST_RATE, (self._failed + 1.0) / (known + 1.0)))
            self.needed = max(1, ceil(self._phi / each))
        self.each = each * self._unit
