"""Handlers for probes that cannot ask: the program is gone, is killed, is starved, or this host lacks something.

Such a probe says nothing about the process, so its silence is not counted from then on: the instance is *blind* until
a probe asks again, whatever the answer is.  A start has no timeout meanwhile.  Each change is recorded once, with how
long the instance was blind.
"""

from __future__ import annotations

from typing import Any

from supervisor.core.lifecycle.entering import await_health, move, note
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, State
from supervisor.core.model.causes import Cause


def unknown(instance: Instance, event: ev.ProbeUnknown, now: float, out: list[Action]) -> None:
    """STARTING, RUNNING, SUSPECT: a probe could not ask.  Silence does not count from when it was to ask."""
    _count(instance, event.error)
    told = instance.blind_since is not None and not instance.probe_delayed
    instance.probe_delayed = False
    if instance.blind_since is None:
        instance.blind_since = _not_before_what_is_known(instance, event.since, now)
    if not told:
        note(instance, Cause.PROBE_UNKNOWN, now, out, _detail(instance))


def delayed(instance: Instance, event: ev.ProbeDelayed, now: float, out: list[Action]) -> None:
    """RUNNING: a probe waits for a CPU.  Until its answer, silence does not count; that is not recorded."""
    if instance.blind_since is None:
        instance.blind_since = _not_before_what_is_known(instance, event.since, now)
        instance.probe_delayed = True


def clear(instance: Instance, error: str, now: float, out: list[Action]) -> None:
    """SUSPECT: the confirming probe could not ask.  The suspicion is dropped, but not as a false one."""
    _count(instance, error)
    instance.probe_delayed = False
    if instance.blind_since is None:
        instance.blind_since = _not_before_what_is_known(instance, instance.suspect_since, now)
    instance.failure = instance.held = None
    await_health(instance, now)
    move(instance, State.RUNNING, Cause.PROBE_UNKNOWN, now, out, _detail(instance))


def known(instance: Instance, now: float, out: list[Action], *, asked: float = 0.0) -> None:
    """A probe has asked, and what it found counts.  The time since the first that could not is left out, but not the
    last `asked` seconds, in which one that waited for a CPU did ask."""
    if instance.blind_since is None:
        return
    seconds, told = now - instance.blind_since, not instance.probe_delayed
    instance.blind_since, instance.probe_fault, instance.probe_delayed = None, "", False
    if instance.state is State.STARTING:
        assert instance.until is not None  # a start that is probed has a timeout
        instance.until += seconds
    elif instance.detector is not None:
        instance.detector.discount_silence(max(0.0, seconds - (0.0 if told else asked)), now)
        instance.not_recorded_before = now
        if instance.members is not None:
            instance.members.discount_silence(seconds, now)
    if told:
        note(instance, Cause.PROBE_KNOWN, now, out, {"blind_s": round(seconds, 3), "failures": instance.probe_failures})


def _count(instance: Instance, error: str) -> None:
    instance.probe_failures += 1
    instance.probe_fault = error


def _detail(instance: Instance) -> dict[str, Any]:
    return {"error": instance.probe_fault, "failures": instance.probe_failures}


def _not_before_what_is_known(instance: Instance, since: float, now: float) -> float:
    """`since`, but not before the last beat or the start: until then something was known."""
    last = instance.detector.last if instance.detector is not None and instance.state is not State.STARTING else None
    return min(now, max(since, last if last is not None else instance.started_at or since))
