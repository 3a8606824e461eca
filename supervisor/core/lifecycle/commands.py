"""Handlers for commands: start, stop, restart, reset, signal, and a changed configuration.

A command sets the goal at once.  What it does to the state depends on what is under way: a start or a stop that has
begun is finished, and `Instance.after` remembers what is to follow it.  The record of an order names its giver.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from supervisor.core.lifecycle import own_reload
from supervisor.core.lifecycle.entering import end_process, kill, move, note, record, wait_to_start
from supervisor.core.lifecycle.instance import Instance, detector_of, histogram_of, members_of
from supervisor.core.lifecycle.running import review_target
from supervisor.core.lifecycle.snapshot import After, Phase
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, Goal, Purpose, Signal, StartMonitoring, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import HeartbeatSpec, ServiceSpec, ServiceType

# -- start -----------------------------------------------------------------------------------------------------------


def start(instance: Instance, event: ev.Start, now: float, out: list[Action]) -> None:
    """STOPPED, EXITED, BACKOFF, FAILED: begin a start.  Where the breaker is open, which a stop does not change, it is
    the trial.  What starts on demand, and is not asked for by name, waits for a connection."""
    if event.lazy and instance.spec.on_demand:
        if not instance.dormant:
            instance.goal, instance.phase = Goal.UP, Phase.NONE
            move(instance, State.STOPPED, Cause.ON_DEMAND, now, out, _given(event.by))
        return
    _begin_start(instance, event, now, out)


def start_while_up(instance: Instance, event: ev.Start, now: float, out: list[Action]) -> None:
    """STARTING, RUNNING, SUSPECT: a stop that was announced for later is called off.  In maintenance a start that waits
    for its end becomes that of the person."""
    if instance.goal is Goal.DOWN or (instance.awaits_end_of_maintenance and event.by):
        instance.goal = Goal.UP
        note(instance, event.cause, now, out, _given(event.by))


def start_while_stopping(instance: Instance, event: ev.Start, now: float, out: list[Action]) -> None:
    """STOPPING: let the stop finish, then start.  One that was idle waits for a connection, unless it is asked for."""
    if instance.goal is Goal.DOWN or (instance.after is After.STOP and not event.lazy):
        _start_after_stop(instance, event, now, out)


def _begin_start(instance: Instance, event: ev.Start | ev.Restart, now: float, out: list[Action]) -> None:
    instance.goal = Goal.UP
    instance.tracker.trial(now)
    wait_to_start(instance, event.cause, now, out, _given(event.by))


def _start_after_stop(instance: Instance, event: ev.Start | ev.Restart, now: float, out: list[Action]) -> None:
    instance.goal = Goal.UP
    instance.after, instance.wanted_by = After.RESTART, event.cause
    note(instance, event.cause, now, out, _given(event.by))


# -- stop ------------------------------------------------------------------------------------------------------------


def stop_at_rest(instance: Instance, event: ev.Stop, now: float, out: list[Action]) -> None:
    """BACKOFF, FAILED, EXITED, or STARTING while it waits: no process runs, so the instance is stopped at once."""
    instance.goal, instance.phase, instance.waiting_for = Goal.DOWN, Phase.NONE, ""
    instance.wanted_by = event.cause
    move(instance, State.STOPPED, event.cause, now, out, _given(event.by))


def stop_while_starting(instance: Instance, event: ev.Stop, now: float, out: list[Action]) -> None:
    """STARTING: end the process if one was ordered."""
    if instance.phase is Phase.WAITING:
        stop_at_rest(instance, event, now, out)
    else:
        stop(instance, event, now, out)


def stop(instance: Instance, event: ev.Stop, now: float, out: list[Action]) -> None:
    """RUNNING, SUSPECT: end the process, now or (`later`) when the service set says so.

    A detached process outlives the daemon: a shutdown leaves it running.
    """
    if event.cause is Cause.SHUTDOWN and instance.outlives_daemon:
        if instance.cause is not Cause.LEFT_RUNNING:
            note(instance, Cause.LEFT_RUNNING, now, out, {"pid": instance.pid, **_given(event.by)})
        return
    if event.later:
        instance.wanted_by = event.cause
        if instance.goal is Goal.UP:
            instance.goal = Goal.DOWN
            note(instance, event.cause, now, out, _given(event.by))
        return
    instance.goal = Goal.DOWN
    end_process(instance, event.cause, After.STOP, now, out, detail=_given(event.by), force=event.force)


def stop_while_stopping(instance: Instance, event: ev.Stop, now: float, out: list[Action]) -> None:
    """STOPPING: nothing follows the stop any more.  `force` kills the tree without waiting for the timeout."""
    if instance.goal is Goal.UP:
        instance.goal = Goal.DOWN
        note(instance, event.cause, now, out, _given(event.by))
    instance.after, instance.wanted_by = After.STOP, event.cause
    if event.force and instance.phase is Phase.SPAWNING:
        instance.killed = True
    elif event.force:
        kill(instance, now, out)


# -- restart ---------------------------------------------------------------------------------------------------------


def restart_at_rest(instance: Instance, event: ev.Restart, now: float, out: list[Action]) -> None:
    """STOPPED, EXITED, BACKOFF, FAILED: no process runs, so a restart is a start."""
    _begin_start(instance, event, now, out)


def restart_while_starting(instance: Instance, event: ev.Restart, now: float, out: list[Action]) -> None:
    """STARTING: end the process if one was ordered; a start that only waits goes on."""
    if instance.phase is not Phase.WAITING:
        restart(instance, event, now, out)
    elif instance.awaits_end_of_maintenance:
        note(instance, event.cause, now, out, _given(event.by))


def restart(instance: Instance, event: ev.Restart, now: float, out: list[Action]) -> None:
    """RUNNING, SUSPECT: end the process, then start."""
    instance.goal = Goal.UP
    detail = {"service": event.service} if event.service else _given(event.by)
    end_process(instance, event.cause, After.RESTART, now, out, detail=detail)


def restart_while_stopping(instance: Instance, event: ev.Restart, now: float, out: list[Action]) -> None:
    """STOPPING: let the stop finish, then start."""
    _start_after_stop(instance, event, now, out)


# -- reset -----------------------------------------------------------------------------------------------------------


def reset(instance: Instance, event: ev.Reset, now: float, out: list[Action]) -> None:
    """Forget failures and close the breaker; the state does not depend on them."""
    instance.tracker.reset()
    instance.healthy_at = None
    note(instance, Cause.RESET_BY_USER, now, out, _given(event.by))


def reset_at_rest(instance: Instance, event: ev.Reset, now: float, out: list[Action]) -> None:
    """BACKOFF, FAILED: forget failures and close the breaker, so that the start need not wait any longer."""
    instance.tracker.reset()
    wait_to_start(instance, Cause.RESET_BY_USER, now, out, _given(event.by))


# -- signal ----------------------------------------------------------------------------------------------------------


def send_signal(instance: Instance, event: ev.SendSignal, now: float, out: list[Action]) -> None:
    """STARTING, RUNNING, SUSPECT, STOPPING: signal the main process.  Its end by that very signal is no failure."""
    if instance.pid is not None:
        instance.signalled = event.number, now
        own_reload.asked(instance, event.number, now)
        detail = {"sent": event.number, **_given(event.by)}
        out.append(record(instance, instance.state, Cause.SIGNALLED_BY_USER, detail))
        out.append(Signal(instance.name, instance.incarnation, event.number, resume=event.resume))


def refuse_reload(instance: Instance, event: ev.ReloadRefused, now: float, out: list[Action]) -> None:
    """STARTING, RUNNING, SUSPECT, STOPPING: record that its configuration is broken; the process goes on as it is."""
    detail = {"refused": event.number, "why": event.why, "output": [*event.output], **_given(event.by)}
    out.append(record(instance, instance.state, Cause.RELOAD_REFUSED, detail))


# -- a changed configuration -----------------------------------------------------------------------------------------


def begins_anew(instance: Instance, spec: ServiceSpec) -> bool:
    """Whether a changed definition starts a process although none runs: the former process failed or ended without an
    order, and the change needs a new process.  A oneshot that has succeeded is done."""
    if instance.goal is not Goal.UP:
        return False
    if instance.state is State.STOPPED:
        return not spec.on_demand
    if instance.state is State.EXITED:
        return instance.cause is not Cause.SUCCEEDED or spec.type is ServiceType.SERVICE
    return instance.state in (State.BACKOFF, State.FAILED)


def reconfigure(instance: Instance, event: ev.Reconfigure, now: float, out: list[Action]) -> None:
    """Take a changed specification, and restart the process where only a new one can follow it; failures of the former
    definition do not count then.  What failed is started.

    In maintenance that waits for the end."""
    _take_spec(instance, event.spec, now, out)
    if event.number_alone:
        instance.running_spec = event.spec
        return
    if instance.maintenance is not None:
        runs = instance.state is State.RUNNING or instance.phase in (Phase.SPAWNING, Phase.UP)
        due = instance.maintenance.reload_due or (event.restart and (runs or begins_anew(instance, event.spec)))
        instance.maintenance = instance.maintenance._replace(reload_due=due)
        out.append(record(instance, instance.state, Cause.RELOADED, _given(event.by)))
        if event.restart:
            return
    if not event.restart:
        instance.running_spec = event.spec
        if instance.state is State.RUNNING and instance.detector is not None:
            out.append(StartMonitoring(instance.name, instance.incarnation, Purpose.HEARTBEAT))
        if instance.maintenance is not None:
            return
    elif instance.state in (State.RUNNING, State.SUSPECT) or instance.phase in (Phase.SPAWNING, Phase.UP):
        if instance.goal is Goal.UP:
            _forget_failures(instance)
            end_process(instance, Cause.RELOADED, After.RESTART, now, out, detail=_given(event.by))
        return
    elif begins_anew(instance, event.spec):
        start_anew(instance, now, out, event.by)
        return
    elif _is_failing(instance) and event.spec.type is ServiceType.SERVICE:
        _forget_failures(instance)
        instance.after, instance.wanted_by, instance.failure = After.RESTART, Cause.RELOADED, None
    note(instance, Cause.RELOADED, now, out, _given(event.by))


def start_anew(instance: Instance, now: float, out: list[Action], by: Mapping[str, Any] = ev.NOTHING) -> None:
    """Start what has failed or ended with a changed definition, or let it wait for a connection again."""
    _forget_failures(instance)
    if instance.spec.on_demand:
        move(instance, State.STOPPED, Cause.RELOADED, now, out, _given(by))
    else:
        wait_to_start(instance, Cause.RELOADED, now, out, _given(by))


def _is_failing(instance: Instance) -> bool:
    """Its process is on its way down, and what follows is not decided yet."""
    return instance.state is State.STOPPING and instance.goal is Goal.UP and instance.after is After.DECIDE


def _forget_failures(instance: Instance) -> None:
    instance.tracker.reset()
    instance.recovering = False


# -- a rollout -------------------------------------------------------------------------------------------------------


def replace_at_rest(instance: Instance, event: ev.Replace, now: float, out: list[Action]) -> None:
    """STOPPED, BACKOFF, EXITED, FAILED: no process runs; where one is wanted, it starts now."""
    _take_definition(instance, event, now, out)
    if instance.goal is Goal.UP:
        wait_to_start(instance, event.cause, now, out, _given(event.by))
    else:
        note(instance, event.cause, now, out, _given(event.by))


def replace_while_starting(instance: Instance, event: ev.Replace, now: float, out: list[Action]) -> None:
    """STARTING: end the process if one was ordered; a start that only waits goes on with the other definition."""
    if instance.phase is Phase.WAITING:
        _take_definition(instance, event, now, out)
        note(instance, event.cause, now, out, _given(event.by))
    else:
        replace(instance, event, now, out)


def replace(instance: Instance, event: ev.Replace, now: float, out: list[Action]) -> None:
    """RUNNING, SUSPECT: end the process, then start.  One that is to stop after its dependants is left to that stop."""
    _take_definition(instance, event, now, out)
    if instance.goal is Goal.UP:
        end_process(instance, event.cause, After.RESTART, now, out, detail=_given(event.by))
    else:
        note(instance, event.cause, now, out, _given(event.by))


def replace_while_stopping(instance: Instance, event: ev.Replace, now: float, out: list[Action]) -> None:
    """STOPPING: let the stop finish, then start where a process is wanted."""
    _take_definition(instance, event, now, out)
    if instance.goal is Goal.UP:
        instance.after, instance.wanted_by, instance.failure = After.RESTART, event.cause, None
    note(instance, event.cause, now, out, _given(event.by))


def _take_definition(instance: Instance, event: ev.Replace, now: float, out: list[Action]) -> None:
    _take_spec(instance, event.spec, now, out)
    instance.revision = event.revision
    _forget_failures(instance)


def _take_spec(instance: Instance, spec: ServiceSpec, now: float, out: list[Action]) -> None:
    """Make a new detector where the heartbeat changed; keep the recorded intervals where beats come as before."""
    if spec.heartbeat != instance.spec.heartbeat:
        instance.target_infeasible = False
        if not _same_source(spec.heartbeat, instance.spec.heartbeat):
            instance.histogram = histogram_of(spec.heartbeat)
        instance.detector = detector_of(spec.heartbeat)
        former, instance.members = instance.members, members_of(spec.heartbeat)
        if former is not None and instance.members is not None and instance.cause_at is not None:
            instance.members.take_over(former, now)
        if instance.detector is not None and instance.state is State.RUNNING and instance.cause_at is not None:
            instance.detector.start(instance.cause_at)
    instance.spec = spec
    review_target(instance, out)
    instance.tracker.reconfigure(spec.restart)


def _same_source(one: HeartbeatSpec | None, other: HeartbeatSpec | None) -> bool:
    """Whether beats come from the same source at the same interval; then only their evaluation differs."""
    return one is not None and other is not None and (one.source, one.interval) == (other.source, other.interval)


def _given(by: Mapping[str, Any]) -> dict[str, Any]:
    """What the record of an order says of its giver; nothing where the daemon gave it."""
    return {"by": dict(by)} if by else {}
