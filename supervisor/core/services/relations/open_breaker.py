"""What the open breaker of a service means for the services that depend on it: hold, stop or ignore.

- `hold`: dependants that are up go on; those that are not wait until the service is ready.
- `stop`: dependants, and what depends on those, are stopped in order.  They wait until the breaker has closed.
- `ignore`: an instance whose breaker is not closed counts as up, so that dependants start.

The breaker of a service with several instances is open while so many have failed that fewer than `min_ready` (one,
unless given) are left.  A fallback that is up counts as the service: dependants start, and `stop` does not stop them.

The answers follow from what the instances are at the moment, so that nothing is remembered, and a crash of the daemon
between two orders changes nothing: what was stopped is still wanted up, and waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.snapshot import Phase
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Goal, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import Condition, OnOpen, ServiceSpec, ServiceType
from supervisor.core.restart.tracker import Breaker
from supervisor.core.services.relations.dependency import is_met
from supervisor.core.services.scaling import enough_ready

_UP = (State.RUNNING, State.SUSPECT)
_GONE = (State.FAILED, State.EXITED, State.STOPPED)


class OpenBreakers:
    """The rules over all services of a plan, by name.  `instances`: those there are, by name."""

    def __init__(
        self,
        services: Mapping[str, ServiceSpec],
        dependants: Mapping[str, Sequence[str]],
        instances: Callable[[], Mapping[str, Instance]],
    ) -> None:
        self._specs = services
        self._dependants = dependants
        self._instances = instances
        self._below = chains(self._specs, dependants)

    def orders(self, now: float) -> Iterator[tuple[Instance, ev.Restart]]:
        """Stop what is not to be up while the breaker of a service is open, dependants first."""
        for service, below in self._below.items():
            if is_open(self._specs[service], self._of(service)) and not is_on_its_way(self._fallback(service)):
                instances = [i for name in below for i in self._of(name)]
                for instance in to_stop(instances, self._dependants, now):
                    yield instance, ev.Restart(Cause.DEPENDENCY_FAILED, service=service)

    def awaited(self, dependant: str) -> str:
        """The instance for which everything below a service with `on_open = "stop"` waits; empty where nothing does."""
        for service, below in self._below.items():
            if dependant in below and not stands_in(self._fallback(service)):
                instances = self._of(service)
                if not is_closed(self._specs[service], instances):
                    not_closed = (i for i in instances if i.tracker.breaker is not Breaker.CLOSED)
                    return next(i.name for i in not_closed if i.goal is Goal.UP)
        return ""

    def covers(self, needed: Instance, condition: Condition) -> bool:
        """Dependants need not wait for the instance: they ignore that its breaker is not closed, or there is a
        fallback."""
        if needed.tracker.breaker is Breaker.CLOSED:
            return False
        return counts_as_up(needed) or stands_in(self._fallback(needed.spec.name), condition)

    def _fallback(self, service: str) -> list[Instance]:
        fallback = self._specs[service].restart.fallback
        return self._of(fallback) if fallback is not None else []

    def _of(self, service: str) -> list[Instance]:
        instances = self._instances()
        return [instances[name] for name in self._specs[service].instances] if service in self._specs else []


def chains(specs: Mapping[str, ServiceSpec], dependants: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """For each service with `on_open = "stop"`: what depends on it, directly or not, and is stopped with it.

    A oneshot ends by itself, and what depends on it needs its work alone; what is not required is not missed."""
    found = {}
    for spec in specs.values():
        if spec.breaker.on_open is OnOpen.STOP:
            below = [spec.name]
            for name in below:  # grows while it is walked
                below += [one for one in dependants.get(name, ()) if one not in below and _needs(specs[one], name)]
            found[spec.name] = tuple(below[1:])
    return found


def _needs(spec: ServiceSpec, service: str) -> bool:
    how = spec.dependency(service)
    return spec.type is ServiceType.SERVICE and how.required and how.condition is not Condition.COMPLETED


def is_open(service: ServiceSpec, instances: Iterable[Instance]) -> bool:
    """Too many of its instances have failed."""
    return _too_few(service, instances, lambda i: i.state is not State.FAILED)


def is_closed(service: ServiceSpec, instances: Iterable[Instance]) -> bool:
    """Enough of its instances have a closed breaker, or none is wanted."""
    return not _too_few(service, instances, lambda i: i.tracker.breaker is Breaker.CLOSED)


def _too_few(service: ServiceSpec, instances: Iterable[Instance], is_left: Callable[[Instance], bool]) -> bool:
    wanted = [i for i in instances if i.goal is Goal.UP]
    return sum(map(is_left, wanted)) < min(service.min_ready or 1, len(wanted))


def counts_as_up(needed: Instance) -> bool:
    """Dependants are to ignore that its breaker is not closed."""
    ignored = needed.spec.breaker.on_open is OnOpen.IGNORE
    return ignored and needed.goal is Goal.UP and needed.tracker.breaker is not Breaker.CLOSED


def stands_in(fallback: Sequence[Instance], condition: Condition = Condition.READY) -> bool:
    """Enough instances of the fallback are what a dependant asks of the service."""
    if not fallback or condition is Condition.COMPLETED:
        return False
    return enough_ready(fallback[0].spec, sum(i.goal is Goal.UP and is_met(i, condition) for i in fallback))


def is_on_its_way(fallback: Iterable[Instance]) -> bool:
    """The fallback is up, or is being started."""
    return any(i.goal is Goal.UP and i.state not in _GONE for i in fallback)


def to_stop(below: Sequence[Instance], dependants: Mapping[str, Sequence[str]], now: float) -> Iterator[Instance]:
    """Which of the instances below an open breaker are stopped now: those whose own dependants have ended.

    One in maintenance is left alone; one that cannot be killed is not waited for."""
    ending = [i for i in below if i.maintenance is None and i.alive and not i.unkillable(now)]
    there = {i.spec.name for i in ending}
    for instance in ending:
        runs = instance.state in _UP or (instance.state is State.STARTING and instance.phase >= Phase.SPAWNING)
        if runs and instance.goal is Goal.UP and there.isdisjoint(dependants.get(instance.spec.name, ())):
            yield instance


def because(needed: Instance | None) -> str:
    """Why an instance that is waited for is not there, where its breaker is the reason."""
    if needed is None or needed.goal is Goal.DOWN or needed.tracker.breaker is Breaker.CLOSED:
        return ""
    return "its breaker is open" if needed.state is State.FAILED else "its breaker has not closed yet"
