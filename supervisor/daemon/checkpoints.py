"""What changes without an event, and is worth keeping all the same: the rhythms that detectors learn.

A state change is on the disk before anything is done about it.  A heartbeat is no state change, so its rhythm is
written down now and then, in small portions, and only when the loop is awake anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from supervisor.core.lifecycle.instance import Instance

INTERVAL = 30.0
"""Seconds from one round to the next: so much of a rhythm is lost at most."""
FIRST_DELAY = 5.0
PER_TURN = 16
"""Instances that are written in one turn of the loop."""


class Checkpoints:
    """`save(names)` writes these in one commit."""

    def __init__(self, instances: Callable[[], Mapping[str, Instance]], save: Callable[[list[str]], None]) -> None:
        self._instances = instances
        self._save = save
        self._next: float | None = None
        self._pending: list[str] = []
        self._seen: dict[str, float | None] = {}

    def turn(self, now: float) -> None:
        """Once a turn of the loop."""
        if self._next is None:
            self._next = now + FIRST_DELAY
        if now >= self._next:
            self._next = now + INTERVAL
            self._pending = [
                name for name, instance in self._instances().items() if self._has_new_beats(name, instance)
            ]
        if self._pending:
            self._save(self._pending[:PER_TURN])
            del self._pending[:PER_TURN]

    def _has_new_beats(self, name: str, instance: Instance) -> bool:
        last = instance.detector.last if instance.detector is not None else None
        if last is None or last == self._seen.get(name):
            return False
        self._seen[name] = last
        return True
