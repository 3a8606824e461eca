"""Chooses the instances that one page reads where there are too many to read all."""

from __future__ import annotations

from collections.abc import Collection


class Turns:
    """Instances take turns: at most `most` of them a page, those that were not chosen for the longest time first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: dict[str, None] = {}

    def choose(self, names: Collection[str]) -> set[str]:
        """The instances whose turn it is among `names`; all of them where they are few enough."""
        if len(names) <= self._most:
            self._waiting.clear()
            return set(names)
        known = set(names)
        new = dict.fromkeys(name for name in names if name not in self._waiting)
        order = [*new, *(name for name in self._waiting if name in known)]
        chosen = order[: self._most]
        self._waiting = dict.fromkeys([*order[self._most :], *chosen])
        return set(chosen)
