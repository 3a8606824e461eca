"""When HAProxy is reloaded: at most once in ten seconds, however many changes ask for it.

Each reload leaves a worker that finishes its connections, so that many in a row would leave many workers.  HAProxy
itself shows what is loaded, by the mark in its file; a daemon that takes over asks for it.
"""

from __future__ import annotations

SHORTEST_INTERVAL = 10.0
"""Seconds from one reload to the next."""


class Reloads:
    """`due(now)` says whether the file that is `wanted` has to be loaded now; `deadline` when to ask again."""

    def __init__(self) -> None:
        self.wanted = ""
        self.loaded = ""
        self.running = False
        self.refused = ""
        """The mark of a file that was found to be unusable: it is not tried again."""
        self._last: float | None = None

    def seen(self, loaded: str, age: float, reloads: int, now: float) -> None:
        """The worker that answers loaded the file with this mark `age` seconds ago; `reloads`: how many there were."""
        self.loaded = loaded
        if reloads and (self._last is None or now - age > self._last):
            self._last = now - age

    def due(self, now: float) -> bool:
        return self._needed and now >= self._earliest

    @property
    def deadline(self) -> float | None:
        return self._earliest if self._needed else None

    def began(self, now: float) -> None:
        self.running, self._last = True, now

    def ended(self) -> None:
        self.running = False

    @property
    def _needed(self) -> bool:
        known = self.loaded != "" and self.wanted != ""
        return known and not self.running and self.wanted not in (self.loaded, self.refused)

    @property
    def _earliest(self) -> float:
        return float("-inf") if self._last is None else self._last + SHORTEST_INTERVAL
