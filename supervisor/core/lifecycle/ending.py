"""Handlers for the end of a process, and the decision what follows it.

Nothing new starts before the main process has ended and its tree is empty.  Then the goal decides first, then what the
stop was for (`Instance.after`), and only then the restart policy: a process that ended although its goal is UP has
failed, and the restart tracker decides whether and when it is started again.  Only a oneshot succeeds by its end.  A
service that ends with a success code is not started again under `on-failure`, but it is missing all the same.
A process that ends by the signal that a user had just sent to it has not failed: its policy decides whether it is
started again, which is then done at once and not counted.
"""

from __future__ import annotations

from typing import Any

from supervisor.core.lifecycle.entering import move, signal_tree, stop_step, wait_to_start
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.snapshot import After, Phase
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, Goal, ReleaseInstance, State
from supervisor.core.model.causes import DETECTED, Cause
from supervisor.core.model.spec import ServiceType
from supervisor.core.restart.tracker import wants_restart
from supervisor.core.text.causes import LEFT_BEHIND

SIGNALLED_WITHIN = 10.0
"""Seconds after a user's signal in which an end by that signal is an effect of the order."""
KILL = 9
SHELL = 128
"""A program that handles a signal and then ends often exits with this plus the number, as a shell does."""
BEFORE_READY = "before_ready"
"""Key in the detail of an exit: readiness is observed, and the process ended before it was ready."""


def exited(instance: Instance, event: ev.Exited, now: float, out: list[Action]) -> None:
    """The process ended although it was wanted.  What is left of its tree is stopped before the decision.

    Of a suspect, the failure that was found is the cause, whatever the exit status is.
    """
    take_exit(instance, event)
    found = instance.failure if instance.state is State.SUSPECT else None
    if found is None and _as_signalled(instance, now):
        found = Cause.SIGNALLED_BY_USER, _exit_detail(instance)
    if found is None:
        detail = _exit_detail(instance) | _too_early(instance) | _after_signal(instance, now)
        found = _exit_cause(instance), detail
    instance.failure = cause, detail = found
    instance.after = After.DECIDE
    instance.phase = Phase.NONE
    if event.tree_empty:
        ended(instance, now, out)
        return
    instance.left_behind = True
    instance.failure = cause, detail = cause, detail | {"tree": LEFT_BEHIND}
    move(instance, State.STOPPING, cause, now, out, detail)
    instance.stop_step = 0
    instance.until = now + stop_step(instance).wait
    signal_tree(instance, out)


def backoff_over(instance: Instance, event: ev.Timeout, now: float, out: list[Action]) -> None:
    """BACKOFF: the delay before the restart has passed."""
    wait_to_start(instance, Cause.BACKOFF_ELAPSED, now, out)


def cooldown_over(instance: Instance, event: ev.Timeout, now: float, out: list[Action]) -> None:
    """FAILED: the cooldown of the breaker is over, and it allows one trial."""
    instance.tracker.trial(now)
    _count_restart(instance)
    wait_to_start(instance, Cause.BREAKER_TRIAL, now, out)


# -- for handlers of other files -------------------------------------------------------------------------------------


def take_exit(instance: Instance, event: ev.Exited) -> None:
    """Remember that the main process is gone, and its exit status."""
    instance.pid = None
    instance.ready = False
    instance.healthy_at = None
    instance.exit_code, instance.signal, instance.out_of_memory = event.exit_code, event.signal, event.out_of_memory
    instance.left_behind = False


def ended(instance: Instance, now: float, out: list[Action]) -> None:
    """Process and tree are gone: release what was held for the incarnation, and go where the goal leads."""
    instance.pid = None
    instance.started_at = None
    instance.ready = False
    stopped_by = _stopped_by(instance)
    instance.killed = instance.draining = False
    instance.stop_step = 0
    instance.lingering, instance.lingering_since = (), None
    instance.phase = Phase.NONE
    out.append(ReleaseInstance(instance.name, instance.incarnation))
    if instance.goal is Goal.DOWN:
        move(instance, State.STOPPED, Cause.STOPPED, now, out, _exit_detail(instance) | stopped_by)
    elif instance.after is After.STOP and instance.spec.on_demand:
        move(instance, State.STOPPED, instance.wanted_by, now, out, _exit_detail(instance) | stopped_by)
    elif instance.after is not After.DECIDE:
        ordered = instance.after is After.RESTART  # else it was idle, and does not start on demand any more
        wait_to_start(instance, instance.wanted_by if ordered else Cause.RELOADED, now, out, stopped_by)
    else:
        if instance.failure is not None and stopped_by:
            instance.failure = instance.failure[0], instance.failure[1] | stopped_by
        decide(instance, now, out)


# -- the decision ----------------------------------------------------------------------------------------------------


def decide(instance: Instance, now: float, out: list[Action]) -> None:
    """Decide by policy and restart tracker: EXITED, FAILED, BACKOFF, or STARTING at once."""
    cause, detail = instance.failure or (_exit_cause(instance), {})
    instance.failure = None
    detail = detail | _exit_detail(instance)
    spec = instance.spec.restart
    oneshot = instance.spec.type is ServiceType.ONESHOT
    found = cause in DETECTED or BEFORE_READY in detail
    rule = ""
    if spec.exit_codes is not None and cause not in DETECTED:
        rule = spec.exit_codes.rule(instance.exit_code)
    if rule:
        detail["exit_code_rule"] = rule
    if not wants_restart(spec, oneshot, instance.exit_code, instance.signal, found, rule):
        success = not found and instance.signal is None and instance.exit_code in spec.success_exit_codes
        if success and oneshot:
            move(instance, State.EXITED, Cause.SUCCEEDED, now, out, detail)
        elif success and instance.spec.on_demand:
            move(instance, State.STOPPED, Cause.ON_DEMAND, now, out, detail)
        else:
            move(instance, State.EXITED, cause, now, out, detail | {"policy": spec.policy.value})
        return
    if instance.maintenance is not None:
        instance.failure = cause, detail
        move(instance, State.EXITED, cause, now, out, detail | {"maintenance": True})
        return
    if cause is Cause.SIGNALLED_BY_USER:
        wait_to_start(instance, cause, now, out, detail)
        return
    decision = instance.tracker.failed(now, instance.rng)
    detail |= {
        "attempt": instance.tracker.attempt,
        "restarts_in_window": instance.tracker.restarts_in_window(now),
        "max_restarts": spec.max_restarts,
        "window_s": spec.window,
    }
    if not decision.restart:
        assert decision.retry_at is not None  # without a restart the breaker is open and has a trial
        detail |= {"breaker": decision.breaker.value, "reason": decision.reason}
        detail["retry_in_s"] = round(decision.retry_at - now, 3)
        move(instance, State.FAILED, cause, now, out, detail, until=decision.retry_at)
        return
    _count_restart(instance)
    detail["delay_s"] = round(decision.delay, 3)
    if decision.delay > 0.0:
        move(instance, State.BACKOFF, cause, now, out, detail, until=now + decision.delay)
    else:
        wait_to_start(instance, cause, now, out, detail)


def _count_restart(instance: Instance) -> None:
    """Count a restart after a failure; until the process is ready it takes one of the host's restart slots."""
    instance.restarts += 1
    instance.recovering = True


def _exit_cause(instance: Instance) -> Cause:
    if instance.signal is not None:
        return Cause.KILLED
    return Cause.EXITED if instance.exit_code is not None else Cause.EXIT_UNKNOWN


def _as_signalled(instance: Instance, now: float) -> bool:
    """Whether the process ended by the signal that a user had just sent to it."""
    recent = _recent_signal(instance, now)
    return recent is not None and (instance.signal == recent[0] or instance.exit_code == SHELL + recent[0])


def _recent_signal(instance: Instance, now: float) -> tuple[int, float] | None:
    """The signal that a user has just sent to the process, and when."""
    found = instance.signalled
    return found if found is not None and now - found[1] <= SIGNALLED_WITHIN else None


def _after_signal(instance: Instance, now: float) -> dict[str, Any]:
    """What the record says of an end soon after a user's signal: a reload may have found a broken configuration."""
    if (recent := _recent_signal(instance, now)) is None:
        return {}
    number, at = recent
    return {"after_signal": number, "after_signal_s": round(now - at, 3)}


def _too_early(instance: Instance) -> dict[str, Any]:
    """What the record says of a service that ended before it was ready: that failed, whatever its exit code is."""
    waited = instance.state is State.STARTING and instance.spec.ready is not None
    return {BEFORE_READY: True} if waited else {}


def _stopped_by(instance: Instance) -> dict[str, Any]:
    """Which step of several ended the process; empty where the stop has one step, or there was none."""
    steps = instance.running_spec.stop_steps
    if instance.state is not State.STOPPING or instance.draining or len(steps) == 1:
        return {}
    signal = KILL if instance.killed else stop_step(instance).signal
    return {"stop_step": instance.stop_step + 1 + instance.killed, "stop_steps": len(steps), "stop_signal": signal}


def _exit_detail(instance: Instance) -> dict[str, Any]:
    detail: dict[str, Any] = {"exit_code": instance.exit_code, "signal": instance.signal}
    if instance.out_of_memory is not None:
        detail["out_of_memory"] = instance.out_of_memory
    if instance.error_told:
        detail["told"] = dict(instance.error_told)
    return detail
