"""Scaling: another number of replicas than the file says, and the names and the number that a service then has.

A number that `supervisor scale` has set is part of the plan in force, which outlives a crash and an upgrade of the
daemon.  It holds until the file is applied again.  Numbers are given and taken from the end, so that names are used
again from the lowest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from math import ceil, modf
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from supervisor.core.model.actions import Goal
from supervisor.core.model.spec import Plan, RolloutSpec, ServiceSpec, ServiceType
from supervisor.core.text.nearest import did_you_mean
from supervisor.errors import NoSuchService, UsageError

if TYPE_CHECKING:
    from supervisor.core.lifecycle.instance import Instance
    from supervisor.core.model import order_documents

MOST = 10_000
"""Replicas of a service, at most."""
GOLDEN = 0.6180339887498949
"""Multiples of it, modulo 1, lie as far from each other as any number of them can."""
DIGITS = 20
"""Of a number of replicas, at most: Python refuses to read one of thousands of digits."""
PRIME = 2**61 - 1
"""Names are spread over the numbers below it."""


class Scale(NamedTuple):
    """An order of `scale` for one service: the numbers of replicas, and the instances that it starts and stops.

    `began`: monotonic seconds.  `by`: its giver."""

    service: str
    before: int
    replicas: int
    started: tuple[str, ...]
    stopped: tuple[str, ...]
    began: float
    by: Mapping[str, Any]

    def shown(self, instances: Mapping[str, Instance], now: float) -> order_documents.Scaling | None:
        """What is left to do; None where nothing is."""
        new = [instances[name] for name in self.started if name in instances]
        starting = [one.name for one in new if one.goal is Goal.UP and not one.ready_for_dependants]
        stopping = [name for name in self.stopped if name in instances]
        if not starting and not stopping:
            return None
        return {
            "service": self.service,
            "before": self.before,
            "replicas": self.replicas,
            "starting": starting,
            "stopping": stopping,
            "began_s": round(max(0.0, now - self.began), 3),
            "by": cast("order_documents.OrderedBy", dict(self.by)),
        }


def wanted(plan: Plan, given: Sequence[str]) -> dict[str, int]:
    """The number of replicas by service, from words such as `web=4`.  UsageError and NoSuchService name every error.

    0 is refused, because `stop` does that and keeps the number."""
    found: dict[str, int] = {}
    wrong, unknown = [] if given else ["no service is named"], []
    for word in given:
        name, _, number = word.partition("=")
        spec = plan.service(name)
        if not number.isascii() or not number.isdigit():
            wrong.append(f"{word}: write SERVICE=N, for example web=4")
        elif spec is None:
            names = [s.name for s in plan.services]
            hint = "; scale its service" if "@" in name else did_you_mean(name, names)
            unknown.append(f"{word}: no service is named {name!r}{hint}")
        elif name in found:
            wrong.append(f"{word}: {name} is named twice")
        elif reason := refusal(spec, int(number) if len(number) <= DIGITS else MOST + 1):
            wrong.append(f"{word}: {reason}")
        else:
            found[name] = int(number)
    if wrong or unknown:
        kind = UsageError if wrong else NoSuchService
        raise kind("\n".join((*wrong, *unknown)), "Nothing was changed.")
    return found


def port_count(ports: tuple[int, int]) -> int:
    """How many ports the range has."""
    return ports[1] - ports[0] + 1


def surge_of(rules: RolloutSpec | None, replicas: int) -> int:
    """How many instances a rollout may run beside `replicas`; a part of them is rounded up."""
    limit = rules.max_surge if rules is not None else 0
    return limit if isinstance(limit, int) else ceil(int(limit.rstrip("%")) * replicas / 100)


def refusal(spec: ServiceSpec, replicas: int) -> str:
    """Why the service cannot have so many replicas; empty where it can."""
    if replicas == 0:
        return f"0 replicas: `supervisor stop {spec.name}` stops all of them"
    if replicas > MOST:
        return f"at most {MOST} replicas"
    if spec.heartbeat is not None and spec.heartbeat.source == "haproxy" and replicas > 1:
        return "there is one HAProxy: others would take its port and its sockets from it"
    if spec.type is ServiceType.ONESHOT:
        return "a oneshot runs to completion; its number is set in the file"
    if spec.min_ready is not None and replicas < spec.min_ready:
        return f"min_ready = {spec.min_ready} needs as many replicas"
    surge = surge_of(spec.rollout, replicas)
    if spec.ports is not None and replicas + surge > port_count(spec.ports):
        beside = f" + {surge} of rollout.max_surge" if surge else ""
        return "ports = {}-{} has {} ports".format(*spec.ports, port_count(spec.ports)) + f" for {replicas}{beside}"
    logs = (("path", spec.log.path, spec.log.path_shared), ("stderr", spec.log.stderr, spec.log.stderr_shared))
    for key, path, shared in logs:
        if replicas + surge > 1 and path and "{instance}" not in path and not shared:
            return f"log.{key} would be the log of them all: write {{instance}} in it"
    return ""


def scaled(plan: Plan, numbers: Mapping[str, int]) -> Plan:
    """`plan` with so many replicas of these services."""

    def with_number(spec: ServiceSpec) -> ServiceSpec:
        written = as_configured(spec).replicas
        number = numbers[spec.name]
        return replace(spec, replicas=number, configured_replicas=None if number == written else written)

    return replace(plan, services=tuple(with_number(s) if s.name in numbers else s for s in plan.services))


def as_configured(spec: ServiceSpec) -> ServiceSpec:
    """The specification as it came from the file."""
    if spec.configured_replicas is None and not spec.first_name and not spec.surge:
        return spec
    number = spec.configured_replicas or spec.replicas
    return replace(spec, replicas=number, configured_replicas=None, first_name="", surge=0)


def configured(plan: Plan) -> Plan:
    """The plan as it came from the file."""
    return replace(plan, services=tuple(map(as_configured, plan.services)))


def without_surge(plan: Plan) -> Plan:
    """The plan without the instances that rollouts run beside the others."""
    if not any(spec.surge for spec in plan.services):
        return plan
    return replace(plan, services=tuple(replace(s, surge=0) if s.surge else s for s in plan.services))


def deviations(plan: Plan) -> dict[str, tuple[int, int]]:
    """The services that were scaled: the number in force, and that of the file."""
    found = ((s.name, s.replicas, s.configured_replicas) for s in plan.services)
    return {name: (number, written) for name, number, written in found if written is not None}


def kept(in_force: Plan, compiled: Plan) -> Plan:
    """The plan of the file for a later daemon: with the numbers in force, if the file says what it said."""
    numbers = {name: number for name, (number, _) in deviations(in_force).items()}
    before = {spec.name: replace(as_configured(spec), unresolved=()) for spec in in_force.services}
    if any(before.get(spec.name) != replace(as_configured(spec), unresolved=()) for spec in compiled.services):
        return compiled
    return scaled(compiled, numbers)


def with_present_names(in_force: Plan, plan: Plan, present: Collection[str]) -> Plan:
    """`plan`, in which the first instance of each service keeps the name that it has: `web`, or `web@1`.

    Whether there are others changes nothing for it, and its process, its log and its history have that name."""
    before = {spec.name: spec.instances[0] for spec in in_force.services}

    def named(spec: ServiceSpec) -> ServiceSpec:
        plain = replace(spec, first_name="") if spec.first_name else spec
        first = before.get(spec.name)
        if first is None or first not in present or first == plain.instances[0]:
            return plain
        return replace(spec, first_name=first)

    return replace(plan, services=tuple(map(named, plan.services)))


def enough_ready(spec: ServiceSpec, ready: int) -> bool:
    """Whether the service counts as ready from so many ready instances."""
    return ready >= min(spec.min_ready or spec.replicas, spec.replicas)


def phase(instance: str) -> float:
    """Where in a period an instance takes its turn, from 0 to 1: replicas of a service lie far from each other."""
    service, _, number = instance.rpartition("@")
    if not service or not number.isdigit():
        service, number = instance, "1"
    return modf(int.from_bytes(service.encode()) % PRIME / PRIME + int(number) * GOLDEN)[0]


class Spread:
    """Random numbers for the delays of an instance: never the same for two replicas that fail together.

    `draw`: a random number of this daemon from 0 to 1, so that daemons on several hosts differ too."""

    __slots__ = ("_at",)

    def __init__(self, instance: str, draw: Callable[[], float]) -> None:
        self._at = draw() + phase(instance)

    def __call__(self) -> float:
        self._at = modf(self._at + GOLDEN)[0]
        return self._at
