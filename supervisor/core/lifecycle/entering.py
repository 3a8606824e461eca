"""How an instance enters a state, and how that is recorded.

Several handlers lead to the same state: a stop, a restart, a changed configuration and a suspicion all end a process.
The function that enters the state sets what the state needs and orders what it begins with, so that each handler says
only why.  Handlers of different states therefore need not import each other.

Like handlers, these functions change the instance and append actions to `out`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.snapshot import After, Phase
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, Examine, Kill, Purpose, Record, Signal, StartMonitoring, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import ReadySpec, StopStep, Suspicion
from supervisor.core.restart.tracker import Breaker

EXAMINE_TIMEOUT = 1.0
"""Seconds in which an examination has to answer, from when it begins; without an answer after twice that time the
suspicion is acted on."""
MANY_SILENT = "many fell silent at once"
"""Why a suspect is held: the silence of many points at what they share."""
_PROBED = frozenset({State.STARTING, State.RUNNING, State.SUSPECT})
LONGEST_EXTENSION = 600.0
"""Seconds that one EXTEND_TIMEOUT_USEC can ask for at most, where the configured timeout is not longer."""
KILL_INTERVAL = 5.0
"""Seconds from one SIGKILL to the next for a tree that does not end."""


# -- records ---------------------------------------------------------------------------------------------------------


def record(instance: Instance, before: State, cause: Cause, detail: Mapping[str, Any] | None = None) -> Record:
    """The record of what just happened to the instance, which was in state `before`."""
    i = instance
    return Record(i.name, i.spec.name, i.incarnation, i.goal, before, i.state, cause, detail or {})


def move(
    instance: Instance,
    after: State,
    cause: Cause,
    now: float,
    out: list[Action],
    detail: Mapping[str, Any] | None = None,
    *,
    until: float | None = None,
) -> None:
    """Change the state and record it.  `until`: when the new state times out."""
    before, instance.state = instance.state, after
    if after not in _PROBED:
        instance.blind_since, instance.probe_delayed = None, False
        instance.says_stopping = False
        if instance.members is not None:
            instance.members.clear()
    instance.cause, instance.cause_at, instance.until = cause, now, until
    out.append(record(instance, before, cause, detail))


def note(
    instance: Instance, cause: Cause, now: float, out: list[Action], detail: Mapping[str, Any] | None = None
) -> None:
    """Record something that changes no state.  Why a process has ended stays known: a oneshot has succeeded by that."""
    if instance.state is not State.EXITED:
        instance.cause, instance.cause_at = cause, now
    out.append(record(instance, instance.state, cause, detail))


# -- STARTING --------------------------------------------------------------------------------------------------------


def wait_to_start(
    instance: Instance, cause: Cause, now: float, out: list[Action], detail: dict[str, Any] | None = None
) -> None:
    """Enter STARTING: the instance waits until the service set permits the start.  What the last run said is over."""
    forget_said(instance)
    move(instance, State.STARTING, cause, now, out, detail)
    instance.phase, instance.waiting_because = Phase.WAITING, ""
    instance.blind_since, instance.probe_delayed = None, False


def forget_said(instance: Instance) -> None:
    """Forget what a process said of itself: the next one has not said it."""
    instance.status_text = instance.last_probe_error = ""
    instance.status_at = instance.notified_at = None
    instance.notified = instance.refusals = 0
    instance.reload, instance.error_told, instance.sender_refused = None, ev.NOTHING, False


def await_ready(instance: Instance, now: float, out: list[Action]) -> None:
    """Begin to observe the readiness of a process; it has to be ready within the start timeout."""
    instance.until = now + instance.spec.start_timeout
    instance.blind_since = None
    out.append(StartMonitoring(instance.name, instance.incarnation, Purpose.READY))


def await_ready_again(instance: Instance, ready: ReadySpec, now: float, out: list[Action]) -> None:
    """Give an adopted process the whole start timeout again.  It may have sent READY=1 while no daemon listened."""
    instance.phase = Phase.UP
    instance.ready_unseen = ready.notify
    await_ready(instance, now, out)


# -- RUNNING ---------------------------------------------------------------------------------------------------------


def run(
    instance: Instance, cause: Cause, now: float, out: list[Action], detail: dict[str, Any], *, ready: bool
) -> None:
    """Enter RUNNING at the end of a start."""
    instance.ready = ready
    instance.recovering = False
    instance.last_probe_error = ""
    instance.ran, instance.had_beaten = 0.0, False
    instance.phase = Phase.NONE
    await_health(instance, now)
    move(instance, State.RUNNING, cause, now, out, detail)
    listen(instance, now, out)


def listen(instance: Instance, now: float, out: list[Action]) -> None:
    """Begin to observe heartbeats; silence counts from now on."""
    instance.blind_since, instance.probe_delayed, instance.refusals = None, False, 0
    instance.listening_since, instance.last_sign = now, None
    if instance.members is not None:
        instance.members.begin_again(now)
    if instance.detector is not None:
        instance.detector.start(now)
        instance.not_recorded_before = -inf
        out.append(StartMonitoring(instance.name, instance.incarnation, Purpose.HEARTBEAT))


def await_health(instance: Instance, now: float) -> None:
    """Set the moment at which earlier failures are forgotten, if there were any and the process runs until then."""
    if instance.tracker.attempt or instance.tracker.breaker is not Breaker.CLOSED:
        instance.healthy_at = now + instance.spec.restart.reset_after


# -- SUSPECT ---------------------------------------------------------------------------------------------------------


def suspect(instance: Instance, cause: Cause, now: float, out: list[Action], detail: dict[str, Any]) -> None:
    """Enter SUSPECT and order an examination.  With `on_suspect = "report"` a silence is only reported: no timeout."""
    heartbeat = instance.spec.heartbeat
    silent = cause is Cause.SILENT
    instance.failure = (cause, detail)
    instance.suspect_since = now
    instance.phase = Phase.NONE
    instance.healthy_at = None
    instance.held = None
    instance.evidence = ev.NOTHING
    if instance.members is not None:
        instance.members.clear_suspicions()
    only_report = silent and heartbeat is not None and heartbeat.on_suspect is Suspicion.REPORT
    timeout = EXAMINE_TIMEOUT
    if silent and heartbeat is not None:
        timeout += heartbeat.probe_timeout
    until = None if only_report else now + timeout + EXAMINE_TIMEOUT  # a late daemon gives the examination late
    move(instance, State.SUSPECT, cause, now, out, detail, until=until)
    instance.counting = instance.counting and silent and instance.ran > 0.0
    examine(instance, timeout, out, silent=silent)


def examine(instance: Instance, timeout: float, out: list[Action], *, silent: bool) -> None:
    """Order an examination; its count of schedulable time goes on where it belongs to the present silence."""
    ran = instance.ran if silent else 0.0
    out.append(Examine(instance.name, instance.incarnation, timeout, confirm=silent, again=instance.counting, ran=ran))


# -- STOPPING --------------------------------------------------------------------------------------------------------


def end_process(
    instance: Instance,
    cause: Cause,
    after: After,
    now: float,
    out: list[Action],
    *,
    detail: dict[str, Any] | None = None,
    force: bool = False,
    signal: int | None = None,
) -> None:
    """Enter STOPPING.  `after` says what follows; `signal` replaces the stop signal; `force` kills the tree at once.

    A balanced instance that was ready and is ended by an order, not for a failure, is drained first: it gets no request
    any more, and the stop signal when its requests are answered (`Drained`) or the time for that is over.

    While a spawn is under way there is no process to signal yet: STOPPING then waits for `Spawned` or `SpawnFailed`,
    and the handler of `Spawned` sends the signal, or kills.
    """
    instance.after, instance.wanted_by = after, cause
    balance = instance.running_spec.balance
    drains = after is not After.DECIDE and not force and instance.ready and instance.state is State.RUNNING
    if after is not After.DECIDE:
        instance.failure = None
    instance.ready = False
    instance.healthy_at = None
    instance.killed, instance.stop_step = force, 0
    move(instance, State.STOPPING, cause, now, out, detail)
    if instance.phase is Phase.SPAWNING:
        return
    instance.phase = Phase.NONE
    if force:
        kill(instance, now, out)
    elif drains and balance is not None:
        instance.draining, instance.until = True, now + balance.drain
    else:
        send_stop(instance, now, out, signal)


def send_stop(instance: Instance, now: float, out: list[Action], signal: int | None = None) -> None:
    """Send the signal of the present step to the main process, or `signal` in its place.  After the last step the tree
    is killed."""
    step = stop_step(instance)
    instance.draining = False
    instance.until = now + step.wait
    out.append(Signal(instance.name, instance.incarnation, signal or step.signal))


def stop_step(instance: Instance) -> StopStep:
    """The present step of its stop.  A reload may have left fewer steps."""
    steps = instance.running_spec.stop_steps
    return steps[min(instance.stop_step, len(steps) - 1)]


def signal_tree(instance: Instance, out: list[Action]) -> None:
    """Send the signal of the present step to what the main process left behind."""
    out.append(Signal(instance.name, instance.incarnation, stop_step(instance).signal, tree=True))


def kill(instance: Instance, now: float, out: list[Action]) -> None:
    """Kill the tree, and again after `KILL_INTERVAL` if it is still there."""
    instance.killed, instance.draining = True, False
    instance.until = now + KILL_INTERVAL
    out.append(Kill(instance.name, instance.incarnation))
