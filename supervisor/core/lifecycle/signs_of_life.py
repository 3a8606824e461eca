"""READY=1 and STATUS= as signs of life of a process that has never sent WATCHDOG=1.

Some programs speak sd_notify and beat only under conditions of their own (php-fpm: where WATCHDOG_USEC is above two
seconds).  They run, although no heartbeat comes.  So while no WATCHDOG=1 was ever heard of the service, each of these
messages begins the silence anew, with the whole time that the first heartbeat may take.  They teach the detector no
rhythm, and one WATCHDOG=1 ends their meaning.
"""

from __future__ import annotations

from supervisor.core.lifecycle.entering import await_health, move, record
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.actions import Action, State
from supervisor.core.model.causes import Cause

ONLY_OTHER_MESSAGES = "it sends no WATCHDOG=1; its READY=1 and STATUS= count as signs of life"
"""Why a silence is not counted; recorded once in a run, when only such messages have kept it from suspicion."""


def take_sign(instance: Instance, now: float, out: list[Action]) -> None:
    """RUNNING, SUSPECT: the process sent READY=1 or STATUS=."""
    detector, beat = instance.detector, instance.spec.heartbeat
    if detector is None or beat is None or beat.source != "notify":
        return
    if detector.last is not None or instance.had_beaten or detector.intervals():
        return
    due, before = instance.listening_since + beat.max_timeout, instance.last_sign
    instance.last_sign = now
    detector.start(now)
    if instance.state is State.SUSPECT and instance.suspected_for is Cause.SILENT:
        instance.false_suspicions += 1
        instance.failure = instance.held = None
        await_health(instance, now)
        move(instance, State.RUNNING, Cause.HEARTBEAT_RESUMED, now, out, {"held": ONLY_OTHER_MESSAGES})
    elif (before or instance.listening_since) <= due < now:
        detail = {"held": ONLY_OTHER_MESSAGES, "for_s": round(now - instance.listening_since, 3)}
        out.append(record(instance, instance.state, Cause.HELD, detail))
