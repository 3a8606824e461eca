"""Selection: the instances that a command, or the start of the daemon, acts on.

A command without names has a default that depends on its verb.  An instance that an earlier daemon left in some state
keeps that state, so `autostart` does not select it.  Patterns (name_patterns.py) are taken wherever names are; what is
found by one counts as named.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from supervisor.core.model.actions import Goal
from supervisor.core.services.service_set import ServiceSet
from supervisor.core.text import name_patterns
from supervisor.core.text.name_patterns import Known, is_pattern, matches, without_marks
from supervisor.core.text.nearest import nearest
from supervisor.errors import NoSuchService, UsageError

VERBS = frozenset({"start", "stop", "restart", "reset", "signal"})
STARTING_VERBS = frozenset({"start", "restart", "reset"})
"""Refused while the daemon shuts down."""
MOST_NAMED = 5
"""Names that an error lists."""


def resolve(service_set: ServiceSet, patterns: Sequence[str]) -> list[str]:
    """Instance names for services, instances, groups and patterns, in start order.  NoSuchService names the nearest."""
    found: set[str] = set()
    for pattern in patterns:
        names = _names(service_set, pattern)
        if not names:
            raise _unknown(service_set, pattern)
        found.update(names)
    return [name for name in service_set.instances if name in found]


def resolve_one(service_set: ServiceSet, pattern: str) -> str:
    """The one instance that `pattern` names.  NoSuchService, UsageError."""
    names = _names(service_set, pattern)
    if not names:
        raise _unknown(service_set, pattern)
    if len(names) > 1:
        raise UsageError(f"{pattern} has {len(names)} instances", f"Name one: {_some(names)}")
    return names[0]


def resolve_service(service_set: ServiceSet, pattern: str) -> str:
    """The one service that `pattern` names, by itself, an instance or a group.  NoSuchService, UsageError."""
    services = list(dict.fromkeys(service_set.instances[n].spec.name for n in resolve(service_set, [pattern])))
    if len(services) > 1:
        raise UsageError(f"{pattern} has {len(services)} services", f"Name one: {_some(services)}")
    return services[0]


def covers(service_set: ServiceSet, patterns: Sequence[str], service: str, instance: str) -> bool:
    """Whether these names (none: all) mean an instance of which something is told.  One that has been removed has no
    group, and no pattern means it."""
    if not patterns or service in patterns or instance in patterns:
        return True
    found = service_set.instances.get(instance)
    if found is None:
        return False
    one = Known(instance, service, found.spec.group_name or "")
    return any(p == found.spec.group_name or (_is_pattern(service_set, p) and matches(p, one)) for p in patterns)


def recorded_names(service_set: ServiceSet, patterns: Sequence[str]) -> list[str]:
    """The services and instances that these names mean in records (name_patterns.recorded_names)."""
    if all(name in service_set.roster.specs or name in service_set.instances for name in patterns):
        return list(patterns)  # as nearly always; saves a look at all instances
    return name_patterns.recorded_names(patterns, _known(service_set))


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


def _names(service_set: ServiceSet, pattern: str) -> list[str]:
    """The instances that a name or a pattern means; a name comes first."""
    names = service_set.names(pattern)
    if names or not is_pattern(pattern):
        return names
    return [one.instance for one in _known(service_set) if matches(pattern, one)]


def _is_pattern(service_set: ServiceSet, text: str) -> bool:
    return is_pattern(text) and not service_set.names(text)


def _known(service_set: ServiceSet) -> list[Known]:
    return [
        Known(name, i.spec.name, i.spec.group_name or "")
        for name, i in service_set.instances.items()
        if name not in service_set.removed
    ]


def _unknown(service_set: ServiceSet, name: str) -> NoSuchService:
    plan = service_set.plan
    for service, profiles in plan.inactive:
        if without_marks(name).partition("@")[0] == service:
            options = " ".join(f"--profile {one}" for one in (*plan.profiles, profiles[0]))
            return NoSuchService(
                f"{service} is not there: none of its profiles is active ({', '.join(profiles)})",
                f"`supervisor reload {options}` adds it and the others of that profile; without a daemon, "
                f"`supervisor up {options}` does.",
            )
    known = list(dict.fromkeys([s.name for s in service_set.plan.services] + list(service_set.instances)))
    near = nearest(without_marks(name.rpartition(":")[2]), known) or known
    matched = "matches" if is_pattern(name) else "named"
    return NoSuchService(f"no service, instance or group {matched} {name!r}", f"Known: {_some(near)}")


def _some(names: Sequence[str]) -> str:
    """The first names, and how many there are besides."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
