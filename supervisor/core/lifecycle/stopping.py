"""Handlers of STOPPING: the process was signalled, and its end, or that of its tree, is awaited.

STOPPING ends only when the whole tree is gone: a process that is left behind could hold a port or a file that the next
incarnation needs.  After the stop timeout the tree is killed, again and again while it is still there.
"""

from __future__ import annotations

from supervisor.core.lifecycle.ending import ended, signal_tree, take_exit
from supervisor.core.lifecycle.entering import kill, note, send_stop
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.snapshot import Phase
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action
from supervisor.core.model.causes import Cause


def spawned(instance: Instance, event: ev.Spawned, now: float, out: list[Action]) -> None:
    """The spawn that the stop interrupted was carried out: signal the process now, or kill it where that was asked."""
    instance.pid, instance.started_at, instance.phase = event.pid, now, Phase.NONE
    note(instance, Cause.SPAWNED, now, out, {"pid": event.pid})
    if instance.killed:
        kill(instance, now, out)
    else:
        send_stop(instance, now, out)


def exited(instance: Instance, event: ev.Exited, now: float, out: list[Action]) -> None:
    """The main process ended: signal what is left of its tree."""
    take_exit(instance, event)
    if event.tree_empty:
        ended(instance, now, out)
    else:
        signal_tree(instance, out)


def tree_empty(instance: Instance, event: ev.TreeEmpty, now: float, out: list[Action]) -> None:
    """The last descendant is gone.  Where the main process still runs, its own end is awaited."""
    if instance.pid is None:
        ended(instance, now, out)


def timed_out(instance: Instance, event: ev.Timeout, now: float, out: list[Action]) -> None:
    """The tree did not end in time: kill it.  That is recorded once, however often it is killed."""
    if instance.cause not in (Cause.STOP_TIMEOUT, Cause.LINGERING):
        note(instance, Cause.STOP_TIMEOUT, now, out, {"stop_timeout_s": instance.running_spec.stop_timeout})
    kill(instance, now, out)


def kill_incomplete(instance: Instance, event: ev.KillIncomplete, now: float, out: list[Action]) -> None:
    """Processes are still there although they were killed: record which, when that changes."""
    if instance.lingering_since is None:
        instance.lingering_since = now
    if event.processes != instance.lingering:
        instance.lingering = event.processes
        note(instance, Cause.LINGERING, now, out, {"processes": list(event.processes)})
