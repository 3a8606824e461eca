"""Reactions: what a change of one instance means for others, as events for them.

A fallback is wanted, or no longer; dependants are restarted with what they depend on; a group is restarted together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from supervisor.core.history.incidents import is_decision
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, Goal, Record, State
from supervisor.core.model.causes import Cause
from supervisor.core.services.relations.group_restart import companions
from supervisor.core.services.relations.roster import Roster

Order = tuple[Instance, ev.Event]


def became_ready(instance: Instance, roster: Roster) -> Iterator[Order]:
    """The instance is ready, and was not: dependants that ask for it are restarted."""
    if instance.spec.on_demand or instance.incarnation < 2:  # the runs of one on demand end without a failure
        return
    for service in roster.dependants.get(instance.spec.name, ()):
        if roster.specs[service].on_dependency_restart == "restart":
            for name in roster.specs[service].instances:
                other = roster.instances[name]
                if other.alive and other.goal is Goal.UP:
                    yield other, ev.Restart(Cause.DEPENDENCY_RESTARTED)


def for_fallback(instance: Instance, was: State, roster: Roster) -> Iterator[Order]:
    """The instance has failed, or has no longer: its fallback is wanted, or no longer."""
    fallback = instance.spec.restart.fallback
    if fallback is None:
        return
    if instance.state is State.FAILED:
        event: ev.Event = ev.Start(Cause.FALLBACK_WANTED, lazy=True)
    elif was is State.FAILED and not _goes_on(fallback, instance, roster):
        event = ev.Stop(Cause.FALLBACK_OVER)
    else:
        return
    for name in roster.names(fallback):
        yield roster.instances[name], event


def _goes_on(fallback: str, instance: Instance, roster: Roster) -> bool:
    """Another service needs the fallback, which holds no socket that the instance is about to need."""
    service = instance.spec.name
    others = (i for i in roster.instances.values() if i.spec.name != service and i.spec.restart.fallback == fallback)
    if not any(other.state is State.FAILED for other in others):
        return False
    held = {socket.url for name in roster.names(fallback) for socket in roster.instances[name].spec.sockets}
    return held.isdisjoint(socket.url for socket in instance.spec.sockets)


def for_group(instance: Instance, actions: Iterable[Action], roster: Roster) -> Iterator[Order]:
    """The instance has failed: others of its group are restarted with it."""
    for action in actions:
        if isinstance(action, Record) and _counts_as_failure(action):
            whole = action.detail.get("exit_code_rule") == "group"
            for other in companions(instance, roster.instances.values(), whole=whole):
                yield other, ev.Restart(Cause.GROUP_RESTARTED)
            return


def _counts_as_failure(record: Record) -> bool:
    """The record decides a failure after which the policy wants a restart; there is one such record for each."""
    decided = is_decision(record.before, record.after, record.cause, record.detail)
    return decided and record.after is not State.EXITED
