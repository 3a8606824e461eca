"""The breaker of one service as an application sees it, and what is counted for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from supervisor.core.history.incidents import is_decision
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.actions import Action, Goal, Record, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import ServiceSpec
from supervisor.core.restart.statistics import HEALTHY, READY, REJECTED, TRIAL, Statistics
from supervisor.core.restart.tracker import Breaker
from supervisor.core.services.relations.open_breaker import because
from supervisor.core.services.scaling import enough_ready

if TYPE_CHECKING:
    from supervisor.core.model.breaker_document import BreakerStatus


def counted(instance: Instance, breaker: Breaker, actions: Sequence[Action]) -> Iterator[str]:
    """What one step of an instance adds to the statistics; `breaker`: what its breaker was before."""
    now = instance.tracker.breaker
    if breaker is Breaker.OPEN and now is Breaker.HALF_OPEN:
        yield TRIAL
    if breaker is not Breaker.CLOSED and now is Breaker.CLOSED:
        yield HEALTHY
    for record in actions:
        if not isinstance(record, Record) or record.before is record.after:
            continue
        started = record.before is State.STARTING and record.after is State.RUNNING and instance.ready
        if started or record.cause is Cause.SUCCEEDED:
            yield READY
        elif is_decision(record.before, record.after, record.cause, record.detail) and record.after is not State.EXITED:
            yield record.cause.value
        if record.after is State.FAILED:
            yield REJECTED


class Counts:
    """The statistics of all breakers, by service; a service for which nothing happened yet has none."""

    def __init__(self) -> None:
        self.by_service: dict[str, Statistics] = {}

    def stepped(self, instance: Instance, breaker: Breaker, actions: Sequence[Action], now: float) -> None:
        """Count what one step of an instance did; `breaker`: what its breaker was before."""
        for word in counted(instance, breaker, actions):
            self._of(instance.spec).add(word, now, instance.spec.restart.window)
        if instance.tracker.breaker is not breaker:
            self._of(instance.spec).changed_at = now

    def waits(self, instance: Instance, needed: Instance | None, now: float) -> None:
        """The instance waits for `needed`: tell why, where a breaker is the reason, and count its start once."""
        before, instance.waiting_because = instance.waiting_because, because(needed)
        if needed is not None and instance.waiting_because and not before:
            self._of(needed.spec).add(REJECTED, now, needed.spec.restart.window)

    def _of(self, spec: ServiceSpec) -> Statistics:
        found = self.by_service.get(spec.name)
        if found is None:
            found = self.by_service[spec.name] = Statistics()
        return found


def breaker_status(
    spec: ServiceSpec, instances: Sequence[Instance], statistics: Statistics | None, now: float
) -> BreakerStatus:
    """The answer for one service.  `statistics`: None where nothing happened yet."""
    seen = [i for i in instances if i.goal is Goal.UP] or instances
    state = _state([i.tracker.breaker for i in seen], spec.min_ready or 1)
    counts = statistics.counts(now, spec.restart.window) if statistics is not None else {}
    due = [i.until for i in seen if i.state is State.FAILED and i.until is not None and i.maintenance is None]
    since = statistics.changed_at if statistics is not None else None
    if since is None:
        since = next((i.cause_at for i in seen if i.state is State.FAILED), None)
    return {
        "service": spec.name,
        "state": state.value,
        "ready": enough_ready(spec, sum(i.ready_for_dependants for i in instances)),
        "since_s": None if since is None else round(max(0.0, now - since), 3),
        "next_trial_in_s": round(max(0.0, min(due) - now), 3) if due and state is Breaker.OPEN else None,
        "on_open": spec.breaker.on_open.value,
        "fallback": spec.restart.fallback,
        "window_s": spec.restart.window,
        "successes": {"ready": counts.get(READY, 0), "healthy": counts.get(HEALTHY, 0)},
        "failures": {word: n for word, n in counts.items() if word not in (READY, HEALTHY, REJECTED, TRIAL)},
        "rejections": counts.get(REJECTED, 0),
        "trials": counts.get(TRIAL, 0),
    }


def _state(breakers: Sequence[Breaker], enough: int) -> Breaker:
    enough = min(enough, len(breakers))
    if breakers.count(Breaker.CLOSED) >= enough:
        return Breaker.CLOSED
    return Breaker.OPEN if len(breakers) - breakers.count(Breaker.OPEN) < enough else Breaker.HALF_OPEN
