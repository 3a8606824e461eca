"""Many targets that fall silent at once are rather our own fault, or the host's, than all dead together.

They are given as long again as their silence had lasted, in time in which they could run, unless one of them is
confirmed to be dead: it was asked, and did not answer.  Whoever beats meanwhile is cleared; when fewer than half are
left, these are taken for what they seem to be.
"""

from __future__ import annotations

from collections.abc import Iterable

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.suspect import MANY_SILENT
from supervisor.core.model import events as ev
from supervisor.core.model.actions import State

MIN_SILENT = 3
SIMULTANEOUS = 2.0
"""Seconds between two suspicions that count as one moment."""
PROBED = ("http", "tcp", "exec")
"""Sources of heartbeats that can be asked again; from the others one can only wait to hear."""


class CorrelatedSilence:
    """Of oneself; one for all instances."""

    __slots__ = ("_confirmed_dead_at",)

    def __init__(self) -> None:
        self._confirmed_dead_at = float("-inf")

    def examined(
        self, instance: Instance, event: ev.SuspectExamined, instances: Iterable[Instance], now: float
    ) -> ev.SuspectExamined:
        """The result of an examination, held where nothing but the company speaks against its being dead."""
        since = instance.silent_since
        if since is None or event.alive or event.held is not None or event.incarnation != instance.incarnation:
            return event
        assert instance.spec.heartbeat is not None  # else it could not be silent
        if instance.spec.heartbeat.source in PROBED:
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
