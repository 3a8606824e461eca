"""The deadlines of all instances, the earliest first: a heap in which a heartbeat costs nothing."""

from __future__ import annotations

import heapq

from supervisor.core.lifecycle.instance import Instance

LOOK_AHEAD = 0.05
"""Seconds."""
FOREVER = float("inf")


class Deadlines:
    """At most one live entry for each instance, never later than the instance's deadline.

    A heartbeat moves the deadline away: the entry stays, and is put off only when it comes up."""

    __slots__ = ("_count", "_heap", "entries")

    def __init__(self) -> None:
        self.entries: dict[str, float] = {}
        """The time of each instance's live entry.  To read only; a deadline that is earlier has to be scheduled."""
        self._heap: list[tuple[float, int, Instance]] = []
        self._count = 0

    @property
    def next(self) -> float | None:
        """When `due` is to be asked.  May be early by a moved heartbeat deadline, never late."""
        return self._heap[0][0] if self._heap else None

    def schedule(self, instance: Instance) -> None:
        """Take up the instance's deadline as it is now."""
        deadline = instance.deadline
        if deadline is None:
            self.entries.pop(instance.name, None)
            return
        known = self.entries.get(instance.name)
        if known is None or deadline < known:
            self.entries[instance.name] = deadline
            self._count += 1
            heapq.heappush(self._heap, (deadline, self._count, instance))

    def due(self, now: float) -> list[Instance]:
        """The instances whose deadline has passed; their entries are gone.

        Entries that heartbeats have put off meanwhile are moved a little ahead of their time: a hundred services
        that beat then cost a few wake-ups a second, not one each."""
        found: list[Instance] = []
        heap = self._heap
        while heap and heap[0][0] <= now + LOOK_AHEAD:
            when, _, instance = heap[0]
            known = self.entries.get(instance.name) == when
            deadline = instance.deadline if known else None
            passed = deadline is not None and deadline <= when
            if passed and when > now:
                break
            heapq.heappop(heap)
            if known:
                del self.entries[instance.name]
            if passed:
                found.append(instance)
            elif known:
                self.schedule(instance)
        return found
