"""Handlers of STARTING: the start is permitted, the process is spawned and becomes ready, or does not in time.

`Instance.phase` says how far the start has come: WAITING → SPAWNING → UP.
"""

from __future__ import annotations

from supervisor.core.lifecycle.ending import ended
from supervisor.core.lifecycle.entering import await_ready, forget_said, kill, move, note, record, run, suspect
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.notices import heard, notified
from supervisor.core.lifecycle.probing import known
from supervisor.core.lifecycle.snapshot import After, Phase
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, Spawn, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import ServiceType

UNHEARD = "it may have said so while no supervisor was there to hear it"
"""Why an adopted process counts as ready whose READY=1 was never heard."""


def permitted(instance: Instance, event: ev.StartPermitted, now: float, out: list[Action]) -> None:
    """Dependencies are ready and a restart slot is free: begin a new incarnation and order its spawn."""
    if instance.phase is not Phase.WAITING:
        return
    instance.phase = Phase.SPAWNING
    instance.incarnation += 1
    instance.running_spec = instance.spec
    instance.waiting_for = ""
    instance.ready = False
    forget_said(instance)
    instance.signalled = None
    instance.held = None
    instance.failure = None
    instance.ready_unseen = False
    instance.after = After.DECIDE
    instance.until = None
    if instance.maintenance is not None and instance.maintenance.reload_due:
        instance.maintenance = instance.maintenance._replace(reload_due=False)
    out.append(record(instance, instance.state, instance.cause, {"phase": "spawn"}))
    out.append(Spawn(instance.name, instance.incarnation))


def spawned(instance: Instance, event: ev.Spawned, now: float, out: list[Action]) -> None:
    """The process exists: wait until it is ready, or take it as running where readiness is not observed."""
    instance.pid, instance.started_at, instance.phase = event.pid, now, Phase.UP
    instance.spawn_error = ""
    if instance.spec.ready is not None:
        note(instance, Cause.SPAWNED, now, out, {"pid": event.pid})
        await_ready(instance, now, out)
    else:
        is_service = instance.spec.type is ServiceType.SERVICE
        run(instance, Cause.SPAWNED, now, out, {"pid": event.pid}, ready=is_service)


def spawn_failed(instance: Instance, event: ev.SpawnFailed, now: float, out: list[Action]) -> None:
    """STARTING, STOPPING: no process was created.  That is a failure without an exit status.

    Where a process is stuck between fork and exec, its end is awaited before anything else is started.
    """
    instance.phase = Phase.NONE
    instance.exit_code = instance.signal = instance.out_of_memory = None
    instance.left_behind = False
    instance.spawn_error = event.error
    instance.failure = (Cause.SPAWN_FAILED, {"error": event.error})
    if event.pid is None:
        ended(instance, now, out)
        return
    instance.pid, instance.started_at = event.pid, now
    move(instance, State.STOPPING, Cause.SPAWN_FAILED, now, out, {"error": event.error})
    kill(instance, now, out)


def became_ready(instance: Instance, event: ev.Ready, now: float, out: list[Action]) -> None:
    """The process is ready: it runs."""
    if instance.phase is Phase.UP:
        run_as_ready(instance, event.how, now, out)


def heartbeat(instance: Instance, event: ev.Heartbeat, now: float, out: list[Action]) -> None:
    """A beat before READY=1 was heard.  Of an adopted process it shows that READY=1 was sent while no daemon listened,
    because programs send WATCHDOG=1 once they are ready (sd_notify(3))."""
    notified(instance, event, now, out)
    if instance.phase is Phase.UP and instance.ready_unseen:
        run_as_ready(instance, f"assumed from a heartbeat: {UNHEARD}", now, out)


def timed_out(instance: Instance, event: ev.Timeout, now: float, out: list[Action]) -> None:
    """The process was not ready in time: suspect it, unless it cannot be asked.

    A process that was adopted during its start may have sent READY=1 before this daemon listened: it counts as ready.
    """
    if instance.blind_since is not None:
        return
    if instance.phase is Phase.UP and instance.ready_unseen:
        how = f"assumed: {UNHEARD}"
        run(instance, Cause.READY, now, out, {"how": how}, ready=True)
    elif instance.phase is Phase.UP:
        detail = {"start_timeout_s": instance.spec.start_timeout, **heard(instance, now)}
        suspect(instance, Cause.START_TIMEOUT, now, out, detail)


def run_as_ready(instance: Instance, how: str, now: float, out: list[Action]) -> None:
    """Enter RUNNING because of readiness; the record says `how` it was observed and how long the start took."""
    known(instance, now, out)
    seconds = now - instance.started_at if instance.started_at is not None else 0.0
    run(instance, Cause.READY, now, out, {"how": how, "after_s": round(seconds, 3)}, ready=True)
