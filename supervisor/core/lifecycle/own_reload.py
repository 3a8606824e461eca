"""Handlers for the reload of a process: it reads its configuration again, at a signal or by itself.

A process says RELOADING=1 when it begins and READY=1 when it is done (sd_notify(3)).  It runs and is supervised
meanwhile.  Where `ready.notify_reload` is set, the answer is awaited from the reload signal on.  The reload has as long
as a start; one that does not end is recorded, and the process runs on.
"""

from __future__ import annotations

from supervisor.core.lifecycle.entering import LONGEST_EXTENSION, record
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.snapshot import Reload
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, State
from supervisor.core.model.causes import Cause


def asked(instance: Instance, number: int, now: float) -> None:
    """RUNNING, SUSPECT: this signal was sent.  Await the answer where it is the reload signal and one will come."""
    ready = instance.running_spec.ready
    if ready is None or not ready.notify_reload or number != instance.spec.reload_signal:
        return
    if instance.state in (State.RUNNING, State.SUSPECT):
        instance.reload = Reload("asked", now, now + instance.spec.start_timeout)


def begun(instance: Instance, event: ev.ReloadBegun, now: float, out: list[Action]) -> None:
    """RUNNING, SUSPECT: RELOADING=1.  One that was sent before the signal is of an earlier reload."""
    known = instance.reload
    if known is not None and known.pending:
        if known.state == "begun" or (event.sent is not None and event.sent < known.since):
            return
        instance.reload = known._replace(state="begun")
    else:
        instance.reload = Reload("begun", now, now + instance.spec.start_timeout)
    out.append(record(instance, instance.state, Cause.RELOAD_BEGUN))


def done(instance: Instance, now: float, out: list[Action]) -> None:
    """RUNNING, SUSPECT: READY=1 ends the reload that has begun."""
    known = instance.reload
    if known is not None and known.state == "begun":
        instance.reload = known._replace(state="done")
        out.append(record(instance, instance.state, Cause.RELOAD_DONE, {"after_s": round(now - known.since, 3)}))


def extended(instance: Instance, event: ev.Extended, now: float, out: list[Action]) -> None:
    """RUNNING, SUSPECT: the reload may take longer, within the same bound as a start."""
    known = instance.reload
    if known is not None and known.pending:
        most = max(LONGEST_EXTENSION, instance.spec.start_timeout)
        instance.reload = known._replace(until=max(known.until, now + min(event.seconds, most)))


def timed_out(instance: Instance, now: float, out: list[Action]) -> None:
    """RUNNING: tell that a reload has not ended in time."""
    known = instance.reload
    if known is not None and known.pending and known.until <= now:
        instance.reload = known._replace(state="timed-out")
        detail = {"after_s": round(now - known.since, 3), "answered": known.state == "begun"}
        out.append(record(instance, instance.state, Cause.RELOAD_TIMEOUT, detail))
