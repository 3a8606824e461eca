"""Handlers for adoption: a later daemon found the process of an earlier daemon's instance, or found it gone.

The instance was restored as it was saved (`Instance.restore`), perhaps in the middle of a transition.  Which of the
earlier daemon's orders were carried out is not known, so the order that belongs to the state is given again, and the
ordinary rules go on from there.
"""

from __future__ import annotations

from supervisor.core.lifecycle.ending import exited
from supervisor.core.lifecycle.entering import (
    await_ready_again,
    listen,
    move,
    note,
    run,
    send_stop,
    stop_step,
    wait_to_start,
)
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.snapshot import Phase
from supervisor.core.lifecycle.stopping import exited as exited_while_stopping
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import ServiceType


def adopted_while_starting(instance: Instance, event: ev.Adopted, now: float, out: list[Action]) -> None:
    """STARTING: the process was being spawned, or was not ready yet."""
    if instance.phase is Phase.WAITING:
        return
    _take_process(instance, event, now)
    if instance.spec.ready is None:
        is_service = instance.spec.type is ServiceType.SERVICE
        run(instance, Cause.ADOPTED, now, out, {"pid": event.pid}, ready=is_service)
    else:
        note(instance, Cause.ADOPTED, now, out, {"pid": event.pid})
        await_ready_again(instance, instance.spec.ready, now, out)


def adopted(instance: Instance, event: ev.Adopted, now: float, out: list[Action]) -> None:
    """RUNNING, SUSPECT: the process runs.  What made it a suspect is forgotten, and shows again if it lasts."""
    _take_process(instance, event, now)
    instance.had_beaten = instance.had_beaten or (instance.detector is not None and instance.detector.last is not None)
    instance.failure = None
    if instance.state is State.SUSPECT and instance.spec.ready is not None and not instance.ready:
        move(instance, State.STARTING, Cause.ADOPTED, now, out, {"pid": event.pid})
        await_ready_again(instance, instance.spec.ready, now, out)
        return
    move(instance, State.RUNNING, Cause.ADOPTED, now, out, {"pid": event.pid})
    listen(instance, now, out)


def adopted_while_stopping(instance: Instance, event: ev.Adopted, now: float, out: list[Action]) -> None:
    """STOPPING: whether the stop signal was sent is not known, so it is sent again.  What drains goes on draining."""
    _take_process(instance, event, now)
    note(instance, Cause.ADOPTED, now, out, {"pid": event.pid})
    if not instance.draining:
        send_stop(instance, now, out)


def not_found(instance: Instance, event: ev.NotFoundOnAdoption, now: float, out: list[Action]) -> None:
    """STARTING, RUNNING, SUSPECT: the process ended and its status is not known, or its spawn never happened."""
    if instance.phase is Phase.WAITING:
        return
    if instance.phase is Phase.SPAWNING and event.tree_empty:
        wait_to_start(instance, Cause.SPAWN_INTERRUPTED, now, out)
    else:
        exited(instance, ev.Exited(event.incarnation, None, None, event.tree_empty), now, out)


def not_found_while_stopping(instance: Instance, event: ev.NotFoundOnAdoption, now: float, out: list[Action]) -> None:
    """STOPPING: the process ended.  Its status is known only where the earlier daemon saw the end."""
    code, number = (None, None) if instance.pid is not None else (instance.exit_code, instance.signal)
    instance.phase, instance.draining = Phase.NONE, False
    instance.until = now + stop_step(instance).wait
    exited_while_stopping(instance, ev.Exited(event.incarnation, code, number, event.tree_empty), now, out)


def _take_process(instance: Instance, event: ev.Adopted, now: float) -> None:
    instance.pid, instance.phase = event.pid, Phase.NONE
    instance.started_at = now - event.age
