"""Rolling statistics of the breaker of one service: successes, failures, rejections and trials within a window.

They are counted as they happen, so that a question costs no look at the ledger or at other instances.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

READY, HEALTHY, REJECTED, TRIAL = "ready", "healthy", "rejected", "trial"
"""What is counted, beside the causes of failures."""
MOST = 1000
"""No more than the last so many are kept."""


class Statistics:
    """What happened to the instances of one service.  Times are monotonic seconds and never go back."""

    __slots__ = ("_times", "_words", "changed_at")

    def __init__(self) -> None:
        self.changed_at: float | None = None
        """When the breaker of one of its instances last changed."""
        self._times: tuple[float, ...] = ()
        self._words: tuple[str, ...] = ()

    def add(self, word: str, now: float, window: float) -> None:
        """Count one thing; forget what is older than the window."""
        old = max(bisect_left(self._times, now - window), len(self._times) - MOST + 1)
        self._times = (*self._times[max(old, 0) :], now)
        self._words = (*self._words[max(old, 0) :], word)

    def counts(self, now: float, window: float) -> Counter[str]:
        """How often each thing happened within the window."""
        return Counter(self._words[bisect_left(self._times, now - window) :])
