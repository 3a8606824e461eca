"""The table of transitions, and `step`, which applies it: what an instance does with each event in each state.

Theory of operation
===================

Two facts are kept apart: the goal says what is wanted (UP or DOWN), the state says what is.

    STOPPED   no process, and none is wanted; or (goal UP) it starts on demand and waits for a connection
    STARTING  a process is wanted and not ready yet; the phase says how far the start has come:
                WAITING   for dependencies and a restart slot; the service set answers `StartPermitted`
                SPAWNING  a spawn is ordered; `Spawned` or `SpawnFailed` follows
                UP        the process runs and is observed for readiness
    RUNNING   the process runs; its heartbeats are observed
    SUSPECT   a failure was found (silence, a limit, a slow start); the process is examined before it is acted on
    STOPPING  the process was told to end, or left a tree behind; the state lasts until the whole tree is gone
    BACKOFF   the process failed; it is started again after a delay
    FAILED    it failed too often, and the circuit breaker is open; it is tried once after the cooldown
    EXITED    it ended, and its policy wants no restart

Rules over the table:

- A command changes the goal at once, the state only as far as the outside world has followed.
- A fact names the incarnation that it is about.  `step` drops a fact about another one, so that a late exit or datagram
  is never charged to a successor.
- A timeout is an event like any other.  An instance has one deadline (`Instance.deadline`).
- Nothing new starts before process and tree are gone.  Then the goal decides, then what the stop was for
  (`Instance.after`), and last the restart tracker (ending.py).
- Every change of state is one `Record`; the engine writes it before it carries out any order of the same turn.

A transition is interrupted when a command arrives, or the daemon ends, before the outside world has answered.  What
is under way is not revoked:

- Stop or restart while SPAWNING: there is no process to signal yet.  The instance is STOPPING and its phase stays
  SPAWNING; `Spawned` then sends the signal, `SpawnFailed` ends the stop.
- Start or restart while STOPPING: the process may have had the signal already.  The stop goes on, then a start follows.
- Stop while STOPPING for a restart: the stop goes on, and nothing follows it.
- `Stop(later=True)`: the goal is DOWN, and the process runs on until its dependants are gone.  `Start` calls it off.
- The daemon ends: the next one restores state, phase and deadlines, and steps the instance with `Adopted` or
  `NotFoundOnAdoption`.  Their handlers repeat the order that belongs to the state (adopted.py).

A handler is a function `handler(instance, event, now, out)`: it changes the instance and appends actions to `out`.
It does no I/O, reads no clock and never waits.  entering.py holds what several handlers share: how a state is entered.
Handlers stand by state in starting.py, running.py, suspect.py, stopping.py, and by concern in commands.py, ending.py,
adopted.py, members.py, notices.py, own_reload.py, probing.py, maintenance.py, demand.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from supervisor.core.lifecycle import (
    adopted,
    commands,
    demand,
    ending,
    maintenance,
    notices,
    own_reload,
    probing,
    running,
    starting,
    stopping,
    suspect,
)
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, State

Handler = Callable[[Instance, Any, float, list[Action]], None]


def step(instance: Instance, event: ev.Event, now: float) -> list[Action]:
    """Take one event at time `now` (monotonic seconds); the actions that follow from it."""
    incarnation = getattr(event, "incarnation", None)
    if incarnation is not None and incarnation != instance.incarnation:
        return []
    handler = TRANSITIONS.get((instance.state, type(event)))
    if handler is None:
        return []
    out: list[Action] = []
    handler(instance, event, now, out)
    return out


TRANSITIONS: dict[tuple[State, type[ev.Event]], Handler] = {
    # STOPPED
    (State.STOPPED, ev.Start): commands.start,
    (State.STOPPED, ev.Stop): demand.stop,
    (State.STOPPED, ev.Connected): demand.connected,
    (State.STOPPED, ev.SpawnFailed): demand.cannot_listen,
    (State.STOPPED, ev.Restart): commands.restart_at_rest,
    (State.STOPPED, ev.Reset): commands.reset,
    (State.STOPPED, ev.Reconfigure): commands.reconfigure,
    (State.STOPPED, ev.Replace): commands.replace_at_rest,
    # STARTING
    (State.STARTING, ev.Start): commands.start_while_up,
    (State.STARTING, ev.Stop): commands.stop_while_starting,
    (State.STARTING, ev.Restart): commands.restart_while_starting,
    (State.STARTING, ev.Reset): commands.reset,
    (State.STARTING, ev.SendSignal): commands.send_signal,
    (State.STARTING, ev.ReloadRefused): commands.refuse_reload,
    (State.STARTING, ev.Reconfigure): commands.reconfigure,
    (State.STARTING, ev.Replace): commands.replace_while_starting,
    (State.STARTING, ev.StartPermitted): starting.permitted,
    (State.STARTING, ev.Spawned): starting.spawned,
    (State.STARTING, ev.SpawnFailed): starting.spawn_failed,
    (State.STARTING, ev.Adopted): adopted.adopted_while_starting,
    (State.STARTING, ev.NotFoundOnAdoption): adopted.not_found,
    (State.STARTING, ev.Ready): starting.became_ready,
    (State.STARTING, ev.ProbeFailed): notices.probe_failed,
    (State.STARTING, ev.ProbeUnknown): probing.unknown,
    (State.STARTING, ev.Exited): ending.exited,
    (State.STARTING, ev.Triggered): running.triggered,
    (State.STARTING, ev.Extended): notices.extended,
    (State.STARTING, ev.Heartbeat): starting.heartbeat,
    (State.STARTING, ev.Notified): notices.notified,
    (State.STARTING, ev.StatusText): notices.status_text,
    (State.STARTING, ev.MainPid): notices.main_pid,
    (State.STARTING, ev.NotifyRefused): notices.refused,
    (State.STARTING, ev.ErrorTold): notices.error_told,
    (State.STARTING, ev.DelayReset): notices.delay_reset,
    (State.STARTING, ev.DaemonStalled): notices.stalled,
    (State.STARTING, ev.Timeout): starting.timed_out,
    # RUNNING
    (State.RUNNING, ev.Start): commands.start_while_up,
    (State.RUNNING, ev.Stop): commands.stop,
    (State.RUNNING, ev.Restart): commands.restart,
    (State.RUNNING, ev.Reset): commands.reset,
    (State.RUNNING, ev.SendSignal): commands.send_signal,
    (State.RUNNING, ev.ReloadRefused): commands.refuse_reload,
    (State.RUNNING, ev.Reconfigure): commands.reconfigure,
    (State.RUNNING, ev.Replace): commands.replace,
    (State.RUNNING, ev.Adopted): adopted.adopted,
    (State.RUNNING, ev.NotFoundOnAdoption): adopted.not_found,
    (State.RUNNING, ev.Heartbeat): running.heartbeat,
    (State.RUNNING, ev.Ready): running.ready_again,
    (State.RUNNING, ev.ProbeFailed): notices.probe_failed,
    (State.RUNNING, ev.ProbeUnknown): probing.unknown,
    (State.RUNNING, ev.ProbeDelayed): probing.delayed,
    (State.RUNNING, ev.Exited): ending.exited,
    (State.RUNNING, ev.MemberExamined): running.member_examined,
    (State.RUNNING, ev.MemberLookedAt): running.member_looked_at,
    (State.RUNNING, ev.Stopping): notices.stopping,
    (State.RUNNING, ev.LimitExceeded): running.limit_exceeded,
    (State.RUNNING, ev.Idle): demand.idle,
    (State.RUNNING, ev.Triggered): running.triggered,
    (State.RUNNING, ev.StatusText): notices.status_text,
    (State.RUNNING, ev.MainPid): notices.main_pid,
    (State.RUNNING, ev.NotifyRefused): notices.refused,
    (State.RUNNING, ev.ErrorTold): notices.error_told,
    (State.RUNNING, ev.DelayReset): notices.delay_reset,
    (State.RUNNING, ev.ReloadBegun): own_reload.begun,
    (State.RUNNING, ev.Extended): own_reload.extended,
    (State.RUNNING, ev.DaemonStalled): notices.stalled,
    (State.RUNNING, ev.Timeout): running.timed_out,
    # SUSPECT
    (State.SUSPECT, ev.Start): commands.start_while_up,
    (State.SUSPECT, ev.Stop): commands.stop,
    (State.SUSPECT, ev.Restart): commands.restart,
    (State.SUSPECT, ev.Reset): commands.reset,
    (State.SUSPECT, ev.SendSignal): commands.send_signal,
    (State.SUSPECT, ev.ReloadRefused): commands.refuse_reload,
    (State.SUSPECT, ev.Reconfigure): commands.reconfigure,
    (State.SUSPECT, ev.Replace): commands.replace,
    (State.SUSPECT, ev.Adopted): adopted.adopted,
    (State.SUSPECT, ev.NotFoundOnAdoption): adopted.not_found,
    (State.SUSPECT, ev.Ready): suspect.became_ready,
    (State.SUSPECT, ev.Heartbeat): suspect.heartbeat,
    (State.SUSPECT, ev.ProbeFailed): notices.probe_failed,
    (State.SUSPECT, ev.ProbeUnknown): probing.unknown,
    (State.SUSPECT, ev.Exited): ending.exited,
    (State.SUSPECT, ev.SuspectExamined): suspect.examined,
    (State.SUSPECT, ev.Stopping): notices.stopping,
    (State.SUSPECT, ev.StatusText): notices.status_text,
    (State.SUSPECT, ev.MainPid): notices.main_pid,
    (State.SUSPECT, ev.NotifyRefused): notices.refused,
    (State.SUSPECT, ev.ErrorTold): notices.error_told,
    (State.SUSPECT, ev.DelayReset): notices.delay_reset,
    (State.SUSPECT, ev.ReloadBegun): own_reload.begun,
    (State.SUSPECT, ev.Extended): own_reload.extended,
    (State.SUSPECT, ev.DaemonStalled): notices.stalled,
    (State.SUSPECT, ev.Timeout): suspect.timed_out,
    # STOPPING
    (State.STOPPING, ev.Start): commands.start_while_stopping,
    (State.STOPPING, ev.Stop): commands.stop_while_stopping,
    (State.STOPPING, ev.Restart): commands.restart_while_stopping,
    (State.STOPPING, ev.Reset): commands.reset,
    (State.STOPPING, ev.SendSignal): commands.send_signal,
    (State.STOPPING, ev.ReloadRefused): commands.refuse_reload,
    (State.STOPPING, ev.Reconfigure): commands.reconfigure,
    (State.STOPPING, ev.Replace): commands.replace_while_stopping,
    (State.STOPPING, ev.Spawned): stopping.spawned,
    (State.STOPPING, ev.SpawnFailed): starting.spawn_failed,
    (State.STOPPING, ev.Adopted): adopted.adopted_while_stopping,
    (State.STOPPING, ev.NotFoundOnAdoption): adopted.not_found_while_stopping,
    (State.STOPPING, ev.Drained): stopping.drained,
    (State.STOPPING, ev.Exited): stopping.exited,
    (State.STOPPING, ev.TreeEmpty): stopping.tree_empty,
    (State.STOPPING, ev.KillIncomplete): stopping.kill_incomplete,
    (State.STOPPING, ev.Extended): notices.extended,
    (State.STOPPING, ev.StatusText): notices.status_text,
    (State.STOPPING, ev.MainPid): stopping.main_pid,
    (State.STOPPING, ev.NotifyRefused): notices.refused,
    (State.STOPPING, ev.ErrorTold): notices.error_told,
    (State.STOPPING, ev.DelayReset): notices.delay_reset,
    (State.STOPPING, ev.DaemonStalled): notices.stalled,
    (State.STOPPING, ev.Timeout): stopping.timed_out,
    # BACKOFF
    (State.BACKOFF, ev.Start): commands.start,
    (State.BACKOFF, ev.Stop): commands.stop_at_rest,
    (State.BACKOFF, ev.Restart): commands.restart_at_rest,
    (State.BACKOFF, ev.Reset): commands.reset_at_rest,
    (State.BACKOFF, ev.Reconfigure): commands.reconfigure,
    (State.BACKOFF, ev.Replace): commands.replace_at_rest,
    (State.BACKOFF, ev.Timeout): ending.backoff_over,
    # EXITED
    (State.EXITED, ev.Start): commands.start,
    (State.EXITED, ev.Stop): commands.stop_at_rest,
    (State.EXITED, ev.Restart): commands.restart_at_rest,
    (State.EXITED, ev.Reset): commands.reset,
    (State.EXITED, ev.Reconfigure): commands.reconfigure,
    (State.EXITED, ev.Replace): commands.replace_at_rest,
    # FAILED
    (State.FAILED, ev.Start): commands.start,
    (State.FAILED, ev.Stop): commands.stop_at_rest,
    (State.FAILED, ev.Restart): commands.restart_at_rest,
    (State.FAILED, ev.Reset): commands.reset_at_rest,
    (State.FAILED, ev.Reconfigure): commands.reconfigure,
    (State.FAILED, ev.Replace): commands.replace_at_rest,
    (State.FAILED, ev.Timeout): ending.cooldown_over,
    # every state
    **{(state, ev.BeginMaintenance): maintenance.begin for state in State},
    **{(state, ev.EndMaintenance): maintenance.end for state in State},
}
"""The handler of every pair of state and event that has a meaning."""

_WITH_PROCESS = (State.STARTING, State.RUNNING, State.SUSPECT, State.STOPPING)


def _but(*states: State) -> tuple[State, ...]:
    return tuple(s for s in State if s not in states)


IGNORED: dict[type[ev.Event], tuple[State, ...]] = {
    # Only a process can be signalled.
    ev.SendSignal: _but(*_WITH_PROCESS),
    ev.ReloadRefused: _but(*_WITH_PROCESS),
    # Answers to what only other states ask for: a permission to start, and a spawn.
    ev.StartPermitted: _but(State.STARTING),
    ev.Spawned: _but(State.STARTING, State.STOPPING),
    ev.SpawnFailed: _but(State.STOPPED, State.STARTING, State.STOPPING),
    # What starts on demand is started by a connection only where it waits for one, and is idle only where it runs.
    ev.Connected: _but(State.STOPPED),
    ev.Idle: _but(State.RUNNING),
    # Only a process can be adopted.
    ev.Adopted: _but(*_WITH_PROCESS),
    ev.NotFoundOnAdoption: _but(*_WITH_PROCESS),
    # Facts about a process, where there is none.
    ev.Exited: (State.STOPPED, State.BACKOFF, State.EXITED, State.FAILED),
    ev.TreeEmpty: _but(State.STOPPING),
    ev.Drained: _but(State.STOPPING),
    ev.KillIncomplete: _but(State.STOPPING),
    ev.Notified: _but(State.STARTING),
    ev.StatusText: _but(*_WITH_PROCESS),
    ev.MainPid: _but(*_WITH_PROCESS),
    ev.Extended: _but(*_WITH_PROCESS),
    ev.NotifyRefused: _but(*_WITH_PROCESS),
    ev.ErrorTold: _but(*_WITH_PROCESS),
    ev.DelayReset: _but(*_WITH_PROCESS),
    ev.ReloadBegun: _but(State.RUNNING, State.SUSPECT),
    ev.DaemonStalled: _but(*_WITH_PROCESS),
    # Readiness is observed in a start, heartbeats and limits while running; a failure is found once.
    ev.Ready: _but(State.STARTING, State.RUNNING, State.SUSPECT),
    ev.Heartbeat: _but(State.STARTING, State.RUNNING, State.SUSPECT),
    ev.ProbeFailed: _but(State.STARTING, State.RUNNING, State.SUSPECT),
    ev.ProbeUnknown: _but(State.STARTING, State.RUNNING, State.SUSPECT),
    ev.ProbeDelayed: _but(State.RUNNING),
    ev.Triggered: _but(State.STARTING, State.RUNNING),
    ev.LimitExceeded: _but(State.RUNNING),
    ev.SuspectExamined: _but(State.SUSPECT),
    ev.MemberExamined: _but(State.RUNNING),
    ev.MemberLookedAt: _but(State.RUNNING),
    ev.Stopping: _but(State.RUNNING, State.SUSPECT),
    # States without a deadline.
    ev.Timeout: (State.STOPPED, State.EXITED),
}
"""The states in which an event has no meaning.  Together with TRANSITIONS these are all pairs, which a test proves."""
