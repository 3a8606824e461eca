"""Which sockets start an instance, and when an instance that runs on demand is idle.

A connection on any socket of a service with `start=demand` starts it.  It is idle when no connection was open and none
came for a time.  The connections do not pass through the daemon, so it knows only two things: that a connection came
(reported once, and again only after the next request for it), and how many are open at the moment of a look.  In
maintenance a connection starts nothing and waits until the maintenance is over, and nothing is stopped for being idle.
"""

from __future__ import annotations

from collections.abc import Iterable

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.actions import State
from supervisor.core.model.spec import ServiceSpec
from supervisor.core.services.replica import for_instance

SLICE = 10
"""A look while connections are open, and the notice of a new one, is at most this often in the idle time."""


def waiting_specs(instances: Iterable[Instance]) -> dict[str, ServiceSpec]:
    """The instances that wait for a connection, each with the specification whose sockets bring it."""
    return {i.name: for_instance(i.spec, i.name) for i in instances if i.dormant and i.maintenance is None}


def idle_specs(instances: Iterable[Instance]) -> dict[tuple[str, int], ServiceSpec]:
    """The runs (instance and number) that are to be stopped when they are idle, each with its specification."""
    alone = (i for i in instances if i.state is State.RUNNING and i.maintenance is None)
    runs = (i for i in alone if i.spec.on_demand and i.spec.idle is not None)
    return {(i.name, i.incarnation): for_instance(i.running_spec, i.name) for i in runs}


class IdleClock:
    """When to look whether one run is idle, and what a look means.  Moments are monotonic seconds.

    A run is idle never earlier than `idle` seconds after its last connection was closed, and at the latest a tenth
    later than that.  A run begins with a connection, which may be open already, as may others where the daemon takes up
    a run.  After a connection came the clock takes no notice of others for a tenth of the time: so a busy service costs
    a handful of looks, and connections that came during that pause count as having come at its end."""

    __slots__ = ("_busy_until", "_idle", "_last")

    def __init__(self, idle: float, now: float) -> None:
        self._idle = idle
        self._last: float
        self._busy_until: float | None
        self.connected(now)

    @property
    def due(self) -> float:
        """When to look next."""
        return self._last + self._idle if self._busy_until is None else self._busy_until

    def connected(self, now: float) -> None:
        """A connection came.  From now until the next look it is not known whether others come."""
        self._last, self._busy_until = now, now + self._idle / SLICE

    def looked(self, connections: int, now: float) -> bool:
        """Whether the run is idle, by the number of `connections` that are open.  From now on new ones are noticed.

        One that is idle and runs on, because what is to stop it waits for something else, is idle again later."""
        idle = self._busy_until is None and not connections
        self._last = now
        self._busy_until = now + self._idle / SLICE if connections else None
        return idle
