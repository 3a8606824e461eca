"""Decides what is reported to the service manager, and when (adapters/service_manager/notifier.py does it).

Loaded only where NOTIFY_SOCKET is set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from supervisor.adapters.eventloop.loop import Timer
from supervisor.adapters.service_manager.notifier import ServiceManager
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.actions import Goal
from supervisor.core.services.settled import settled
from supervisor.core.services.status import instance_view
from supervisor.daemon.parts import Parts

if TYPE_CHECKING:
    from supervisor.core.model import instance_documents

STATUS_INTERVAL = 1.0
"""Seconds from one STATUS to the next while instances change."""
STATUS_INTERVAL_BEFORE_READY = 0.1
"""The same before READY, which should not be late."""
EXTEND_INTERVAL = 10.0
"""Seconds between two requests for more time to start, or to end."""
EXTEND_BY = 30.0
"""Seconds requested each time; short, so that the service manager notices if this daemon dies."""
MAX_NAMED = 3
"""Instances that STATUS names."""


class ServiceManagerReporter:
    """Reports of one daemon to the service manager that started it.

    READY is reported when every wanted service is ready, or has failed so that waiting for it is useless: the rule of
    `up -d`.  A watchdog beat is sent when one is due *and* a turn of the event loop has been completed."""

    def __init__(self, parts: Parts, manager: ServiceManager) -> None:
        self._parts = parts
        self._loop = parts.loop
        self.manager = manager
        self.environment = manager.upstream.environment
        self._awaited: list[str] = []
        self._before: dict[str, int] = {}
        self._ready = self._closing = self._beat_due = False
        self._reported_at = 0.0
        self._timer: Timer | None = None

    # -- calls of the runtime -------------------------------------------------------------------------------------

    def began(self) -> None:
        """Recovery is complete, and the starts are ordered."""
        instances = self._parts.service_set.instances.values()
        if self._parts.service_set.plan.supervisor.wait_ready:
            self._awaited = [i.name for i in instances if i.goal is Goal.UP]
        self._before = {i.name: i.incarnation for i in instances}
        self._beat()
        self._report()
        if not self._ready:
            self._extend()

    def changed(self) -> None:
        """An instance changed."""
        if self._timer is None:
            pace = STATUS_INTERVAL if self._ready else STATUS_INTERVAL_BEFORE_READY
            self._timer = self._loop.call_at(max(self._loop.now(), self._reported_at + pace), self._report)

    def turn(self) -> None:
        """A turn of the loop is completed."""
        if self._beat_due:
            self._beat_due = False
            self.manager.alive()
        if self._parts.service_set.closing and not self._closing:
            self._closing = True
            self.manager.stopping()
            self.changed()
            if self._ready:
                self._extend()

    def keep(self, descriptors: Mapping[str, int]) -> None:
        """Let the service manager keep these before they are used, so that nothing is lost if this daemon dies next."""
        for name, fd in descriptors.items():
            self.manager.keep(name, fd)

    def reloading(self) -> None:
        """A changed file is being read."""
        if self._ready and not self._closing:
            self.manager.reloading()

    def reloaded(self) -> None:
        """The changed file is in force, or was refused."""
        if self._ready and not self._closing:
            self.manager.ready()

    def close(self) -> None:
        """The daemon ends.  Where no process runs any more, the next daemon gets no descriptors."""
        if not any(i.alive for i in self._parts.service_set.instances.values()):
            self.manager.keep_only(())
        self.manager.close()

    # -- timers --------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        self._beat_due = True
        if (within := self.manager.upstream.watchdog) is not None:
            self._loop.call_at(self._loop.now() + within / 2, self._beat)

    def _extend(self) -> None:
        if self._closing or not self._ready:
            self.manager.extend(EXTEND_BY)
            self._loop.call_at(self._loop.now() + EXTEND_INTERVAL, self._extend)

    def _report(self) -> None:
        self._timer, self._reported_at = None, self._loop.now()
        held = self._parts.descriptors()
        del held["lock"], held["state"]  # they have to be free when no daemon runs
        self.keep(held)
        self.manager.keep_only(held)
        if not self._ready and not self._closing and self._settled():
            self._ready = True
            self.manager.ready()
        self.manager.status(summary(self._parts.service_set.instances, starting=not self._ready, closing=self._closing))

    def _settled(self) -> bool:
        """Whether no instance is awaited any more.  Checks again soon where only uptime is missing."""
        rows = _Rows(self._parts.service_set.instances, self._reported_at)
        while self._awaited:
            name = self._awaited[-1]
            if settled("start", name, rows, self._before) is False:
                if rows[name]["ready"]:
                    self.changed()
                return False
            self._awaited.pop()
        return True


class _Rows(Mapping[str, "instance_documents.Instance"]):
    """The rows of the status, each made when it is asked for."""

    def __init__(self, instances: Mapping[str, Instance], now: float) -> None:
        self._instances, self._now = instances, now

    def __getitem__(self, name: str) -> instance_documents.Instance:
        return instance_view(self._instances[name], self._now)

    def __iter__(self) -> Iterator[str]:
        return iter(self._instances)

    def __len__(self) -> int:
        return len(self._instances)


def summary(instances: Mapping[str, Instance], *, starting: bool, closing: bool) -> str:
    """One line: `starting: 2 of 3 ready; db starting`, `2 of 3 ready; db failed`, `stopping: 1 left: db`."""
    if closing:
        left = [i.name for i in instances.values() if i.alive and not i.outlives_daemon]
        return f"stopping: {len(left)} left" + (f": {_first_names(left)}" if left else "")
    wanted = [i for i in instances.values() if i.goal is Goal.UP]
    short = [f"{i.name} {i.state.value}" for i in wanted if not i.ready_for_dependants]
    text = f"{len(wanted) - len(short)} of {len(wanted)} ready" + (f"; {_first_names(short)}" if short else "")
    return f"starting: {text}" if starting else text


def _first_names(names: list[str]) -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
