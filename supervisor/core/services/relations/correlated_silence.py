"""Detects that many instances fell silent together, which points at this host rather than at them.

Such suspects are held until their schedulable time is as long as the silence that made them suspicious.  None is held
where one of them is confirmed dead: this daemon asked it and got no answer.  A command that asks confirms nothing,
because what all such commands need (a program, a library) can be broken for all at once.  An instance that beats is
cleared; when fewer than half of the observed instances are silent, the others are acted on.
"""

from __future__ import annotations

from collections.abc import Iterable

from supervisor.core.lifecycle.entering import MANY_SILENT
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model import events as ev
from supervisor.core.model.actions import State

MIN_SILENT = 3
"""Number of silent instances from which on they are many."""
SIMULTANEOUS = 2.0
"""Seconds; suspicions at most this far apart began together."""
ASKED_BY_US = ("http", "tcp")
"""Sources of heartbeats that this daemon asks itself."""


class CorrelatedSilence:
    """Holds suspects that fell silent together.  There is one for all instances."""

    __slots__ = ("_confirmed_dead_at",)

    def __init__(self) -> None:
        self._confirmed_dead_at = float("-inf")

    def examined(
        self, instance: Instance, event: ev.SuspectExamined, instances: Iterable[Instance], now: float
    ) -> ev.SuspectExamined:
        """The result of an examination; `held` is set where only the silence of the others contradicts the
        suspicion."""
        since = instance.silent_since
        if since is None or event.alive or event.held is not None or event.incarnation != instance.incarnation:
            return event
        if event.unasked is not None:
            return event
        assert instance.spec.heartbeat is not None  # else it could not be silent
        if instance.spec.heartbeat.source in ASKED_BY_US:
            self._confirmed_dead_at = now
        if (
            self._confirmed_dead_at >= since - SIMULTANEOUS
            or event.ran >= instance.silence
            or not _many(since, instances, now)
        ):
            return event
        return event._replace(held=MANY_SILENT)


def _many(since: float, instances: Iterable[Instance], now: float) -> bool:
    observed = [i for i in instances if i.detector is not None and i.state in (State.RUNNING, State.SUSPECT)]
    silent = sum(_silent_with(i, since, now) for i in observed)
    return silent >= MIN_SILENT and 2 * silent >= len(observed)


def _silent_with(instance: Instance, since: float, now: float) -> bool:
    if instance.state is State.RUNNING:
        return instance.overdue(now)
    return instance.silent_since is not None and abs(instance.silent_since - since) <= SIMULTANEOUS
