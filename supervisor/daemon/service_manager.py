"""Under a service manager: when it is told what (adapters/systemd.py says how).

Loaded only where NOTIFY_SOCKET is set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from supervisor.adapters.eventloop.loop import Timer
from supervisor.adapters.service_manager.notifier import ServiceManager
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.actions import Goal
from supervisor.core.services.settled import MIN_UPTIME, settled
from supervisor.core.services.status import instance_view
from supervisor.daemon.parts import Parts

if TYPE_CHECKING:
    from supervisor.core.model import documents

STATUS_INTERVAL = 1.0
"""Seconds from one STATUS to the next, while things change."""
STATUS_INTERVAL_BEFORE_READY = MIN_UPTIME
"""The same before we are ready: READY is not to come late."""
EXTEND_INTERVAL = 10.0
"""Seconds between two requests for more time to start, or to end."""
EXTEND_BY = 30.0
"""Seconds asked for: it is not as long as it may take, so that our own death is noticed meanwhile."""
MAX_NAMED = 3
"""Instances that STATUS names."""


class ServiceManagerReporter:
    """One daemon and the service manager that started it.

    READY is told once every service that is wanted is ready, or has failed so that waiting for it makes no sense, the
    very rule of `up -d`.  A sign of life is given when one is due *and* a turn of the loop has been completed."""

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

    # -- what the runtime tells ----------------------------------------------------------------------------------

    def began(self) -> None:
        """Everything is taken up, and what is wanted is on its way."""
        instances = self._parts.service_set.instances.values()
        if self._parts.service_set.plan.supervisor.wait_ready:
            self._awaited = [i.name for i in instances if i.goal is Goal.UP]
        self._before = {i.name: i.incarnation for i in instances}
        self._beat()
        self._report()
        if not self._ready:
            self._extend()

    def changed(self) -> None:
        """Something happened to some instance."""
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
        """Before anybody uses them: so that nothing is lost if we die in the next moment."""
        for name, fd in descriptors.items():
            self.manager.keep(name, fd)

    def reloading(self) -> None:
        """A changed file is being read."""
        if self._ready and not self._closing:
            self.manager.reloading()

    def reloaded(self) -> None:
        """It is in force, or was refused."""
        if self._ready and not self._closing:
            self.manager.ready()

    def close(self) -> None:
        """The end.  What no process uses any more is not to be given to the next daemon."""
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
        del held["lock"], held["state"]  # they have to be free once nobody runs
        self.keep(held)
        self.manager.keep_only(held)
        if not self._ready and not self._closing and self._settled():
            self._ready = True
            self.manager.ready()
        self.manager.status(summary(self._parts.service_set.instances, starting=not self._ready, closing=self._closing))

    def _settled(self) -> bool:
        """Whether nobody is waited for any more; asks again where only a little time is missing."""
        rows = _Rows(self._parts.service_set.instances, self._reported_at)
        while self._awaited:
            name = self._awaited[-1]
            if settled("start", name, rows, self._before) is False:
                if rows[name]["ready"]:
                    self.changed()
                return False
            self._awaited.pop()
        return True


class _Rows(Mapping[str, "documents.Instance"]):
    """The rows of the status, each made when it is asked for."""

    def __init__(self, instances: Mapping[str, Instance], now: float) -> None:
        self._instances, self._now = instances, now

    def __getitem__(self, name: str) -> documents.Instance:
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
