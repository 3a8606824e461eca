"""Clock watch: notices that the wall clock was set, also while no daemon ran."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from supervisor.core.detection.clock_jumps import Change, ClockJumps

CLOCK = "clock"
"""Key in the ledger of the last known pair of clocks: the epoch, CLOCK_BOOTTIME and CLOCK_REALTIME in seconds."""
KEPT_EVERY = 60.0
"""Seconds after which the pair is saved again."""


class Facts(Protocol):
    """What the ledger has to offer."""

    def get_meta(self, key: str) -> str | None: ...

    def set_meta(self, key: str, value: str) -> None: ...


def clocks() -> tuple[float, float, float]:
    """CLOCK_MONOTONIC, CLOCK_BOOTTIME and CLOCK_REALTIME in seconds."""
    return time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME), time.time()


class ClockWatch:
    """Compares the clocks at each `look`; the first one also tells how the wall clock was set since an earlier daemon
    of the same boot last looked."""

    def __init__(self, facts: Facts, epoch: str, read: Callable[[], tuple[float, float, float]] = clocks) -> None:
        self._facts, self._epoch, self._read = facts, epoch, read
        now = read()
        self._jumps = ClockJumps(*now)
        self._before = self._since_earlier(*now[1:])
        self._kept_at = float("-inf")

    def look(self) -> Change:
        """What changed since the last look."""
        now = self._read()
        slept, stepped = self._jumps.look(*now)
        stepped, self._before = stepped + self._before, 0.0
        if stepped or now[0] - self._kept_at >= KEPT_EVERY:
            self._kept_at = now[0]
            self._facts.set_meta(CLOCK, f"{self._epoch} {now[1]:.3f} {now[2]:.3f}")
        return Change(slept, stepped)

    def _since_earlier(self, boot: float, real: float) -> float:
        try:
            epoch, *saved = (self._facts.get_meta(CLOCK) or "").rsplit(" ", 2)
            then, shown = map(float, saved)
        except ValueError:
            return 0.0
        return ClockJumps(then, then, shown).look(boot, boot, real).stepped if epoch == self._epoch else 0.0
