"""Rollout: replaces the instances of a service one after the other, each when the last one is ready and stays so.

`advance` is the whole rule, as a reconciler has it: what is wanted, what is seen and the time give the next moves and
the next deadline.  It keeps no state between two calls but the `Rollout` that it returns, so a daemon that crashed
between any two of its actions goes on by calling it again.

An instance belongs to the definition of its `revision`: the id of the rollout where it was replaced by it, that id with
`BACK` where it was put back, anything else where it was not touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

from supervisor.core.model.causes import Cause
from supervisor.core.model.plain import from_plain, listed, to_plain
from supervisor.core.model.saved import MOST_SECONDS, number
from supervisor.core.model.spec import RolloutSpec, ServiceSpec
from supervisor.core.services.scaling import as_configured, port_count, surge_of

BACK = "<"
"""Follows the id in the revision of an instance that was put back on the previous definition."""
UNKNOWN = "?"
"""The revision of a process that is not in the ledger: it is replaced on the way to the new definition and on the way
back."""


class Order(StrEnum):
    """What began a rollout."""

    RELOAD = "reload"
    RESTART = "restart"
    UNDO = "undo"


class Stage(StrEnum):
    """How far a rollout is."""

    RUNNING = "running"
    ROLLING_BACK = "rolling-back"
    HALTED = "halted"
    """It goes no further by itself: instances of both definitions run."""
    FINISHED = "finished"
    ROLLED_BACK = "rolled-back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One rollout of one service.

    `wanted` replaces `previous`; a restart has the same twice.  `filed`: what the file had when it was last read.
    `surge`: how many instances there are beside `replicas`.
    `settled`: the instances that were ready for long
    enough on the definition that they are to have.  `again`: instances that are replaced once more although they have
    the wanted definition, because a halted rollout was resumed.  `reason`: why it was rolled back or halted.  `by`: the
    giver of the order.  `began` and `changed`, when it got its stage, are monotonic seconds."""

    id: str
    service: str
    order: Order
    wanted: ServiceSpec
    previous: ServiceSpec
    filed: ServiceSpec
    stage: Stage = Stage.RUNNING
    paused: bool = False
    settled: frozenset[str] = frozenset()
    again: frozenset[str] = frozenset()
    reason: str = ""
    surge: int = 0
    by: Mapping[str, Any] = field(default_factory=dict)
    began: float = 0.0
    changed: float = 0.0

    @property
    def moving(self) -> bool:
        """Instances are still being replaced, or will be as soon as it is no longer paused."""
        return self.stage in (Stage.RUNNING, Stage.ROLLING_BACK)

    @property
    def open(self) -> bool:
        """Instances of both definitions may run."""
        return self.moving or self.stage is Stage.HALTED

    @property
    def back(self) -> bool:
        """The previous definition is the one in force."""
        return self.stage in (Stage.ROLLING_BACK, Stage.ROLLED_BACK)

    @property
    def target(self) -> ServiceSpec:
        """The definition in force."""
        return self.previous if self.back else self.wanted

    @property
    def in_force(self) -> ServiceSpec:
        """The definition in force with the instances of the surge, as the plan has it."""
        return replace(self.target, surge=self.surge) if self.surge else self.target

    @property
    def beside(self) -> tuple[str, ...]:
        """The instances of the surge."""
        return self.in_force.instances[self.target.replicas :] if self.surge else ()

    @property
    def revision(self) -> str:
        """The revision that a replaced instance gets now."""
        return self.id + BACK if self.back else self.id

    @property
    def deviates(self) -> bool:
        """The file has another definition than the one in force."""
        return as_configured(self.filed) != as_configured(self.target)

    @property
    def rules(self) -> RolloutSpec:
        return self.wanted.rollout or self.previous.rollout or RolloutSpec()

    @property
    def restarts(self) -> bool:
        """Both definitions are the same."""
        return self.wanted == self.previous

    def files(self, spec: ServiceSpec) -> bool:
        """`spec` is what the file had when it was last read, whatever `scale` has made of the number since."""
        return as_configured(spec) == as_configured(self.filed)

    def definition(self, revision: str) -> ServiceSpec:
        """The definition of an instance of this revision."""
        if not self.open:
            return self.target
        return self.wanted if revision == self.id else self.previous

    def due(self, revision: str, name: str) -> bool:
        """Whether an instance of this revision has to be replaced."""
        if name in self.again or revision == UNKNOWN:
            return True
        return revision == self.id if self.back else revision != self.id


class Seen(NamedTuple):
    """One instance as it is.  `up`: it is wanted.  `ready_since`: None where it is not ready.  `failure`: why its
    present definition counts as failed, empty where it does not; only looked at until it has settled.  `left_alone`: it
    is in maintenance, so that it is neither replaced nor settles; one of the surge also where a user has stopped it.
    `surge`: it runs beside the `replicas` of its service.  `there`: it is not stopped."""

    name: str
    up: bool
    revision: str
    ready_since: float | None
    failure: str = ""
    left_alone: bool = False
    surge: bool = False
    there: bool = True

    @property
    def ready(self) -> bool:
        return self.ready_since is not None


class Fact(NamedTuple):
    """Something that the ledger remembers of a rollout, with the instance that it is about (empty: all)."""

    cause: Cause
    instance: str = ""


class Advance(NamedTuple):
    """`moves`: the instances to replace now by `rollout.target`, with the revision `rollout.revision`; those of a surge
    are started where they are down.  `stops`: instances of the surge to stop.  `deadline`: when to call `advance` again
    if nothing happens before.  Where `rollout.surge` has another value, `advance` is called again with the instances
    that there are then."""

    rollout: Rollout
    moves: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    deadline: float | None = None
    stops: tuple[str, ...] = ()


def in_plan_of(wanted: ServiceSpec, other: ServiceSpec) -> ServiceSpec:
    """`other` with what concerns the plan as a whole as `wanted` has it: the plan in force has one number of instances,
    and may no longer have the services that another definition depends on.

    A range of ports that begins at the same port may be longer by now, as each instance keeps its port.  In another
    range `other` has as many instances as ports."""
    ports, replicas = other.ports, wanted.replicas
    if ports is not None and wanted.ports is not None and ports[0] == wanted.ports[0]:
        ports = wanted.ports
    elif ports is not None:
        replicas = min(replicas, port_count(ports))
    return replace(
        other,
        replicas=replicas,
        configured_replicas=wanted.configured_replicas,
        first_name=wanted.first_name,
        depends_on=wanted.depends_on,
        dependencies=wanted.dependencies,
        ports=ports,
        surge=0,
    )


def lost(rollout: Rollout) -> str:
    """What the way back costs: the previous definition may have fewer ports than there are instances now."""
    there, wanted, ports = rollout.previous.replicas, rollout.wanted.replicas, rollout.previous.ports
    if there >= wanted or ports is None:
        return ""
    return "; the previous ports = {}-{} hold {} of {} instances".format(*ports, there, wanted)


def most_unavailable(rollout: Rollout, up: int) -> int:
    """How many of the instances that are wanted `up` may be missing at once; a part of them is rounded down, but to no
    less than one.  Where no port is free for a surge, one has to be missing."""
    limit = rollout.rules.max_unavailable
    if isinstance(limit, int):
        return limit if most_surge(rollout) else max(1, limit)
    return max(1, int(float(limit.rstrip("%")) * up / 100.0))


def most_surge(rollout: Rollout) -> int:
    """How many instances may run beside the others: as the file allows it, and as ports of both definitions are
    free."""
    number = rollout.wanted.replicas
    free = (port_count(s.ports) - number for s in (rollout.wanted, rollout.previous) if s.ports is not None)
    return max(0, min((surge_of(rollout.rules, number), *free)))


def advance(rollout: Rollout, seen: Sequence[Seen], now: float) -> Advance:
    """What a rollout does next.  `seen`: all instances of the service, in their order."""
    if rollout.paused or not (rollout.moving or rollout.surge):
        return Advance(rollout)
    if not rollout.moving:
        return _without_surge(rollout, seen)
    rollout, facts = _settle(rollout, seen, now)
    failed = None if rollout.back else _failed(rollout, seen)
    if failed is not None:
        rollout = _after_failure(rollout, f"{failed.name}: {failed.failure}", now)
        back = advance(rollout, seen, now)
        return back._replace(facts=(*facts, Fact(Cause.ROLLOUT_FAILED, failed.name), *back.facts))
    surge = _wanted_surge(rollout, seen)
    if surge > rollout.surge:
        return Advance(replace(rollout, surge=surge), facts=tuple(facts), deadline=_deadline(rollout, seen))
    moves = _moves(rollout, seen, surge)
    out = _without_surge(rollout, seen, surge)
    rollout = out.rollout
    if not moves and not rollout.surge and _complete(rollout, seen):
        stage, cause = Stage.FINISHED, Cause.ROLLOUT_FINISHED
        if rollout.back:
            stage, cause = Stage.ROLLED_BACK, Cause.ROLLOUT_ROLLED_BACK
        return Advance(replace(rollout, stage=stage, changed=now), facts=(*facts, Fact(cause)))
    rollout = replace(rollout, again=rollout.again.difference(moves), settled=rollout.settled.difference(moves))
    return Advance(rollout, moves, tuple(facts), _deadline(rollout, seen), out.stops)


def _wanted_surge(rollout: Rollout, seen: Iterable[Seen]) -> int:
    """How many instances are to run beside the others: some while one of those has to be replaced, and those that are
    there until the last one has settled."""
    own = [s for s in seen if not s.surge]
    up = [s for s in own if s.up]
    if any(rollout.due(s.revision, s.name) for s in up):
        return min(most_surge(rollout), len(up))
    return min(most_surge(rollout), rollout.surge) if _unsettled(rollout, own) else 0


def _without_surge(rollout: Rollout, seen: Sequence[Seen], surge: int = 0) -> Advance:
    """Stop the instances of the surge but the first `surge`, each as soon as enough others are ready."""
    beside = [s for s in seen if s.surge]
    up = sum(s.up for s in seen if not s.surge)
    ready = sum(s.ready for s in seen if s.up)
    least, stops = up - most_unavailable(rollout, up), []
    for one in reversed(beside[surge:]):
        if one.up and not one.left_alone and (not one.ready or ready > least):
            ready -= one.ready
            stops.append(one.name)
    left = max((number for number, one in enumerate(beside, 1) if one.there or number <= surge), default=0)
    return Advance(replace(rollout, surge=left), stops=tuple(stops))


def _settle(rollout: Rollout, seen: Iterable[Seen], now: float) -> tuple[Rollout, list[Fact]]:
    """Note the replaced instances that have been ready for long enough."""
    fresh = [name for name, at in _settling(rollout, seen) if at <= now]
    if not fresh:
        return rollout, []
    facts = [Fact(Cause.ROLLOUT_ADVANCED, name) for name in fresh]
    return replace(rollout, settled=rollout.settled.union(fresh)), facts


def _unsettled(rollout: Rollout, seen: Iterable[Seen]) -> list[Seen]:
    """The instances that are replaced and not known to stay ready."""
    return [
        s
        for s in seen
        if s.up and s.revision == rollout.revision and s.name not in rollout.settled and s.name not in rollout.again
    ]


def _failed(rollout: Rollout, seen: Iterable[Seen]) -> Seen | None:
    return next((s for s in _unsettled(rollout, seen) if s.failure and not s.left_alone), None)


def _after_failure(rollout: Rollout, reason: str, now: float) -> Rollout:
    """A restart has no other definition to go back to, so it is halted."""
    if rollout.rules.on_failure == "rollback" and not rollout.restarts:
        return _turned(rollout, reason, now)
    return replace(rollout, stage=Stage.HALTED, reason=reason, changed=now)


def _turned(rollout: Rollout, reason: str, now: float) -> Rollout:
    nothing: frozenset[str] = frozenset()
    reason += lost(rollout)
    return replace(rollout, stage=Stage.ROLLING_BACK, reason=reason, settled=nothing, again=nothing, changed=now)


def _moves(rollout: Rollout, seen: Sequence[Seen], surge: int) -> tuple[str, ...]:
    """The instances to replace now: those that are not wanted up, then what is not ready, then as many of the ready
    ones as may be missing.  On the way forward no more are tried at once than may be missing, and those of the surge
    are tried first; on the way back what is not ready has nothing to lose.  One that is wanted up and left alone has
    its turn after that."""
    own = [s for s in seen if not s.surge]
    beside = [s for s in [s for s in seen if s.surge][:surge] if not s.left_alone]
    up = [s for s in own if s.up]
    missing = most_unavailable(rollout, len(up))
    least, most = len(up) - missing, missing + len(beside)
    tried = len(_unsettled(rollout, seen))
    ready = sum(s.ready for s in seen if s.up)
    down = [s.name for s in own if not s.up and rollout.due(s.revision, s.name)]
    pressing = any(rollout.due(s.revision, s.name) for s in up)
    started = [s.name for s in beside if not s.up and pressing]
    untried = any(s.name not in rollout.settled for s in beside)
    due = [s for s in beside if s.up and _surge_due(rollout, s)]
    if rollout.back or not untried:
        due += [s for s in own if s.up and not s.left_alone and rollout.due(s.revision, s.name)]
    moves = [*down, *started]
    tried += len(started)
    for one in sorted(due, key=lambda s: s.ready):
        if one.ready and (tried >= most or ready - 1 < least):
            break
        if not one.ready and not rollout.back and tried >= most:
            break
        ready -= one.ready
        tried += 1
        moves.append(one.name)
    return tuple(moves)


def _surge_due(rollout: Rollout, one: Seen) -> bool:
    """Whether an instance of the surge has to be replaced.  On the way back one that is ready is of use as it is."""
    return rollout.due(one.revision, one.name) and not (rollout.back and one.ready)


def _complete(rollout: Rollout, seen: Sequence[Seen]) -> bool:
    own = [s for s in seen if not s.surge]
    return not _unsettled(rollout, own) and not any(rollout.due(s.revision, s.name) for s in own)


def _deadline(rollout: Rollout, seen: Iterable[Seen]) -> float | None:
    return min((at for _, at in _settling(rollout, seen)), default=None)


def _settling(rollout: Rollout, seen: Iterable[Seen]) -> Iterator[tuple[str, float]]:
    """The replaced instances that are ready, and when they have been for long enough.  On the way back a failure before
    does not count: there is no other definition to try."""
    for s in _unsettled(rollout, seen):
        if s.ready_since is not None and not s.left_alone and (rollout.back or not s.failure):
            yield s.name, s.ready_since + rollout.rules.settle


# -- orders ----------------------------------------------------------------------------------------------------------


def resumed(rollout: Rollout, seen: Iterable[Seen], now: float) -> Rollout:
    """A paused rollout goes on; a halted one tries the instances again that are not ready on the wanted definition."""
    if rollout.stage is not Stage.HALTED:
        return replace(rollout, paused=False)
    again = frozenset(s.name for s in seen if s.revision == rollout.id and not s.ready and not s.surge)
    return replace(rollout, stage=Stage.RUNNING, paused=False, reason="", again=again, changed=now)


def undone(rollout: Rollout, new_id: str, by: Mapping[str, Any], now: float) -> Rollout:
    """What takes the service back to the previous definition: the same rollout where it is under way, else another one.

    A restart that is under way is ended where it is."""
    if rollout.restarts:
        return replace(rollout, stage=Stage.HALTED, paused=False, reason="ended by an undo", changed=now)
    if rollout.stage is not Stage.FINISHED:
        return replace(_turned(rollout, "undone by an order", now), paused=False)
    return Rollout(
        id=new_id,
        service=rollout.service,
        order=Order.UNDO,
        wanted=rollout.previous,
        previous=rollout.wanted,
        filed=rollout.filed,
        by=by,
        began=now,
        changed=now,
    )


# -- for a later daemon ----------------------------------------------------------------------------------------------


def write(rollout: Rollout) -> dict[str, Any]:
    """The rollout as JSON-able data.  Other versions read the keys, so a key never changes."""
    return {
        "id": rollout.id,
        "service": rollout.service,
        "order": rollout.order.value,
        "wanted": to_plain(rollout.wanted),
        "previous": to_plain(rollout.previous),
        "filed": to_plain(rollout.filed),
        "stage": rollout.stage.value,
        "paused": rollout.paused,
        "settled": sorted(rollout.settled),
        "again": sorted(rollout.again),
        "reason": rollout.reason,
        "surge": rollout.surge,
        "by": dict(rollout.by),
        "began": rollout.began,
        "changed": rollout.changed,
    }


def read(saved: Mapping[str, Any]) -> Rollout:
    """The inverse of `write`.  Raises one of `saved.GARBAGE` for damaged data."""
    found = Rollout(
        id=str(saved["id"]),
        service=str(saved["service"]),
        order=Order(saved["order"]),
        wanted=from_plain(ServiceSpec, saved["wanted"]),
        previous=from_plain(ServiceSpec, saved["previous"]),
        filed=from_plain(ServiceSpec, saved["filed"]),
        stage=Stage(saved["stage"]),
        paused=bool(saved["paused"]),
        settled=frozenset(map(str, listed(saved["settled"]))),
        again=frozenset(map(str, listed(saved["again"]))),
        reason=str(saved["reason"]),
        surge=int(saved.get("surge", 0)),
        by=dict(saved["by"]),
        began=number(saved["began"], 0.0, MOST_SECONDS),
        changed=number(saved["changed"], 0.0, MOST_SECONDS),
    )
    if {found.wanted.name, found.previous.name, found.filed.name} != {found.service}:
        raise ValueError(f"definitions of other services in the rollout of {found.service}")
    return found
