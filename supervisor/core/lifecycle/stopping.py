"""Handlers of STOPPING: the process was signalled, and its end, or that of its tree, is awaited.

STOPPING ends only when the whole tree is gone: a process that is left behind could hold a port or a file that the next
incarnation needs.  After the stop timeout the tree is killed, again and again while it is still there.
"""

from __future__ import annotations

from supervisor.core.lifecycle import notices
from supervisor.core.lifecycle.ending import ended, take_exit
from supervisor.core.lifecycle.entering import kill, note, send_stop, signal_tree, stop_step
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.snapshot import Phase
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, Signal
from supervisor.core.model.causes import Cause


def spawned(instance: Instance, event: ev.Spawned, now: float, out: list[Action]) -> None:
    """The spawn that the stop interrupted was carried out: signal the process now, or kill it where that was asked."""
    instance.pid, instance.started_at, instance.phase = event.pid, now, Phase.NONE
    note(instance, Cause.SPAWNED, now, out, {"pid": event.pid})
    if instance.killed:
        kill(instance, now, out)
    else:
        send_stop(instance, now, out)


def drained(instance: Instance, event: ev.Drained, now: float, out: list[Action]) -> None:
    """Its requests are answered: the stop goes on."""
    if instance.draining:
        send_stop(instance, now, out)


def exited(instance: Instance, event: ev.Exited, now: float, out: list[Action]) -> None:
    """The main process ended: signal what is left of its tree."""
    take_exit(instance, event)
    if instance.draining:
        instance.draining, instance.until = False, now + instance.running_spec.stop_timeout
    if event.tree_empty:
        ended(instance, now, out)
    else:
        signal_tree(instance, out)


def main_pid(instance: Instance, event: ev.MainPid, now: float, out: list[Action]) -> None:
    """Another process of the tree took over from the main one, which alone was signalled: signal it, too."""
    before = instance.pid
    notices.main_pid(instance, event, now, out)
    if instance.pid != before and not instance.draining and not instance.killed:
        out.append(Signal(instance.name, instance.incarnation, stop_step(instance).signal))


def tree_empty(instance: Instance, event: ev.TreeEmpty, now: float, out: list[Action]) -> None:
    """The last descendant is gone.  Where the main process still runs, its own end is awaited."""
    if instance.pid is None:
        ended(instance, now, out)


def timed_out(instance: Instance, event: ev.Timeout, now: float, out: list[Action]) -> None:
    """The tree did not end in time: take the next step, or kill it.  A kill is recorded once, however often it is
    repeated.

    Where requests were still to be answered, the time for that is over, and the stop goes on."""
    balance = instance.running_spec.balance
    if instance.draining and balance is not None:
        note(instance, Cause.DRAIN_TIMEOUT, now, out, {"drain_s": balance.drain})
    if instance.draining:
        send_stop(instance, now, out)
        return
    steps = instance.running_spec.stop_steps
    if not instance.killed and instance.stop_step + 1 < len(steps):
        waited = stop_step(instance)
        instance.stop_step += 1
        step = {
            "stop_step": instance.stop_step + 1,
            "stop_steps": len(steps),
            "stop_signal": stop_step(instance).signal,
        }
        note(instance, Cause.STOP_ESCALATED, now, out, {"waited_s": waited.wait, "after": waited.signal, **step})
        if instance.pid is not None:
            send_stop(instance, now, out)
        else:
            instance.until = now + stop_step(instance).wait
            signal_tree(instance, out)
        return
    if instance.cause not in (Cause.STOP_TIMEOUT, Cause.LINGERING):
        note(instance, Cause.STOP_TIMEOUT, now, out, {"stop_timeout_s": instance.running_spec.longest_stop})
    kill(instance, now, out)


def kill_incomplete(instance: Instance, event: ev.KillIncomplete, now: float, out: list[Action]) -> None:
    """Processes are still there although they were killed: record which, when that changes."""
    if instance.lingering_since is None:
        instance.lingering_since = now
    if event.processes != instance.lingering:
        instance.lingering = event.processes
        note(instance, Cause.LINGERING, now, out, {"processes": list(event.processes)})
