"""Handlers for facts that change no state: notifications of the process, and that this daemon did not run.

Most of them come from the process by sd_notify(3).  They are taken in every state in which a process may exist.
"""

from __future__ import annotations

from typing import Any

from supervisor.core.lifecycle.entering import LONGEST_EXTENSION, await_health, move, note, record, stop_step
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.probing import known
from supervisor.core.lifecycle.running import silence_detail
from supervisor.core.lifecycle.signs_of_life import take_sign
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, State
from supervisor.core.model.causes import Cause

_WITH_TIMEOUT = (State.STARTING, State.RUNNING, State.SUSPECT, State.STOPPING)
"""The states in which `until` limits what a process does."""
DAEMON_DID_NOT_RUN = "this supervisor did not run itself"
"""Why a silence is held that became suspicious while this daemon did not run."""


def status_text(instance: Instance, event: ev.StatusText, now: float, out: list[Action]) -> None:
    """Keep the process's own description of its status, and when it came."""
    instance.status_text, instance.status_at = event.text, now
    if instance.state in (State.RUNNING, State.SUSPECT):
        take_sign(instance, now, out)


def notified(instance: Instance, event: ev.Notified | ev.Heartbeat, now: float, out: list[Action]) -> None:
    """STARTING: count what the process sends, so that a start that takes too long tells whether it ever spoke."""
    instance.notified += 1
    instance.notified_at = now
    if type(event) is ev.Heartbeat and event.process is not None:
        instance.beat(event)


def stopping(instance: Instance, event: ev.Stopping, now: float, out: list[Action]) -> None:
    """RUNNING, SUSPECT: the process ends by itself, by whatever order: from here on its silence is no hang."""
    if instance.detector is None or instance.says_stopping:
        return
    instance.says_stopping = True
    if instance.state is State.SUSPECT and instance.suspected_for is Cause.SILENT:
        instance.failure = instance.held = None
        await_health(instance, now)
        move(instance, State.RUNNING, Cause.STOPPING_BY_ITSELF, now, out)
    else:
        note(instance, Cause.STOPPING_BY_ITSELF, now, out)


def refused(instance: Instance, event: ev.NotifyRefused, now: float, out: list[Action]) -> None:
    """Another process than the main one sent a notification, and `notify_access` says that it does not count.  That is
    recorded once in a run: it may be why the service does not become ready."""
    if not instance.sender_refused:
        instance.sender_refused = True
        out.append(record(instance, instance.state, Cause.NOTIFY_REFUSED, {"pid": event.pid}))


def error_told(instance: Instance, event: ev.ErrorTold, now: float, out: list[Action]) -> None:
    """Keep what the process says of its failure for the record of its end.  ERRNO=0 takes it back."""
    found = {"errno": event.errno, "text": event.text, "bus": event.bus_error, "varlink": event.varlink_error}
    instance.error_told = {key: value for key, value in found.items() if value}


def delay_reset(instance: Instance, event: ev.DelayReset, now: float, out: list[Action]) -> None:
    """RESTART_RESET=1: the next restart is delayed as the first one.  The restarts in the window still count."""
    if instance.tracker.attempt:
        out.append(record(instance, instance.state, Cause.DELAY_RESET, {"attempt": instance.tracker.attempt}))
        instance.tracker.reset_delay()


def main_pid(instance: Instance, event: ev.MainPid, now: float, out: list[Action]) -> None:
    """Another process of the tree is the main one now.  A process may repeat that; only the change is recorded."""
    if instance.pid == event.pid:
        return
    instance.pid = event.pid
    note(instance, instance.cause, now, out, {"pid": event.pid, "mainpid": True})


def probe_failed(instance: Instance, event: ev.ProbeFailed, now: float, out: list[Action]) -> None:
    """Keep the error, which is shown with the failure that may follow from it.  The detector counts failures apart from
    silence, because some of them are usual."""
    beat = instance.spec.heartbeat
    known(instance, now, out, asked=beat.probe_timeout if beat is not None else 0.0)
    instance.refusals += 1
    instance.last_probe_error = event.error
    if instance.detector is not None and instance.state is State.RUNNING:
        instance.detector.failed(now)


def heard(instance: Instance, now: float) -> dict[str, Any]:
    """What was heard of a process that did not become ready, for the record: notifications, failed probes, STATUS."""
    detail: dict[str, Any] = {}
    ready = instance.spec.ready
    if instance.notified or (ready is not None and ready.notify):
        detail["notified"] = instance.notified
    if instance.sender_refused:
        detail["sender_refused"] = True
    if instance.notified_at is not None:
        detail["notified_age_s"] = round(now - instance.notified_at, 3)
    if instance.last_probe_error:
        detail |= {"probes_failed": instance.refusals, "last_probe_error": instance.last_probe_error}
    if instance.status_text:
        detail["last_status"] = instance.status_text
    if instance.status_text and instance.status_at is not None:
        detail["last_status_age_s"] = round(now - instance.status_at, 3)
    return detail


def extended(instance: Instance, event: ev.Extended, now: float, out: list[Action]) -> None:
    """STARTING, STOPPING: postpone the timeout, as the process asked, but never advance it.

    The time that one message can ask for is bounded, so that none makes a stop endless; a process that needs
    longer asks again, as sd_notify(3) has it.  After a kill nothing is postponed.
    """
    if instance.until is None or instance.killed:
        return
    stopping = instance.state is State.STOPPING
    configured = stop_step(instance).wait if stopping else instance.spec.start_timeout
    instance.until = max(instance.until, now + min(event.seconds, max(LONGEST_EXTENSION, configured)))


def stalled(instance: Instance, event: ev.DaemonStalled, now: float, out: list[Action]) -> None:
    """Do not count the time in which this daemon did not run: it read no beat and observed no start or stop.

    A silence that would be suspicious by now is recorded as held.
    """
    if instance.detector is not None and instance.state in (State.RUNNING, State.SUSPECT):
        suspect_at = instance.suspect_at
        if suspect_at is not None and suspect_at <= now:
            numbers = {"for_s": round(event.seconds, 3), "silence_s": silence_detail(instance, now)["silence_s"]}
            out.append(record(instance, instance.state, Cause.HELD, {"held": DAEMON_DID_NOT_RUN, **numbers}))
        instance.detector.discount_silence(event.seconds, now)
        instance.counting = False
        instance.not_recorded_before = now
    if instance.blind_since is not None:
        instance.blind_since += event.seconds  # that time is left out already
    if instance.members is not None:
        instance.members.discount_silence(event.seconds, now)
    postpone(instance, event.seconds)


def postpone(instance: Instance, seconds: float) -> None:
    """Do not count `seconds` of a start, a reload or a stop of the process, in which this daemon did not run."""
    if instance.reload is not None:
        instance.reload = instance.reload._replace(until=instance.reload.until + seconds)
    if instance.until is not None and instance.state in _WITH_TIMEOUT:
        instance.until += seconds
