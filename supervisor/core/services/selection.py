"""Selection: the instances that a command, or the start of the daemon, acts on.

A command without names has a default that depends on its verb.  An instance that an earlier daemon left in some state
keeps that state, so `autostart` does not select it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from supervisor.core.model.actions import Goal
from supervisor.core.services.service_set import ServiceSet
from supervisor.core.text.nearest import nearest
from supervisor.errors import NoSuchService, UsageError

VERBS = frozenset({"start", "stop", "restart", "reset", "signal"})
STARTING_VERBS = frozenset({"start", "restart", "reset"})
"""Refused while the daemon shuts down."""
MOST_NAMED = 5
"""Names that an error lists."""


def resolve(service_set: ServiceSet, patterns: Sequence[str]) -> list[str]:
    """Instance names for services, instances and groups, in start order.  NoSuchService names the nearest."""
    found: set[str] = set()
    for pattern in patterns:
        names = service_set.names(pattern)
        if not names:
            raise _unknown(service_set, pattern)
        found.update(names)
    return [name for name in service_set.instances if name in found]


def resolve_one(service_set: ServiceSet, pattern: str) -> str:
    """The one instance that `pattern` names.  NoSuchService, UsageError."""
    names = service_set.names(pattern)
    if not names:
        raise _unknown(service_set, pattern)
    if len(names) > 1:
        raise UsageError(f"{pattern} has {len(names)} instances", f"Name one: {', '.join(names[:MOST_NAMED])}")
    return names[0]


def selected(service_set: ServiceSet, verb: str, patterns: Sequence[str]) -> list[str]:
    """The instances that `verb` acts on.  NoSuchService; UsageError where the verb is unknown, or refused now.

    Without patterns, `start` selects the instances with `autostart` that are not up, `restart` those whose goal is UP,
    and every other verb all.  `signal` leaves out instances without a process."""
    names = resolve(service_set, patterns) if patterns else list(service_set.instances)
    if service_set.closing and verb in STARTING_VERBS:
        raise UsageError("the daemon is shutting down", "Nothing can be started now.")
    if verb not in VERBS:
        raise UsageError(f"no such action: {verb}")
    if verb == "signal":
        return [n for n in names if service_set.instances[n].pid is not None]
    if patterns:
        return names
    if verb == "start":
        return [
            n
            for n in names
            if service_set.instances[n].spec.autostart and not service_set.instances[n].ready_for_dependants
        ]
    if verb == "restart":
        return [n for n in names if service_set.instances[n].goal is Goal.UP]
    return names


def started_at_boot(service_set: ServiceSet, restored: Collection[str]) -> list[str]:
    """The instances that are started when the daemon starts: all with `autostart`, without those whose state was
    `restored` from an earlier daemon, and without those that the configuration no longer has."""
    return [
        n for n, i in service_set.instances.items() if i.spec.autostart and n not in restored and service_set.names(n)
    ]


def _unknown(service_set: ServiceSet, name: str) -> NoSuchService:
    known = list(dict.fromkeys([s.name for s in service_set.plan.services] + list(service_set.instances)))
    near = nearest(name, known) or known[:MOST_NAMED]
    return NoSuchService(f"no service, instance or group named {name!r}", f"Known: {', '.join(near)}")
