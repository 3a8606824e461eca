"""The problems of the daemon and its host that `status` shows: the newest, each once."""

from __future__ import annotations

from collections.abc import Iterator

KEPT = 20
"""Number of problems that are kept."""


class Problems:
    """Texts, oldest first.  Adding a text again does not move it."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}

    def add(self, text: str) -> None:
        self._texts[text] = None
        while len(self._texts) > KEPT:
            del self._texts[next(iter(self._texts))]

    def remove(self, text: str) -> None:
        """It is a problem no more."""
        self._texts.pop(text, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)
