"""Checkpoints: saves the learned intervals of detectors from time to time, and how long a suspect could run.

A state change is written before it is acted on.  These change no state, so they are saved periodically,
a few instances per turn, and only in turns of the event loop that happen anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from supervisor.core.lifecycle.instance import Instance

INTERVAL = 30.0
"""Seconds from one round to the next; at most the intervals of that time are lost."""
FIRST_DELAY = 5.0
"""Seconds from the start to the first round."""
PER_TURN = 16
"""Instances that are saved in one turn of the loop."""


class Checkpoints:
    """Calls `save(names)`, which saves these instances in one commit."""

    def __init__(self, instances: Callable[[], Mapping[str, Instance]], save: Callable[[list[str]], None]) -> None:
        self._instances = instances
        self._save = save
        self._next: float | None = None
        self._pending: list[str] = []
        self._seen: dict[str, tuple[float | None, float]] = {}

    def turn(self, now: float) -> None:
        """Called once in each turn of the loop."""
        if self._next is None:
            self._next = now + FIRST_DELAY
        if now >= self._next:
            self._next = now + INTERVAL
            self._pending = [name for name, instance in self._instances().items() if self._has_news(name, instance)]
        if self._pending:
            self._save(self._pending[:PER_TURN])
            del self._pending[:PER_TURN]

    def _has_news(self, name: str, instance: Instance) -> bool:
        """New beats, or more schedulable time in a silence."""
        now = (instance.detector.last if instance.detector is not None else None, instance.ran)
        if now == (None, 0.0) or now == self._seen.get(name):
            return False
        self._seen[name] = now
        return True
