"""The followers of the daemon: each receives events, output or status as they come.  No call blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from supervisor.adapters.control.port import Subscriber
from supervisor.adapters.eventloop.loop import Timer
from supervisor.core.services.selection import covers, resolve
from supervisor.daemon.parts import Parts
from supervisor.errors import NoSuchService, SupervisorError

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event, Status
    from supervisor.core.model.spec import Plan

COALESCE = 0.02
"""Seconds from a transition to the status that watchers get; transitions in that time share one status."""
COALESCE_FOR_ORDER = 0.002
"""The same where a command waits for its order."""
PAUSE_FACTOR = 3.0
"""The daemon rests for at least this many times the time that the last status took before it makes the next one, which
bounds its cost."""
MOST_IN_PART = 32
"""Rows that are made at once; more are made as the whole status is, in slices."""


class MakeStatus(Protocol):
    """`Control.make_status`."""

    def __call__(
        self, services: Sequence[str], done: Callable[[Status | SupervisorError], None], /, *, usage: bool
    ) -> None: ...


class MakePart(Protocol):
    """`StatusView.status`."""

    def __call__(self, services: Sequence[str], /, *, usage: bool) -> Status: ...


class Followers:
    """All that follow this daemon.  `make_status`: see Control.  `make_part`: makes the status of a few instances at
    once."""

    def __init__(self, parts: Parts, make_status: MakeStatus, make_part: MakePart) -> None:
        self._parts, self._make_status, self._make_part = parts, make_status, make_part
        self._subscribers: list[Subscriber] = []
        self._watchers: list[Subscriber] = []
        self._status_timer: Timer | None = None
        self._rests_until = 0.0
        self._under_way: dict[int, bool] = {}
        """The watchers whose status is being made, and whether they want another one."""
        self._changed: dict[str, None] = {}
        """The instances of which the next status after a transition has to tell."""
        self._of = self._present()
        """The plan and the number of instances of which the watchers were told last."""
        self._whole: set[int] = set()
        """The watchers that take parts and need everything, because instances may have come or gone."""

    def watch(self, subscriber: Subscriber) -> Callable[[], None]:
        """Follow events, output or status; returns the function that ends it.  CPU and memory are sampled while the
        status is followed by a subscriber that is not `for_order`."""
        parts = self._parts
        ends: list[Callable[[], None]] = []
        names = set(
            resolve(parts.service_set, subscriber.services) if subscriber.services else parts.service_set.instances
        )
        if "events" in subscriber.topics:
            self._subscribers.append(subscriber)
            ends.append(lambda: self._subscribers.remove(subscriber))
        if "status" in subscriber.topics:
            if not self._watchers:
                self._of = self._present()
            self._watchers.append(subscriber)
            ends.append(lambda: self._watchers.remove(subscriber))
            ends.append(lambda: self._whole.discard(id(subscriber)))
            send = partial(self._send_status, subscriber)
            ends.append(parts.sampler.hold(subscriber.interval, send, keep=not subscriber.for_order))
            parts.loop.call_soon(send)
        if "logs" in subscriber.topics:
            for name in names:
                ends.append(self._follow(name, subscriber))

        def stop() -> None:
            while ends:
                ends.pop()()

        return stop

    def publish(self, event: Event) -> None:
        """Send one event object to all subscribers."""
        for subscriber in self._subscribers:
            if covers(self._parts.service_set, subscriber.services, event["service"], event["instance"]):
                subscriber.on_event(event)
        if self._watchers:
            self._changed[event["instance"]] = None
        self.publish_status()

    def publish_status(self) -> None:
        """Send a status to all watchers soon."""
        if self._watchers and self._status_timer is None:
            loop = self._parts.loop
            delay = COALESCE_FOR_ORDER if any(watcher.for_order for watcher in self._watchers) else COALESCE
            self._status_timer = loop.call_at(max(loop.now() + delay, self._rests_until), self._send_all)

    def _send_all(self) -> None:
        self._status_timer = None
        changed, self._changed = list(self._changed), {}
        began, present = self._parts.loop.now(), self._present()
        if self._of[0] is not present[0] or self._of[1] != present[1]:
            self._of = present
            self._whole = {id(watcher) for watcher in self._watchers}
        for watcher in list(self._watchers):
            if watcher.on_part is None:
                self._send_status(watcher)
            else:
                self._send_part(watcher, watcher.on_part, changed)
        now = self._parts.loop.now()
        self._rests_until = max(self._rests_until, now + PAUSE_FACTOR * (now - began))

    def _present(self) -> tuple[Plan, int]:
        service_set = self._parts.service_set
        return service_set.plan, len(service_set.instances)

    def _send_part(self, watcher: Subscriber, send: Callable[[Status], bool], changed: list[str]) -> None:
        """Send the rows of these instances; everything where that is being made, one of them is gone, they are many, or
        the follower does not take them."""
        service_set = self._parts.service_set
        known = [name for name in changed if name in service_set.instances]
        if id(watcher) in self._under_way:
            self._under_way[id(watcher)] = True
            self._changed.update(dict.fromkeys(changed))
            return
        names = [n for n in known if covers(service_set, watcher.services, service_set.instances[n].spec.name, n)]
        few = len(known) == len(changed) and len(names) <= MOST_IN_PART
        if (
            id(watcher) in self._whole
            or not few
            or (names and not send(self._make_part(names, usage=not watcher.for_order)))
        ):
            self._whole.discard(id(watcher))
            self._send_status(watcher)

    def _send_status(self, watcher: Subscriber) -> None:
        """Make a status and send it.  One at a time: what is wanted while it is made is made after it."""
        if watcher not in self._watchers:
            return
        if id(watcher) in self._under_way:
            self._under_way[id(watcher)] = True
            return
        began = self._parts.loop.now()
        self._under_way[id(watcher)] = False

        def made(status: Status | SupervisorError) -> None:
            again = self._under_way.pop(id(watcher))
            now = self._parts.loop.now()
            self._rests_until = now + PAUSE_FACTOR * (now - began)
            if watcher in self._watchers and not isinstance(status, SupervisorError):
                watcher.on_status(status)
                if again:
                    self.publish_status()

        try:
            self._make_status(watcher.services, made, usage=not watcher.for_order)
        except NoSuchService:  # a reload has removed it
            del self._under_way[id(watcher)]

    def _follow(self, name: str, subscriber: Subscriber) -> Callable[[], None]:
        parts = self._parts
        stream = parts.logs.open(name, parts.service_set.instances[name].spec.log)

        def lines(found: list[bytes]) -> None:
            subscriber.on_log(name, [line.decode(errors="replace") for line in found])

        return stream.subscribe(lines)
