"""Handlers for processes that beat for themselves (`heartbeat.scope = "process"`), while the instance is RUNNING.

A silent process is examined as an instance is.  Its suspicion is dropped when it beats, and held while there is a
reason why it could not: it waits for a CPU, is traced or frozen, or what all of them need (a service that this one
depends on, the broker) does not answer.  The same holds while the command that tells of it fails: then the instance is
judged.  A stopped one gets `max_timeout`, also if it is at work that may take longer, which a look tells.
Where half or more fall silent at once they get as much time as they may be silent at most, and then the instance is
restarted, because what they share is to blame.
Otherwise the one process is ended, and its master starts another; or the whole instance is restarted, if that is
configured or processes are ended more often than the restart limits allow.
"""

from __future__ import annotations

from typing import Any

from supervisor.core.detection.members import Member, Members
from supervisor.core.lifecycle.entering import EXAMINE_TIMEOUT, MANY_SILENT, end_process, note, record
from supervisor.core.lifecycle.instance import GIVE_UP_AFTER, Instance
from supervisor.core.lifecycle.snapshot import After
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, ExamineMember, KillMember, LookAtMember
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import HeartbeatSpec, Suspicion

GONE_WITHIN = 1.0
"""Seconds from one look to the next whether a killed process is gone."""
STOPPED = "stopped (SIGSTOP)"
UNASKED = "the command that tells of it has failed"


def beat(instance: Instance, event: ev.Heartbeat, now: float, out: list[Action]) -> None:
    """A beat while some process is a suspect, or was ended: it may clear the one, or replace the other."""
    members = _members(instance)
    assert event.process is not None  # a beat of the main process goes to the instance
    member = members.known.get(event.process)
    if member is not None and member.ended_at is not None:
        return  # it was sent before the kill
    resumed = member is not None and member.since is not None
    if member is not None and resumed:
        if member.held is None:
            instance.false_suspicions += 1
        member.detector.forget_current()
        detail = {"process": member.pid, "for_s": round(now - (member.since or now), 3)}
        member.clear()
        out.append(record(instance, instance.state, Cause.PROCESS_RESUMED, detail))
    new = member is None and members.beat(event.process, event.at, event.sent, event.busy, event.doing)
    if member is not None:
        members.beat(event.process, event.at, event.sent, event.busy, event.doing)
    elif new and members.ended is not None and members.ended.replaced_by is None:
        pid = event.process[0]
        members.ended = members.ended._replace(replaced_by=pid, replaced_at=now)
        detail = {"process": pid, "instead_of": members.ended.pid, "after_s": round(now - members.ended.at, 3)}
        out.append(record(instance, instance.state, Cause.PROCESS_REPLACED, detail))


def timed_out(instance: Instance, patience: float, now: float, out: list[Action]) -> None:
    """Judge every process whose deadline has passed."""
    members = _members(instance)
    for member in members.due(now):
        if member.ended_at is not None:
            member.until = now + GONE_WITHIN + EXAMINE_TIMEOUT
            _examine(instance, member, out)
        elif member.since is None:
            _look(instance, member, now, out)
            _suspect(instance, member, patience, now, out)
        elif member.held is not None and not member.asked_again:
            member.asked_again = True
            member.until = now + 2 * EXAMINE_TIMEOUT
            _examine(instance, member, out)
        elif _act(instance, member, {}, now, out):
            return


def _look(instance: Instance, member: Member, now: float, out: list[Action]) -> None:
    if member.look_at is None or member.look_at > now:
        return
    member.look_at = None
    if member.at_work(now):
        member.look_at = _members(instance).next_look(now)
        out.append(LookAtMember(instance.name, instance.incarnation, member.process))


def _suspect(instance: Instance, member: Member, patience: float, now: float, out: list[Action]) -> None:
    """Its silence became suspicious, unless this daemon was late."""
    member.detector.extend_deadline(patience)
    suspect_at = member.detector.suspect_at()
    if suspect_at is not None and suspect_at <= now:
        _begin_suspicion(instance, member, now, out)


def _begin_suspicion(instance: Instance, member: Member, now: float, out: list[Action]) -> None:
    beat = _spec(instance)
    member.since = now
    timeout = EXAMINE_TIMEOUT + (beat.probe_timeout if beat.shared_is_probed else 0.0)
    member.until = now + timeout + EXAMINE_TIMEOUT
    note(instance, Cause.PROCESS_SILENT, now, out, _detail(instance, member, now))
    _examine(instance, member, out, timeout)


def _examine(instance: Instance, member: Member, out: list[Action], timeout: float = EXAMINE_TIMEOUT) -> None:
    out.append(
        ExamineMember(
            instance.name, instance.incarnation, member.process, timeout, again=member.counting, ran=member.ran
        )
    )


def looked_at(instance: Instance, event: ev.MemberLookedAt, now: float, out: list[Action]) -> None:
    """RUNNING: a process at work that is stopped, and has not run from one look to the next, does not work.

    What stops and continues it again and again, as cpulimit does, lets it work."""
    members = instance.members
    member = members.known.get(event.process) if members is not None else None
    if members is None or member is None:
        return
    if event.gone:
        _gone(instance, members, event.process, now)
        return
    if member.since is not None or not member.at_work(now):
        return
    if not event.stopped:
        member.stopped_at = None
        return
    if member.stopped_at is None or event.ran > member.stopped_ran:
        member.stopped_at, member.stopped_ran = now, event.ran
    elif now >= member.stopped_at + members.max_timeout:
        _begin_suspicion(instance, member, now, out)
        return
    member.look_at = min(members.next_look(now), member.stopped_at + members.max_timeout)


def _gone(instance: Instance, members: Members, process: tuple[int, int], now: float) -> None:
    members.forget(process)
    if not members.known and instance.detector is not None and instance.detector.last is None:
        instance.detector.start(now)  # a new one has to be heard of within `max_timeout`


def examined(instance: Instance, event: ev.MemberExamined, now: float, out: list[Action]) -> None:
    """RUNNING, SUSPECT: what was found of one process."""
    members = instance.members
    member = members.known.get(event.process) if members is not None else None
    if members is None or member is None:
        return
    if event.gone:
        _gone(instance, members, event.process, now)
        return
    if member.ended_at is not None:
        member.until = now + GONE_WITHIN
        if now - member.ended_at >= GIVE_UP_AFTER:
            _restart(instance, member, {"reason": "it was killed, and does not end"}, now, out)
        return
    if member.since is None:
        return
    if _spec(instance).source == "exec" and instance.last_probe_error:
        event = event._replace(held=UNASKED, shared=True)
    member.ran = 0.0 if event.shared else max(member.ran, event.ran)
    member.counting = not event.shared
    if _spec(instance).on_suspect is Suspicion.REPORT:
        member.until = None
        detail = {"action": "report", "evidence": dict(event.evidence)}
        note(instance, Cause.PROCESS_SILENT, now, out, _detail(instance, member, now) | detail)
        return
    why = _reason_to_hold(instance, members, member, event, now)
    if why is not None:
        _hold(instance, member, why, event, now, out)
    elif member.at_work(now) and not event.stopped:
        _works_on(instance, member, now, out)
    elif member.held not in (None, MANY_SILENT, STOPPED) and member.ran < _spec(instance).max_timeout:
        _hold_over(instance, member, now, out)
    else:
        _act(instance, member, {"evidence": dict(event.evidence)} if event.evidence else {}, now, out)


def _reason_to_hold(
    instance: Instance, members: Members, member: Member, event: ev.MemberExamined, now: float
) -> str | None:
    beat = _spec(instance)
    member.stopped = event.stopped
    if event.shared:
        return event.held
    if event.stopped:
        return STOPPED if member.silence(now, members.first_at[member.process]) < beat.max_timeout else None
    if member.ran >= beat.max_timeout:
        return None
    if event.held is not None:
        return event.held
    return MANY_SILENT if members.silent_with(member, now, beat.interval) else None


def _hold(
    instance: Instance, member: Member, why: str, event: ev.MemberExamined, now: float, out: list[Action]
) -> None:
    """The silence proves nothing: examine again later.  A new reason is recorded once."""
    member.asked_again = False
    member.until = now + EXAMINE_TIMEOUT
    if why == STOPPED:  # which excuses it no longer than that
        left = _spec(instance).max_timeout - member.silence(now, _members(instance).first_at[member.process])
        member.until = min(member.until, now + left)
    if member.held != why:
        member.held = why
        lasts = round(now - (member.since or now), 3)
        detail = {"process": member.pid, "held": why, "for_s": lasts, "ran_s": round(event.ran, 3)}
        note(instance, Cause.PROCESS_HELD, now, out, detail)


def _works_on(instance: Instance, member: Member, now: float, out: list[Action]) -> None:
    """It was stopped, and goes on with its work."""
    detail = {"process": member.pid, "for_s": round(now - (member.since or now), 3)}
    member.clear()
    note(instance, Cause.PROCESS_RESUMED, now, out, detail)


def _hold_over(instance: Instance, member: Member, now: float, out: list[Action]) -> None:
    """The reason is gone.  Its silence counts from now, because it had no time to beat yet."""
    detail = {"process": member.pid, "held": member.held, "for_s": round(now - (member.since or now), 3)}
    member.clear()
    last = member.detector.last
    if last is None:
        member.detector.start(now)
    else:
        member.detector.discount_silence(now - last, now)
    note(instance, Cause.PROCESS_RESUMED, now, out, detail)


def _act(instance: Instance, member: Member, more: dict[str, Any], now: float, out: list[Action]) -> bool:
    """End the process, or restart the whole instance (True)."""
    members, beat, limits = _members(instance), _spec(instance), instance.spec.restart
    if beat.on_suspect is Suspicion.REPORT:
        member.until = None
        return False
    if not member.stopped and members.silent_with(member, now, beat.interval):
        return _restart(instance, member, {"reason": "half or more of its processes are silent", **more}, now, out)
    if beat.on_suspect is Suspicion.RESTART:
        return _restart(instance, member, more, now, out)
    if members.kills_within(limits.window, now) >= limits.max_restarts:
        reason = f"more than {limits.max_restarts} of its processes were to be ended within {limits.window:g} s"
        return _restart(instance, member, {"reason": reason, **more}, now, out)
    count = members.count_kill(member.pid, now, limits.window)
    numbers = {"kills_in_window": count, "max_restarts": limits.max_restarts, "window_s": limits.window}
    detail = _detail(instance, member, now) | numbers | more
    member.clear()
    member.since = member.ended_at = now
    member.until = now + GONE_WITHIN
    note(instance, Cause.PROCESS_ENDED, now, out, detail)
    out.append(KillMember(instance.name, instance.incarnation, member.process))
    return False


def _restart(instance: Instance, member: Member, more: dict[str, Any], now: float, out: list[Action]) -> bool:
    """Restart the instance because of this process."""
    detail = _detail(instance, member, now) | more
    end_process(instance, Cause.SILENT, After.DECIDE, now, out, detail=detail)
    instance.failure = (Cause.SILENT, {key: value for key, value in detail.items() if key != "evidence"})
    return True


def _detail(instance: Instance, member: Member, now: float) -> dict[str, Any]:
    """The numbers of the present silence of one process, for the record."""
    detector, members = member.detector, _members(instance)
    detail: dict[str, Any] = {
        "process": member.pid,
        "processes": len(members.known),
        "silence_s": round(member.silence(now, members.first_at[member.process]), 3),
        "detector": detector.name,
        "suspicion": round(detector.suspicion(now), 3),
        "threshold": detector.threshold,
        "intervals_s": [round(i, 4) for i in detector.intervals()[-16:]],
    }
    if detector.last is None:
        detail["beat_once"] = True
    if member.doing:
        detail["doing"] = member.doing
    if member.stopped_at is not None:
        detail["stopped_s"] = round(now - member.stopped_at, 3)
    return detail


def _members(instance: Instance) -> Members:
    assert instance.members is not None  # else no process beats for itself
    return instance.members


def _spec(instance: Instance) -> HeartbeatSpec:
    assert instance.spec.heartbeat is not None
    return instance.spec.heartbeat
