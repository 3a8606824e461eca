"""Collects the answers to several questions that were asked at once."""

from __future__ import annotations

from collections.abc import Callable


class Together:
    """Calls `done` with all answers in the order of the questions; None: no answer."""

    def __init__(self, done: Callable[[list[str | None]], None]) -> None:
        self._done = done
        self._answers: list[str | None] = []
        self._open = 0

    def expect(self) -> Callable[[str | None], None]:
        """A function that takes one answer."""
        position = len(self._answers)
        self._answers.append(None)
        self._open += 1

        def take(answer: str | None) -> None:
            self._answers[position] = answer
            self._open -= 1
            if not self._open:
                self._done(self._answers)

        return take
