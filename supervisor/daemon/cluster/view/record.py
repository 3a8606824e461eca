"""What this host keeps of itself in ZooKeeper: made again at most once a second, and only after something has changed.

The texts go to the agent with the daemon's answer.  Stories are told of a few instances at a time, because each reads
the ledger and the log; those that changed last come first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from supervisor.adapters.ledger.store import EventQuery
from supervisor.adapters.linux.mounts import mounts
from supervisor.adapters.logs.reader import last_words
from supervisor.core.cluster.bounds import compact
from supervisor.core.cluster.record import EVENTS, INCIDENTS, record, remembered, story, summary
from supervisor.core.history.why import why
from supervisor.core.model.causes import FAILURES
from supervisor.core.model.daemon_records import DAEMON
from supervisor.core.services.status import instance_view, should_be_up_but_is_not
from supervisor.daemon.parts import Parts

if TYPE_CHECKING:
    from supervisor.adapters.eventloop.loop import Timer
    from supervisor.core.model.documents import Event
    from supervisor.core.model.host_documents import HostRecord, HostStory, HostSummary
    from supervisor.core.model.instance_documents import Instance, InstanceName

EVERY = 1.0
"""Seconds from one making to the next at least."""
AT_ONCE, READ = 4, 300
"""Stories that are made at once, and events that are read for one."""
BACKLOG = 1000
"""Events that are read at once of what happened since the last making."""


class OwnRecord:
    """`status` and `incidents` are the texts, `summary` and `record` what they say.  `changed()` is called when one of
    them is another."""

    def __init__(self, parts: Parts, changed: Callable[[], None]) -> None:
        self._parts, self._changed = parts, changed
        self.status = self.incidents = "{}"
        self.summary: HostSummary | None = None
        self.record: HostRecord | None = None
        self._stories: dict[str, HostStory] = {}
        self._pending: dict[str, str] = {}
        self._events: deque[Event] = deque(maxlen=EVENTS)
        self._last: int | None = None
        self._made_at = -1e9
        self._timer: Timer | None = None

    def review(self) -> None:
        """Something has changed."""
        if self._timer is None:
            now = self._parts.now()
            self._timer = self._parts.loop.call_at(max(now, self._made_at + EVERY), self._make)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _make(self) -> None:
        self._timer, self._made_at = None, self._parts.now()
        rows = list(self._rows())
        missing = frozenset(row["name"] for row in rows if should_be_up_but_is_not(row))
        self.summary = summary(rows, missing, self._parts.wall_clock(), self.summary)
        self._note_events()
        for name in list(self._pending)[:AT_ONCE]:
            self._stories[name] = self._story(name, self._pending.pop(name))
        self._stories = remembered(self._stories, self._parts.service_set.instances)
        self.record = record(self._stories.values(), list(self._events))
        status, incidents = compact(self.summary), compact(self.record)
        if (status, incidents) != (self.status, self.incidents):
            self.status, self.incidents = status, incidents
            self._changed()
        if self._pending:
            self.review()

    def _rows(self) -> list[Instance]:
        service_set, now = self._parts.service_set, self._parts.now()
        rows = []
        for instance in service_set.instances.values():
            row = instance_view(instance, now)
            if instance.spec.exclusive and service_set.roster.gate is not None:
                row["placed"] = service_set.roster.gate.view(instance, now)
            rows.append(row)
        return rows

    def _note_events(self) -> None:
        """Read what was recorded since the last time; a failure, and what follows it, changes the story."""
        fresh = self._parts.ledger.events(EventQuery(after=self._last, limit=BACKLOG))
        for event in fresh:
            self._last = event["id"]
            self._events.append(event)
            name = event["instance"]
            if event["cause"] in FAILURES or name in self._stories:
                self._pending = {name: event["service"]} | {k: v for k, v in self._pending.items() if k != name}
        if len(fresh) == BACKLOG and self._last is not None:
            self.review()

    def _story(self, name: str, service: str) -> HostStory:
        ledger, instance = self._parts.ledger, self._parts.service_set.instances.get(name)
        events = ledger.events(EventQuery((name,), limit=READ))
        if events:
            events += ledger.events(EventQuery((DAEMON,), after=events[0]["id"], limit=READ))
            events.sort(key=lambda event: event["id"])
        row: InstanceName = {"name": name, "service": service}
        if instance is not None:
            row = cast("InstanceName", instance_view(instance, self._parts.now()))
        return story(why(row, events, ledger.evidence, self._words, INCIDENTS, removed=instance is None))

    def _words(self, instance: str, since: float | None, until: float | None) -> list[str]:
        directory = f"{self._parts.state_dir}/log"
        return [] if mounts().remote(directory) is not None else last_words(directory, instance, since, until)
