"""The difference between two plans, and which changes need a new process to take effect."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from supervisor.core.lifecycle.commands import begins_anew
from supervisor.core.model.actions import State
from supervisor.core.model.spec import Plan, ServiceSpec, SupervisorSpec

if TYPE_CHECKING:
    from supervisor.core.lifecycle.instance import Instance

IN_PLACE = frozenset(
    {
        "description",
        "depends_on",
        "dependencies",
        "autostart",
        "group_name",
        "on_dependency_restart",
        "replicas",
        "min_ready",
        "stop_signal",
        "stop_timeout",
        "stop",
        "reload_signal",
        "reload_check",
        "dump_signal",
        "evidence",
        "start_timeout",
        "detach",
        "end_with",
        "ready",
        "heartbeat",
        "restart",
        "resources",
        "log",
        "hooks",
        "balance",
        "rollout",
        "breaker",
    }
)
"""Keys of a service whose change does not concern the running process."""

NOT_WRITTEN = frozenset({"unresolved", "configured_replicas", "first_name", "surge"})
"""What the host lacks and what is known only of the plan in force are no keys of a service."""

SUPERVISOR_IN_PLACE = frozenset({"max_concurrent_restarts", "wait_ready"})
"""Keys of [supervisor] that a running daemon follows."""

AT_REST = frozenset({State.STOPPED, State.EXITED, State.BACKOFF, State.FAILED})
"""The states without a process."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Names of services, and the changed keys of each changed one.  `supervisor`: changed keys that need a new
    daemon.  `rolled`: of those that need new processes, the ones that get them instance by instance.  Of the others
    nothing runs of those that are `started`, because they failed or ended, and of those that are `resting`, which get
    the change at their next start."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unchanged: int = 0
    supervisor: tuple[str, ...] = ()
    restarted: frozenset[str] = frozenset()
    rolled: frozenset[str] = frozenset()
    started: frozenset[str] = frozenset()
    resting: frozenset[str] = frozenset()

    def needs_restart(self, service: str) -> bool:
        """The change of this service takes effect only in a new process."""
        return service in self.restarted


def difference(old: Plan, new: Plan) -> Difference:
    """Compare two plans by service name; the order of services does not matter.

    Where the file's folder is another one under the same path (a link to a release that was moved on), the directory of
    what runs in it has changed, although its path is the same."""
    before = {s.name: s for s in old.services}
    after = {s.name: s for s in new.services}
    moved = f"{old.path.rpartition('/')[0]}/" if old.path == new.path and "" != old.folder != new.folder != "" else None
    changed = {name: _keys(before[name], spec, moved) for name, spec in after.items() if name in before}
    changed = {name: keys for name, keys in changed.items() if keys}
    return Difference(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed=changed,
        unchanged=len(before.keys() & after.keys()) - len(changed),
        supervisor=tuple(k for k in changed_keys(old.supervisor, new.supervisor) if k not in SUPERVISOR_IN_PLACE),
        restarted=frozenset(name for name in changed if _needs_process(before[name], after[name], changed[name])),
    )


def at_rest(
    plan: Plan, changed: AbstractSet[str], instances: Mapping[str, Instance]
) -> tuple[frozenset[str], frozenset[str]]:
    """The services that need new processes and have none: those that the changed plan starts, and the others."""
    started: set[str] = set()
    resting: set[str] = set()
    for spec in plan.services:
        own = [instances[name] for name in spec.instances if name in instances]
        if spec.name in changed and all(i.state in AT_REST for i in own):
            (started if any(i.maintenance is None and begins_anew(i, spec) for i in own) else resting).add(spec.name)
    return frozenset(started), frozenset(resting)


def _keys(old: ServiceSpec, new: ServiceSpec, moved: str | None) -> tuple[str, ...]:
    """`moved`: the folder that is another one now."""
    keys = changed_keys(old, new)
    inside = moved is not None and f"{new.directory}/".startswith(moved)
    return ("directory", *keys) if inside and "directory" not in keys else keys


def changed_keys(old: ServiceSpec | SupervisorSpec, new: ServiceSpec | SupervisorSpec) -> tuple[str, ...]:
    """The keys of two specifications that differ."""
    names = (f.name for f in fields(old) if f.name not in NOT_WRITTEN)
    return tuple(name for name in names if getattr(old, name) != getattr(new, name))


def _needs_process(old: ServiceSpec, new: ServiceSpec, keys: tuple[str, ...]) -> bool:
    apart = set(keys) - IN_PLACE
    if old.ports and new.ports and old.ports[0] == new.ports[0]:  # each instance keeps its port
        apart.discard("ports")
    if apart:
        return True
    return _notify_environment(old) != _notify_environment(new)


def _notify_environment(spec: ServiceSpec) -> tuple[bool, float | None]:
    """What the environment of a process says of readiness and heartbeats (NOTIFY_SOCKET, WATCHDOG_USEC)."""
    beat = spec.heartbeat
    interval = beat.interval if beat is not None and beat.notified else None
    return interval is not None or (spec.ready is not None and spec.ready.notify), interval
