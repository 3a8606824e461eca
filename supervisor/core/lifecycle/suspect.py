"""Handlers of SUSPECT: what the examination found, and whether the suspicion is dropped, held or acted on.

A suspicion is dropped when the process beats, answers the confirming probe or becomes ready, and where that probe
cannot ask (probing.py).  It is held while there is
a reason why the process could not have done so (stopped, traced, frozen, starved, many silent at once): the examination
is repeated until the reason is gone or the process could run for as long as it is allowed to be silent.  What it could
run is counted over all suspicions of one silence, however often a reason goes and comes.  Otherwise the process is
ended.
"""

from __future__ import annotations

from typing import Any

from supervisor.core.lifecycle import own_reload, probing
from supervisor.core.lifecycle.entering import (
    EXAMINE_TIMEOUT,
    MANY_SILENT,
    await_health,
    end_process,
    examine,
    move,
    note,
)
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.probing import known
from supervisor.core.lifecycle.running import review_target
from supervisor.core.lifecycle.signs_of_life import take_sign
from supervisor.core.lifecycle.snapshot import After
from supervisor.core.lifecycle.starting import run_as_ready
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import Evidence

ENOUGH_REFUSALS = 2
"""Probes that did ask since the last beat and got no good answer; so many stand for the question once more where that
could not be asked."""
LONGEST_RECONNECT = 32.0
"""Seconds: the longest pause of Celery between two attempts to reach its broker, and two for the attempt."""
BACK_WITHIN = 8.0
"""Seconds that a silent Celery worker gets although its broker answers.  The broker was away for a few seconds at most
if it has come back just now, and then Celery tries again within four, and consumes two seconds later."""
MAY_RECONNECT = "its broker answers, and may just have come back"
NOT_OVER = (None, MANY_SILENT, MAY_RECONNECT)
"""Reasons for which a hold ends in an act, not in a new count of the silence."""
RECONNECT = 5.0
"""Seconds from a connection until Celery consumes again, at most."""
ABORT = 6
"""SIGABRT, which makes a process write a core file."""


def heartbeat(instance: Instance, event: ev.Heartbeat, now: float, out: list[Action]) -> None:
    """A beat drops a suspicion of silence.  Its interval is recorded unless something kept the process from beating.

    That of another process than the main one counts for the instance only where the main process never beats."""
    if event.process is not None:
        instance.beat(event)
        if instance.suspected_for is Cause.SILENT and instance.only_members_beat:
            _drop(instance, Cause.HEARTBEAT_RESUMED, now, out)
        return
    known(instance, now, out)
    instance.refusals = 0
    if instance.suspected_for is Cause.SILENT and instance.detector is not None:
        last = instance.detector.last
        instance.detector.forget_current()
        if instance.detector.heartbeat(event.at, event.sent):
            if last is not None and instance.held is None and last > instance.not_recorded_before:
                instance.histogram.add(event.at - last)
            _drop(instance, Cause.HEARTBEAT_RESUMED, now, out)
            review_target(instance, out)


def became_ready(instance: Instance, event: ev.Ready, now: float, out: list[Action]) -> None:
    """Readiness drops the suspicion of a start that took too long; READY=1 may be a sign of life."""
    if instance.reload is not None:
        own_reload.done(instance, now, out)
    if instance.suspected_for is Cause.SILENT:
        take_sign(instance, now, out)
    if instance.suspected_for is Cause.START_TIMEOUT:
        instance.false_suspicions += 1
        instance.failure = instance.held = None
        run_as_ready(instance, event.how, now, out)


def examined(instance: Instance, event: ev.SuspectExamined, now: float, out: list[Action]) -> None:
    """Decide by what the examination found: drop the suspicion, report it, hold it, or end the process."""
    instance.evidence = event.evidence
    silent = instance.suspected_for is Cause.SILENT
    instance.counting = not event.shared
    if silent:
        instance.ran = 0.0 if event.shared else max(instance.ran, event.ran)
    if event.alive and silent:
        if instance.detector is not None:
            instance.detector.forget_current()
            instance.detector.heartbeat(now)
            instance.not_recorded_before = now
        instance.refusals = 0
        _drop(instance, Cause.CONFIRMED_ALIVE, now, out)
    elif silent and event.unasked is not None and event.held is None and instance.refusals < ENOUGH_REFUSALS:
        probing.clear(instance, event.unasked, now, out)
    elif instance.until is None:
        note(instance, Cause.SILENT, now, out, {"action": "report", "evidence": dict(event.evidence)})
    elif silent and event.held is None and instance.held not in NOT_OVER and _may_be_silent(instance):
        _hold_over(instance, now, out)
    elif (why := _reason_to_hold(instance, event, now)) is not None:
        _hold(instance, why, event, now, out)
    else:
        _act(instance, now, out, {"held": event.held, "ran_s": event.ran} if event.held else None)


def timed_out(instance: Instance, event: ev.Timeout, now: float, out: list[Action]) -> None:
    """Examine a held suspect again.  Where no examination answered in time, act on the suspicion."""
    if instance.held is None or instance.asked_again:
        _act(instance, now, out, {"held": instance.held} if instance.held else None)
        return
    instance.asked_again = True
    instance.until = now + 2 * EXAMINE_TIMEOUT
    examine(instance, EXAMINE_TIMEOUT, out, silent=instance.suspected_for is Cause.SILENT)


def _drop(instance: Instance, cause: Cause, now: float, out: list[Action]) -> None:
    """The suspicion was false: the process runs."""
    instance.false_suspicions += 1
    instance.failure = None
    instance.held = None
    instance.ran = 0.0
    await_health(instance, now)
    move(instance, State.RUNNING, cause, now, out, {"false_suspicions": instance.false_suspicions})


def _reason_to_hold(instance: Instance, event: ev.SuspectExamined, now: float) -> str | None:
    """Why the suspect gets more time; None when it could run for as long as it may be silent or start.

    A slow start that was held once stays held while it has time left: how much of the start was lost is not known.
    """
    cause = instance.suspected_for
    if cause is Cause.SILENT and event.shared:
        return event.held
    if cause is Cause.SILENT and event.held is None and _may_reconnect(instance, now):
        return MAY_RECONNECT
    if cause is Cause.SILENT:
        return event.held if _may_be_silent(instance) else None
    if cause is Cause.START_TIMEOUT and event.ran < instance.spec.start_timeout:
        return event.held or instance.held
    return None


def _may_be_silent(instance: Instance) -> bool:
    """It could not run yet for as long as it may be silent."""
    heartbeat = instance.spec.heartbeat
    return heartbeat is not None and instance.ran < heartbeat.max_timeout


def _hold(instance: Instance, why: str, event: ev.SuspectExamined, now: float, out: list[Action]) -> None:
    """The silence proves nothing: examine again later.  A new reason is recorded once."""
    instance.asked_again = False
    instance.until = now + EXAMINE_TIMEOUT
    if instance.held != why:
        instance.held = why
        numbers = {key: event.evidence[key] for key in ("waited", "host") if key in event.evidence}
        lasts = round(now - instance.suspect_since, 3)
        note(instance, Cause.HELD, now, out, {"held": why, "for_s": lasts, "ran_s": round(event.ran, 3), **numbers})


def _hold_over(instance: Instance, now: float, out: list[Action]) -> None:
    """The reason to hold the suspect is gone.  Its silence counts from now, because it had no time to beat yet."""
    detector = instance.detector
    assert detector is not None  # it suspected the process
    instance.failure = None
    detail = {"held": instance.held, "for_s": round(now - instance.suspect_since, 3)}
    instance.held = None
    await_health(instance, now)
    move(instance, State.RUNNING, Cause.HOLD_OVER, now, out, detail)
    if detector.last is None:
        detector.start(now)
    else:
        detector.discount_silence(now - detector.last + reconnect(instance, now), now)
        instance.not_recorded_before = now


def _may_reconnect(instance: Instance, now: float) -> bool:
    """The broker of a Celery worker answers, but may have come back just now, in the middle of this silence."""
    heartbeat = instance.spec.heartbeat
    probed = heartbeat is not None and heartbeat.shared_is_probed
    return probed and now - instance.suspect_since < BACK_WITHIN


def reconnect(instance: Instance, now: float) -> float:
    """Seconds that a Celery worker gets to consume again after its broker was away: it waits the longer between its
    attempts to connect the longer that lasted, at most half a minute."""
    heartbeat = instance.spec.heartbeat
    if heartbeat is None or heartbeat.source != "celery":
        return 0.0
    return min(now - instance.suspect_since, LONGEST_RECONNECT) + RECONNECT


def _act(instance: Instance, now: float, out: list[Action], more: dict[str, Any] | None = None) -> None:
    """End the process because of the failure that was found; the evidence goes into the record of this decision."""
    assert instance.failure is not None
    cause, detail = instance.failure
    detail = detail | (more or {})
    if instance.evidence:
        detail["evidence"] = dict(instance.evidence)
    instance.held = None
    core = instance.spec.evidence is Evidence.CORE
    end_process(instance, cause, After.DECIDE, now, out, detail=detail, signal=ABORT if core else None)
    instance.failure = (cause, {k: v for k, v in detail.items() if k != "evidence"})
