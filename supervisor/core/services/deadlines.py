"""The deadlines of all instances, earliest first, in a heap that a heartbeat does not touch."""

from __future__ import annotations

import heapq

from supervisor.core.lifecycle.instance import Instance

LOOK_AHEAD = 0.1
"""Seconds; entries that heartbeats have moved are handled this much ahead of their time (see `due`)."""
FOREVER = float("inf")


class Deadlines:
    """At most one live entry for each instance, never later than the instance's deadline.

    A heartbeat postpones the deadline: the entry stays, and is moved only when its time comes."""

    __slots__ = ("_count", "_heap", "entries")

    def __init__(self) -> None:
        self.entries: dict[Instance, float] = {}
        """The time of each instance's live entry.  Read only; an earlier deadline has to be passed to `schedule`."""
        self._heap: list[tuple[float, int, Instance]] = []
        self._count = 0

    @property
    def next(self) -> float | None:
        """When to call `due`.  May be too early, where a heartbeat has postponed a deadline, but is never late."""
        return self._heap[0][0] if self._heap else None

    def schedule(self, instance: Instance) -> None:
        """Enter the present deadline of the instance."""
        deadline = instance.deadline
        if deadline is None:
            self.entries.pop(instance, None)
            return
        known = self.entries.get(instance)
        if known is None or deadline < known:
            self.entries[instance] = deadline
            self._count += 1
            heapq.heappush(self._heap, (deadline, self._count, instance))

    def due(self, now: float) -> list[Instance]:
        """The instances whose deadline has passed; their entries are removed.

        Entries that heartbeats have postponed are moved up to `LOOK_AHEAD` before their time, so that a hundred beating
        services cost a few wake-ups per second instead of one each."""
        found: list[Instance] = []
        heap = self._heap
        entries, until = self.entries, now + LOOK_AHEAD
        while heap and heap[0][0] <= until:
            when, _, instance = heap[0]
            if entries.get(instance) != when:
                heapq.heappop(heap)
                continue
            deadline = instance.deadline
            if deadline is not None and deadline > when:  # the usual case: it is moved in one operation
                entries[instance] = deadline
                self._count += 1
                heapq.heapreplace(heap, (deadline, self._count, instance))
                continue
            if deadline is not None and when > now:
                break
            heapq.heappop(heap)
            del entries[instance]
            if deadline is not None:
                found.append(instance)
        return found
