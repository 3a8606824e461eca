"""Handlers of RUNNING: heartbeats, their silence, limits, and recovery from earlier failures.

The detector evaluates the silence since the last beat; `Instance.deadline` is when it becomes suspicious.
Where a target is configured (`[heartbeat.target]`), the detector's bounds follow from the recorded intervals and are
reviewed as the record grows.
"""

from __future__ import annotations

from typing import Any

from supervisor.core.lifecycle import own_reload
from supervisor.core.lifecycle.entering import note, record, suspect
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.probing import known
from supervisor.core.lifecycle.signs_of_life import take_sign
from supervisor.core.lifecycle.snapshot import Phase
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import Reaction

# -- heartbeats and their target -------------------------------------------------------------------------------------


def heartbeat(instance: Instance, event: ev.Heartbeat, now: float, out: list[Action]) -> None:
    """Take a beat, and review the target when enough new intervals are recorded."""
    if event.process is not None:
        if instance.members is not None:
            from supervisor.core.lifecycle import members

            members.beat(instance, event, now, out)
        return
    known(instance, now, out)
    if instance.says_stopping and instance.members is not None:
        instance.members.begin_again(now)
    instance.says_stopping = False
    instance.beat(event)
    if instance.histogram.count >= instance.review_at:
        review_target(instance, out)


def member_examined(instance: Instance, event: ev.MemberExamined, now: float, out: list[Action]) -> None:
    """A process that beats for itself was examined."""
    from supervisor.core.lifecycle import members

    members.examined(instance, event, now, out)


def member_looked_at(instance: Instance, event: ev.MemberLookedAt, now: float, out: list[Action]) -> None:
    """A process that is at work was looked at."""
    from supervisor.core.lifecycle import members

    members.looked_at(instance, event, now, out)


def review_target(instance: Instance, out: list[Action]) -> None:
    """Set the detector's bounds by the target; record when it becomes certain that the target cannot be met, and when
    it can be met after all."""
    target_infeasible = instance.target_infeasible
    instance.apply_target()
    if instance.target_infeasible is target_infeasible:
        return
    beat, assessment = instance.spec.heartbeat, instance.assessment
    from supervisor.core.text.target import shown

    assert beat is not None and beat.target is not None and assessment is not None  # else nothing could be refused
    cause = Cause.TARGET_INFEASIBLE if instance.target_infeasible else Cause.TARGET_FEASIBLE
    out.append(record(instance, instance.state, cause, shown(assessment, beat.target)))


# -- silence ---------------------------------------------------------------------------------------------------------


def ready_again(instance: Instance, event: ev.Ready, now: float, out: list[Action]) -> None:
    """READY=1 of a process that is ready: the end of its reload, or a sign of life."""
    if instance.reload is not None:
        own_reload.done(instance, now, out)
    take_sign(instance, now, out)


def timed_out(instance: Instance, event: ev.Timeout, now: float, out: list[Action]) -> None:
    """The silence became suspicious, the process has run long enough for its failures to be forgotten, or its reload
    has taken too long."""
    if instance.reload is not None:
        own_reload.timed_out(instance, now, out)
    if _overdue(instance, event.patience, now):
        late = {"patience": round(event.patience, 2)} if event.patience > 1.0 else {}
        suspect(instance, Cause.SILENT, now, out, silence_detail(instance, now) | late)
        return
    if (due := instance.members_deadline) is not None and due <= now:
        from supervisor.core.lifecycle import members

        members.timed_out(instance, event.patience, now, out)
    if instance.state is State.RUNNING and instance.healthy_at is not None and instance.healthy_at <= now:
        instance.healthy_at = None
        if instance.tracker.healthy(now):
            note(instance, Cause.BREAKER_CLOSED, now, out)


def _overdue(instance: Instance, patience: float, now: float) -> bool:
    """Whether the silence is suspicious even when `patience` times as much is allowed."""
    suspect_at = instance.suspect_at
    if suspect_at is None or suspect_at > now:
        return False
    assert instance.detector is not None  # `suspect_at` comes from it
    instance.detector.extend_deadline(patience)
    suspect_at = instance.detector.suspect_at()
    return suspect_at is not None and suspect_at <= now


def silence_detail(instance: Instance, now: float) -> dict[str, Any]:
    """The numbers of the present silence, for the record."""
    detector = instance.detector
    assert detector is not None
    detail: dict[str, Any] = {
        "detector": detector.name,
        "suspicion": round(detector.suspicion(now), 3),
        "threshold": detector.threshold,
        "intervals_s": [round(i, 4) for i in detector.intervals()[-16:]],
    }
    if detector.last is None:
        detail["since_adoption" if instance.had_beaten else "never_beat"] = True
        if instance.status_text or instance.last_sign is not None:
            detail["other_messages"] = True
    since = detector.last if detector.last is not None else instance.last_sign or instance.listening_since
    detail["silence_s"] = round(now - since, 3)
    if instance.last_probe_error:
        detail["last_probe_error"] = instance.last_probe_error
    return detail


# -- other failures --------------------------------------------------------------------------------------------------


def triggered(instance: Instance, event: ev.Triggered, now: float, out: list[Action]) -> None:
    """STARTING, RUNNING: the process asked to be treated as hung."""
    if instance.maintenance is not None:
        note(instance, Cause.TRIGGERED, now, out, {"action": "report"})
    elif instance.phase is not Phase.WAITING:
        suspect(instance, Cause.TRIGGERED, now, out, {})


def limit_exceeded(instance: Instance, event: ev.LimitExceeded, now: float, out: list[Action]) -> None:
    """The process used more of a resource than it may: suspect it, or only report that."""
    cause = Cause(f"{event.resource}-limit")
    detail = {"value": event.value, "limit": event.limit}
    resources = instance.spec.resources
    report = resources is not None and resources.action is Reaction.REPORT
    if report or instance.maintenance is not None:
        note(instance, cause, now, out, detail | {"action": "report"})
    else:
        suspect(instance, cause, now, out, detail)
