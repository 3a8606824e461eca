"""Which restarts after a failure may begin: a limit for the whole host, and one for each group that has its own.

A start takes a slot of the host and one of its group until it is ready. Starts wait in the order in which they came; a
start whose group has no free slot is passed over, so that it does not delay other groups.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from supervisor.core.lifecycle.snapshot import Phase

if TYPE_CHECKING:
    from supervisor.core.lifecycle.instance import Instance
    from supervisor.core.model.spec import Plan


class RestartSlots:
    """The instances that wait for a place, and those that take one."""

    def __init__(self, plan: Plan) -> None:
        self._waiting: dict[str, Instance] = {}
        self._taken: dict[str, Instance] = {}
        self.limit(plan)

    def __contains__(self, name: str) -> bool:
        """The instance waits for a place."""
        return name in self._waiting

    def limit(self, plan: Plan) -> None:
        """Keep the limits of `plan` from now on."""
        self._total = plan.supervisor.max_concurrent_restarts
        limits = {group.name: group.max_concurrent_restarts for group in plan.groups}
        self._of_group: dict[str | None, int] = {name: limit for name, limit in limits.items() if limit is not None}
        self._changed = True

    def wait(self, instance: Instance) -> None:
        """Enter an instance whose dependencies are ready."""
        self._waiting[instance.name] = instance
        instance.waiting_for = "a restart slot"
        self._changed = True

    def forget(self, name: str) -> None:
        """The instance waits no longer."""
        self._waiting.pop(name, None)

    def seen(self, instance: Instance) -> None:
        """Note whether the instance takes a place, after each of its changes."""
        if instance.recovering and instance.phase >= Phase.SPAWNING:
            self._taken[instance.name] = instance
        elif self._taken.pop(instance.name, None) is not None:
            self._changed = True

    def grant(self, may_start: Callable[[Instance], bool]) -> list[Instance]:
        """The instances that start now, in their order. One for which `may_start` is false waits for something else
        again, and takes no place."""
        started: list[Instance] = []
        if not self._changed:
            return started
        self._changed = False
        if not self._waiting:
            return started
        used = Counter(i.spec.group_name for i in self._taken.values()) if self._of_group else Counter()
        for name, instance in list(self._waiting.items()):
            if len(self._taken) + len(started) >= self._total:
                break
            group = instance.spec.group_name
            limit = self._of_group.get(group)
            if limit is not None and used[group] >= limit:
                instance.waiting_for = f"a restart slot of its group {group}"
                instance.waiting_because = f"{used[group]} of {limit} restart already"
                continue
            del self._waiting[name]
            if may_start(instance):
                started.append(instance)
                used[group] += 1
        return started
