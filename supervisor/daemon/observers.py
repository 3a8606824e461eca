"""What observes instances and examines suspects, built and imported for the first instance that has to be observed.

A daemon none of whose services has `ready` or `heartbeat` needs no probe and, unless a limit or a start that takes too
long makes a suspect, no examination.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supervisor.adapters.diagnosis.examiner import Examiner
    from supervisor.adapters.eventloop.loop import EventLoop
    from supervisor.adapters.logs.stream import Stream
    from supervisor.adapters.probes.monitors import Monitors
    from supervisor.adapters.processes.command_trees import CommandTree
    from supervisor.core.model.actions import Purpose
    from supervisor.core.model.events import Event
    from supervisor.core.model.spec import ServiceSpec

Answer = Callable[[bool, str | None], None]


class Observers:
    """The monitors and the examiner; their arguments are those of `Monitors`."""

    def __init__(
        self,
        loop: EventLoop,
        post: Callable[[str, Event], None],
        members: Callable[[str], Iterable[int]],
        main: Callable[[str], int | None],
        output: Callable[[str], Stream],
        tree: Callable[[str], CommandTree],
        on_problem: Callable[[str, str], None],
    ) -> None:
        self._loop, self._post, self._members, self._main = loop, post, members, main
        self._output, self._tree, self._on_problem = output, tree, on_problem
        self._monitors: Monitors | None = None
        self._examiner: Examiner | None = None

    def watch(self, instance: str, incarnation: int, spec: ServiceSpec, purpose: Purpose) -> None:
        """See Monitors."""
        if self._monitors is not None or spec.ready is not None or spec.heartbeat is not None:
            self._built().watch(instance, incarnation, spec, purpose)

    def unwatch(self, instance: str) -> None:
        """See Monitors."""
        if self._monitors is not None:
            self._monitors.unwatch(instance)

    def confirm(self, instance: str, spec: ServiceSpec, answer: Answer) -> Callable[[], None]:
        """See Monitors."""
        return self._built().confirm(instance, spec, answer)

    def disturbed(self, seconds: float) -> None:
        """See Monitors."""
        if self._monitors is not None:
            self._monitors.disturbed(seconds)

    @property
    def examiner(self) -> Examiner:
        self._built()
        assert self._examiner is not None
        return self._examiner

    def cancel(self, instance: str) -> None:
        """See Examiner."""
        if self._examiner is not None:
            self._examiner.cancel(instance)

    def _built(self) -> Monitors:
        """The monitors.  The examiner is built with them, so that no suspect has to wait while files are read."""
        if self._monitors is None:
            from supervisor.adapters.diagnosis.examiner import Examiner
            from supervisor.adapters.probes.monitors import Monitors
            from supervisor.core.services.scaling import phase

            monitors = Monitors(self._loop, self._post, phase, self._members, self._output, self._tree)
            monitors.on_problem, monitors.main = self._on_problem, self._main
            self._examiner = Examiner(self._loop, self._output)
            self._examiner.on_stacks = monitors.asked_for_stacks
            self._monitors = monitors
        return self._monitors
