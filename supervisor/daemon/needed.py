"""Whether the services that a suspect depends on can run: a process that waits for a stopped one is silent, too.

A service that waits for an answer of its stopped database or broker does not answer itself until that one goes on, and
a restart does not help. So its silence proves nothing, with any source of heartbeats.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supervisor.core.model.spec import ServiceSpec
    from supervisor.daemon.parts import Parts

Answer = Callable[[bool, str | None], None]
Confirm = Callable[[Answer], Callable[[], None]]


def paused_dependency(parts: Parts, spec: ServiceSpec) -> str | None:
    """Which of the instances that the service requires cannot run at the moment, and why; None where each can."""
    for name in parts.service_set.roster.needed_by(spec):
        why = parts.processes.paused(name)
        if why is not None:
            return f"{name}, which it depends on, is {why}"
    return None


def no_answer(answer: Answer) -> Callable[[], None]:
    """The question to what cannot be asked."""
    answer(False, None)
    return lambda: None


class Question:
    """The question once more, and what makes its answer worthless: a dependency that could not run (`cannot_run`)."""

    def __init__(self, confirm: Confirm, look: Callable[[], str | None]) -> None:
        self._confirm, self._look = confirm, look
        self.cannot_run: str | None = None

    def ask(self, answer: Answer) -> Callable[[], None]:
        """Ask.  An answer counts; no answer does not where a dependency cannot run before or after the question."""
        self.cannot_run = self._look()

        def answered(alive: bool, unasked: str | None) -> None:
            self.cannot_run = None if alive else self.cannot_run or self._look()
            answer(alive, unasked if self.cannot_run is None else self.cannot_run)

        return self._confirm(answered)
