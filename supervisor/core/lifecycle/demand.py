"""Handlers for an instance on demand: it waits without a process until a connection comes, and again when it is idle.

While it waits its goal is UP and its state STOPPED: no process runs, and none is missing, because a connection is
answered all the same.  Failures are handled as of any other service: backoff and breaker decide, and the connection
waits until then.
"""

from __future__ import annotations

from supervisor.core.lifecycle.commands import stop_at_rest
from supervisor.core.lifecycle.entering import end_process, wait_to_start
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.snapshot import After
from supervisor.core.lifecycle.starting import spawn_failed
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, Goal
from supervisor.core.model.causes import Cause


def connected(instance: Instance, event: ev.Connected, now: float, out: list[Action]) -> None:
    """STOPPED: a connection waits; begin a start."""
    if instance.dormant:
        instance.tracker.trial(now)
        wait_to_start(instance, Cause.CONNECTED, now, out, {"socket": event.url})


def idle(instance: Instance, event: ev.Idle, now: float, out: list[Action]) -> None:
    """RUNNING: there was no connection for long enough; end the process and wait for the next one."""
    if instance.goal is Goal.UP and instance.spec.on_demand:
        end_process(instance, Cause.IDLE, After.STOP, now, out, detail={"idle_s": event.seconds})


def cannot_listen(instance: Instance, event: ev.SpawnFailed, now: float, out: list[Action]) -> None:
    """STOPPED: its sockets cannot be opened, so that no connection would come.  That is a failed start."""
    if instance.dormant:
        instance.after = After.DECIDE
        spawn_failed(instance, event, now, out)


def stop(instance: Instance, event: ev.Stop, now: float, out: list[Action]) -> None:
    """STOPPED: where it waits for a connection, it does so no longer."""
    if instance.goal is Goal.UP:
        stop_at_rest(instance, event, now, out)
