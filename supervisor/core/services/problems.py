"""The problems of the daemon and its host that `status` shows: the newest, each once."""

from __future__ import annotations

from collections.abc import Iterator

KEPT = 20


class Problems:
    """Texts, oldest first.  A text that is there already keeps its place."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}

    def add(self, text: str) -> None:
        self._texts[text] = None
        while len(self._texts) > KEPT:
            del self._texts[next(iter(self._texts))]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)
