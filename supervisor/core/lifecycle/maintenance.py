"""Maintenance of one instance: it is left alone, by the order of a user, until that is over.

Its process is observed as before, but the findings have no consequence: no suspicion, no limit, no slow start ends it,
and what ends stays ended.  Orders of a user are carried out all the same.  When maintenance is over, silence counts
from that moment on, and the restart policy decides about an instance that failed as if it had failed at that moment.

An end by a deadline and one by an order are the same event.  Handlers stand here, what they share with others in
entering.py; `services/maintenance.py` has the rules for several instances.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from supervisor.core.lifecycle.commands import begins_anew, start_anew
from supervisor.core.lifecycle.ending import decide
from supervisor.core.lifecycle.entering import (
    await_health,
    await_ready,
    end_process,
    listen,
    move,
    record,
)
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.snapshot import After, Maintenance, Phase
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, Goal, State
from supervisor.core.model.causes import Cause


def begin(instance: Instance, event: ev.BeginMaintenance, now: float, out: list[Action]) -> None:
    """Any state: leave the instance alone from now on.  A second order replaces the first one's end and reason."""
    before = instance.maintenance
    instance.maintenance = Maintenance(
        since=before.since if before is not None else event.at,
        ends_at=None if event.lasts is None else event.at + event.lasts,
        until=None if event.lasts is None else now + event.lasts,
        reason=event.reason,
        by=event.by,
        reload_due=before is not None and before.reload_due,
    )
    detail = {"reason": event.reason, "for_s": event.lasts, **_given(event.by)}
    detail = {key: value for key, value in detail.items() if value not in (None, "")}
    if instance.state is not State.SUSPECT:
        out.append(record(instance, instance.state, Cause.MAINTENANCE_BEGUN, detail))
        return
    instance.failure = instance.held = None
    if instance.spec.ready is not None and not instance.ready:
        move(instance, State.STARTING, Cause.MAINTENANCE_BEGUN, now, out, detail)
        instance.phase = Phase.UP
        await_ready(instance, now, out)
    else:
        await_health(instance, now)
        move(instance, State.RUNNING, Cause.MAINTENANCE_BEGUN, now, out, detail)


def end(instance: Instance, event: ev.EndMaintenance, now: float, out: list[Action]) -> None:
    """Any state: supervise the instance again."""
    over = instance.maintenance
    if over is None:
        return
    instance.maintenance = None
    out.append(record(instance, instance.state, Cause.MAINTENANCE_OVER, _given(event.by)))
    if over.reload_due and begins_anew(instance, instance.spec):
        start_anew(instance, now, out)
    elif instance.state is State.EXITED:
        if instance.goal is Goal.UP and instance.failure is not None:
            decide(instance, now, out)
    elif over.reload_due and _runs(instance) and instance.goal is Goal.UP:
        end_process(instance, Cause.RELOADED, After.RESTART, now, out)
    elif instance.state is State.RUNNING:
        _listen_again(instance, now, out)
    elif instance.state is State.STARTING and instance.phase is Phase.UP:
        await_ready(instance, now, out)
    elif instance.state in (State.BACKOFF, State.FAILED) and instance.until is not None:
        instance.until = max(instance.until, now)


def _runs(instance: Instance) -> bool:
    return instance.state is State.RUNNING or instance.phase in (Phase.SPAWNING, Phase.UP)


def _listen_again(instance: Instance, now: float, out: list[Action]) -> None:
    """Silence counts from now on; beats that came during maintenance stay known."""
    detector = instance.detector
    if instance.members is not None:
        instance.members.begin_again(now)
    if detector is None:
        return
    if detector.last is None:
        listen(instance, now, out)
    else:
        detector.discount_silence(now - detector.last, now)
        instance.not_recorded_before = now


def _given(by: Mapping[str, Any]) -> dict[str, Any]:
    return {"by": dict(by)} if by else {}
