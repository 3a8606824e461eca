"""All rollouts of a daemon: what of the instances `rollout.advance` gets to see, and what its moves mean for them.

The service set makes one of these with the first rollout, and asks it after every change of an instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from supervisor.core.history.incidents import is_decision
from supervisor.core.lifecycle.entering import record
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.snapshot import After
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, Goal, Record, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import Plan, ServiceSpec, ServiceType
from supervisor.core.services.plan_diff import Difference, changed_keys
from supervisor.core.services.rollout import (
    UNKNOWN,
    Fact,
    Order,
    Rollout,
    Seen,
    Stage,
    advance,
    in_plan_of,
    most_surge,
    most_unavailable,
    resumed,
    undone,
    write,
)
from supervisor.core.services.scaling import without_surge
from supervisor.core.text.causes import phrase
from supervisor.core.text.orders import given
from supervisor.core.text.units import span
from supervisor.errors import OperationFailed, UsageError

if TYPE_CHECKING:
    from supervisor.core.model import order_documents

_FAILED_STATES = (State.SUSPECT, State.BACKOFF, State.EXITED, State.FAILED)
"""An instance in one of these was tried and is not well."""
Instances = Mapping[str, Instance]


class Rollouts:
    """The newest rollout of each service, by its name.  `records` waits for the service set to take it."""

    def __init__(self, instances: Callable[[], Instances], rng: Callable[[], float]) -> None:
        self.by_service: dict[str, Rollout] = {}
        self.records: list[Action] = []
        self.deadline: float | None = None
        self._instances = instances
        self._rng = rng
        self._ready_since: dict[str, tuple[int, float]] = {}
        """The incarnation that is ready, and since when."""
        self._failures: dict[str, str] = {}
        """What went wrong with an instance since it was replaced."""

    # -- what begins, ends and steers a rollout ------------------------------------------------------------------

    def begin(
        self, order: Order, wanted: ServiceSpec, previous: ServiceSpec, now: float, by: Mapping[str, Any]
    ) -> None:
        """Begin to replace `previous` by `wanted`.  What concerns the plan as a whole is taken from `wanted`.

        Over a halted rollout, a restart's too, the definition to go back to stays the last one that worked; an instance
        that has the halted one has neither of the two, or is to be replaced by the same."""
        known = self.by_service.get(wanted.name)
        halted = known if known is not None and known.stage is Stage.HALTED else None
        if halted is not None:
            previous = halted.previous
        filed = known.filed if known is not None and order is Order.RESTART else replace(wanted, surge=0)
        wanted = replace(wanted, surge=0)
        previous = in_plan_of(wanted, previous)
        for instance in self._of(wanted.name):
            has_halted = halted is not None and instance.revision == halted.id and not halted.restarts
            instance.revision = UNKNOWN if has_halted else ""
            instance.spec = in_plan_of(wanted, instance.spec)
            instance.running_spec = in_plan_of(wanted, instance.running_spec)
        self._put(
            Rollout(
                id=self._new_id(),
                service=wanted.name,
                order=order,
                wanted=wanted,
                previous=previous if order is not Order.RESTART or halted is not None else wanted,
                filed=filed,
                surge=known.surge if known is not None else 0,
                by=by,
                began=now,
                changed=now,
            ),
            Cause.ROLLOUT_STARTED,
            by,
        )

    def reloaded(
        self,
        change: Difference,
        before: Plan,
        plan: Plan,
        fresh: Iterable[Instance],
        now: float,
        by: Mapping[str, Any],
    ) -> None:
        """A changed plan is in force: begin what it rolls out, and forget the rollouts of services that it changed by
        other means, or removed.  `fresh`: instances that it added."""
        for service in (*change.removed, *(name for name in change.changed if name not in change.rolled)):
            self.by_service.pop(service, None)
        for service in change.rolled:
            wanted, previous = plan.service(service), before.service(service)
            assert wanted is not None and previous is not None  # it has changed
            self.begin(Order.RELOAD, wanted, previous, now, by)
        for instance in fresh:
            if instance.spec.name in change.rolled:
                instance.revision = self.by_service[instance.spec.name].id

    def scaled(self, change: Difference, plan: Plan) -> None:
        """`plan` has other numbers of replicas: each rollout stays what it is, with the new number."""
        for service in change.changed:
            rollout, spec = self.by_service.get(service), plan.service(service)
            if rollout is not None and spec is not None:
                wanted, previous = in_plan_of(spec, rollout.wanted), in_plan_of(spec, rollout.previous)
                self.by_service[service] = replace(rollout, wanted=wanted, previous=previous)

    def definition(self, instance: Instance, spec: ServiceSpec) -> ServiceSpec:
        """The definition that this instance has; `spec` where its service was not rolled out."""
        rollout = self.by_service.get(instance.spec.name)
        return spec if rollout is None else rollout.definition(instance.revision)

    def joined(self, fresh: Iterable[Instance]) -> None:
        """`scale` has added these with the definition in force."""
        for instance in fresh:
            if instance.spec.name in self.by_service:
                instance.revision = self.by_service[instance.spec.name].revision

    def halted(self, service: str) -> bool:
        """Instances of both definitions run, and nothing replaces them."""
        return service in self.by_service and self.by_service[service].stage is Stage.HALTED

    def steer(self, verb: str, service: str, now: float, by: Mapping[str, Any]) -> None:
        """Pause, resume or undo the rollout of a service.  OperationFailed where that makes no sense."""
        if verb == "pause":
            self.pause(service, by)
        elif verb == "resume":
            self.resume(service, now, by)
        else:
            self.undo(service, now, by)

    def pause(self, service: str, by: Mapping[str, Any]) -> None:
        """OperationFailed where nothing is being rolled out, or it is paused already."""
        rollout = self._known(service)
        if not rollout.moving or rollout.paused:
            why = "it is paused already" if rollout.moving else f"it is {rollout.stage.value}"
            raise OperationFailed(f"the rollout of {service} cannot be paused: {why}")
        self._put(replace(rollout, paused=True), Cause.ROLLOUT_PAUSED, by)

    def resume(self, service: str, now: float, by: Mapping[str, Any]) -> None:
        """OperationFailed where it is neither paused nor halted."""
        rollout = self._known(service)
        if not rollout.paused and rollout.stage is not Stage.HALTED:
            raise OperationFailed(f"the rollout of {service} is neither paused nor halted: it is {rollout.stage.value}")
        for instance in self._of(service):
            self._failures.pop(instance.name, None)
        self._put(resumed(rollout, self._seen(rollout, now), now), Cause.ROLLOUT_RESUMED, by)

    def undo(self, service: str, now: float, by: Mapping[str, Any]) -> None:
        """OperationFailed where the previous definition is the one in force, or nothing was rolled out."""
        rollout = self._known(service)
        if rollout.back:
            raise OperationFailed(
                f"{service} is on its previous definition, or on the way to it: {rollout.stage.value}",
                "`supervisor reload` rolls out what the file has.",
            )
        if rollout.restarts and rollout.stage is not Stage.RUNNING:
            raise OperationFailed(f"nothing to undo: the last rollout of {service} was a restart")
        if rollout.previous.balance is not None and not any(i.spec.is_balancer for i in self._instances().values()):
            raise OperationFailed(
                f"{service} cannot go back: its definition before has `balance`, and HAProxy went with that",
                "Put `balance` back into the file, and `supervisor reload`.",
            )
        after = undone(rollout, self._new_id(), by, now)
        if after.id != rollout.id:
            for instance in self._of(service):
                instance.revision = ""
        self._put(after, Cause.ROLLOUT_UNDONE, by)

    def require_free(self, services: Iterable[str]) -> None:
        """OperationFailed where one of these is being rolled out: two rollouts would undo each other's work."""
        for service in services:
            rollout = self.by_service.get(service)
            if rollout is None or not rollout.moving:
                continue
            raise OperationFailed(
                f"{service} is being rolled {'back' if rollout.back else 'out'} already: {self._holder(rollout)}",
                f"`supervisor rollout {service}` shows it; `rollout undo {service}` takes it back.",
            )

    def _holder(self, rollout: Rollout) -> str:
        paused = ", paused" if rollout.paused else ""
        ordered = f", ordered {given(rollout.by)}" if rollout.by else ""
        return f"a {rollout.order.value}{ordered} ({rollout.id}){paused}"

    def _known(self, service: str) -> Rollout:
        if service not in self.by_service:
            raise OperationFailed(f"{service} has not been rolled out since its start")
        return self.by_service[service]

    def _put(self, rollout: Rollout, cause: Cause, by: Mapping[str, Any]) -> None:
        self.by_service[rollout.service] = rollout
        self._record(rollout, Fact(cause), by)

    def _new_id(self) -> str:
        return f"{int(self._rng() * 2**32):08x}"

    # -- the plan ------------------------------------------------------------------------------------------------

    def assign(self, instance: Instance) -> None:
        """Give a restored instance the definition that its process has, or is to have."""
        rollout = self.by_service.get(instance.spec.name)
        if rollout is None:
            return
        instance.spec = instance.running_spec = rollout.definition(instance.revision)
        if instance.state is State.STOPPING and instance.after is After.RESTART and rollout.moving:
            instance.running_spec = rollout.previous if instance.spec is rollout.wanted else rollout.wanted

    def in_force(self, plan: Plan) -> Plan:
        """`plan` with the definitions that rollouts have put in force."""
        known = self.by_service
        specs = (known[s.name].in_force if s.name in known else s for s in without_surge(plan).services)
        return replace(plan, services=tuple(specs))

    def with_surge(self, plan: Plan) -> Plan:
        """`plan`, in which the instances stay that rollouts run beside the others."""
        more = {service: rollout.surge for service, rollout in self.by_service.items() if rollout.surge}
        if not more:
            return plan
        return replace(plan, services=tuple(replace(s, surge=more.get(s.name, 0)) for s in plan.services))

    def filed(self, plan: Plan) -> None:
        """The file was read, and says `plan`."""
        for service, rollout in self.by_service.items():
            spec = plan.service(service)
            if spec is not None and not rollout.files(spec):
                self.by_service[service] = replace(rollout, filed=spec)

    def held_back(self, plan: Plan) -> Plan:
        """The file's plan as a daemon takes it that starts after a crash: a service that is being rolled out goes on
        with that, and a definition that was rolled back or undone is not taken again without an order."""
        services = []
        for spec in plan.services:
            rollout = self.by_service.get(spec.name)
            held = rollout is not None and (rollout.moving or (rollout.deviates and rollout.files(spec)))
            services.append(rollout.target if rollout is not None and held else spec)
        self.filed(plan)
        return replace(plan, services=tuple(services))

    def unrecorded(self, instance: Instance) -> None:
        """A process of this instance was found of which the ledger says nothing."""
        instance.revision = UNKNOWN
        self.assign(instance)

    def retried(self, plan: Plan, now: float) -> dict[str, str]:
        """Why the definitions were taken out of force that a reload of the file's `plan` would roll out again."""
        return {
            service: _ended(rollout, now)
            for service, rollout in self.by_service.items()
            if not rollout.moving and rollout.deviates and (spec := plan.service(service)) and rollout.files(spec)
        }

    # -- going on ------------------------------------------------------------------------------------------------

    def heard(self, instance: Instance, actions: Iterable[Action]) -> None:
        """Remember that a replaced instance failed: it may run again before anything looks.  From one that is left
        alone nothing follows until that is over."""
        rollout = self.by_service.get(instance.spec.name)
        if rollout is None or instance.revision != rollout.revision or instance.maintenance is not None:
            return
        for action in actions:
            if isinstance(action, Record) and is_decision(action.before, action.after, action.cause, action.detail):
                detail = {"exit_code": instance.exit_code, "signal": instance.signal, **_told(action.detail)}
                self._failures[instance.name] = phrase(action.cause, detail)

    def advance(self, now: float) -> Iterator[tuple[Instance, ev.Event]]:
        """Take every rollout as far as it goes now; gives the events for instances that are replaced, and for those
        that run beside the others."""
        self.deadline = None
        for service, rollout in self.by_service.items():
            if rollout.paused or not (rollout.moving or rollout.surge):
                continue
            found = advance(rollout, self._seen(rollout, now), now)
            after = self.by_service[service] = found.rollout
            for fact in found.facts:
                self._record(after, fact, {})
            if found.deadline is not None:
                self.deadline = min(found.deadline, self.deadline or found.deadline)
            cause = Cause.PUT_BACK if after.back else Cause.ROLLED_OUT
            for name in found.moves:
                self._failures.pop(name, None)
                instance = self._instances()[name]
                yield instance, ev.Replace(after.target, after.revision, cause, after.by)
                if instance.goal is Goal.DOWN and name in after.beside:
                    yield instance, ev.Start(Cause.SURGE_STARTED, after.by, lazy=True)
            for name in found.stops:
                yield self._instances()[name], ev.Stop(Cause.SURGE_OVER, by=after.by)

    def _of(self, service: str) -> list[Instance]:
        return [i for i in self._instances().values() if i.spec.name == service]

    def _seen(self, rollout: Rollout, now: float) -> list[Seen]:
        instances = self._instances()
        seen = [self._look(instances[name], now) for name in rollout.target.instances if name in instances]
        return seen + [self._look_beside(instances[name], now) for name in rollout.beside if name in instances]

    def _look_beside(self, instance: Instance, now: float) -> Seen:
        """What a user has stopped stays down, although the rollout could do with it."""
        stopped = instance.goal is Goal.DOWN and instance.wanted_by is Cause.STOPPED_BY_USER
        seen, there = self._look(instance, now), instance.state is not State.STOPPED
        return seen._replace(left_alone=seen.left_alone or stopped, surge=True, there=there)

    def _look(self, instance: Instance, now: float) -> Seen:
        name, since = instance.name, None
        if instance.ready and instance.state is State.RUNNING:
            incarnation, since = self._ready_since.get(name, (0, now))
            if incarnation != instance.incarnation or instance.maintenance is not None:
                self._ready_since[name] = instance.incarnation, now
                since = now
        else:
            self._ready_since.pop(name, None)
        failure = self._failures.get(name, "")
        if not failure and instance.state in _FAILED_STATES:
            failure = phrase(instance.cause, {"exit_code": instance.exit_code, "signal": instance.signal})
        left_alone = instance.maintenance is not None
        return Seen(name, instance.goal is Goal.UP, instance.revision, since, failure, left_alone)

    def _record(self, rollout: Rollout, fact: Fact, by: Mapping[str, Any]) -> None:
        instance = self._instances()[fact.instance or rollout.target.instances[0]]
        detail: dict[str, Any] = {"rollout": rollout.id, "order": rollout.order.value, "stage": rollout.stage.value}
        if rollout.reason:
            detail["reason"] = rollout.reason
        if fact.cause is Cause.ROLLOUT_ADVANCED:
            detail |= {"done": len(rollout.settled.difference(rollout.beside)), "of": rollout.target.replicas}
        if by:
            detail["by"] = dict(by)
        self.records.append(record(instance, instance.state, fact.cause, detail))

    def saved(self) -> list[dict[str, Any]]:
        """All rollouts, for a later daemon."""
        return [write(rollout) for rollout in self.by_service.values()]

    def taken_records(self) -> list[Action]:
        """The records since the last call."""
        found, self.records = self.records, []
        return found

    # -- for people ----------------------------------------------------------------------------------------------

    def shown(self, now: float, services: Sequence[str] = ()) -> list[order_documents.Rollout]:
        """The newest rollout of each of these services (none: all)."""
        return [self._document(r, now) for r in self.by_service.values() if not services or r.service in services]

    def _document(self, rollout: Rollout, now: float) -> order_documents.Rollout:
        beside = set(rollout.beside)
        wanted = [i for i in self._of(rollout.service) if i.goal is Goal.UP]
        up = [i for i in wanted if i.name not in beside]
        rules = rollout.rules
        found: order_documents.Rollout = {
            "id": rollout.id,
            "service": rollout.service,
            "order": rollout.order.value,
            "state": rollout.stage.value,
            "paused": rollout.paused,
            "reason": rollout.reason or None,
            "by": cast("order_documents.OrderedBy", dict(rollout.by)),
            "began_s": round(max(0.0, now - rollout.began), 3),
            "since_s": round(max(0.0, now - rollout.changed), 3),
            "changed": [] if rollout.restarts else list(changed_keys(rollout.previous, rollout.wanted)),
            "deviates": rollout.deviates,
            "instances": len(up),
            "current": sum(not rollout.due(i.revision, i.name) for i in up),
            "settled": sum(i.name in rollout.settled for i in up),
            "ready": sum(i.ready for i in wanted),
            "max_unavailable": most_unavailable(rollout, len(up)),
            "settle_s": rules.settle,
            "on_failure": rules.on_failure,
            "waiting_for": sorted(i.name for i in wanted if _awaited(rollout, i)) if rollout.moving else [],
        }
        if surge := most_surge(rollout):
            found["max_surge"] = surge
        if beside:
            found["surge"] = [name for name in rollout.beside if name in self._instances()]
        return found

    def current(self, instance: Instance) -> bool:
        """Whether the instance has the definition in force, as far as its service's rollout goes."""
        rollout = self.by_service.get(instance.spec.name)
        return rollout is None or replace(instance.spec, surge=0) == rollout.target

    def problems(self, now: float) -> list[str]:
        """The problems of services whose rollouts did not end as wanted."""
        return [text for rollout in self.by_service.values() if (text := _problem(rollout, now))]


def _awaited(rollout: Rollout, instance: Instance) -> bool:
    """The rollout does not go on or end without it: it has not settled, or is left alone and has its turn later."""
    if rollout.due(instance.revision, instance.name):
        return instance.maintenance is not None
    if instance.name in rollout.settled:
        return not instance.ready  # others are kept in its place
    return instance.revision == rollout.revision


def _ended(rollout: Rollout, now: float) -> str:
    ago = f"{span(max(0.0, now - rollout.changed))} ago"
    return f"rolled back {ago} ({rollout.reason})" if rollout.back else f"taken back {ago} by an undo"


def _problem(rollout: Rollout, now: float) -> str:
    name = rollout.service
    if rollout.stage is Stage.HALTED:
        ago = span(max(0.0, now - rollout.changed))
        undo = "" if rollout.restarts else f", `rollout undo {name}` takes it back"
        return (
            f"{name}: its rollout was halted {ago} ago ({rollout.reason}); "
            f"`supervisor rollout resume {name}` tries again{undo}"
        )
    if rollout.moving or not rollout.deviates:
        return ""
    return (
        f"{name}: {_ended(rollout, now)}; it runs another definition than the file has: edit the file, or "
        "`supervisor reload` rolls it out again"
    )


def _told(detail: Mapping[str, Any]) -> dict[str, Any]:
    """The detail of a failure without what was decided after it: that does not happen where it is rolled back."""
    left_out = ("delay_s", "attempt", "breaker", "retry_in_s")
    return {key: value for key, value in detail.items() if key not in left_out}


def services_of(names: Iterable[str], instances: Instances, *, named: bool) -> list[str]:
    """The services of a rolling restart of these instances that are wanted up.  UsageError where only a part of a
    service is `named`, or one that is to end."""
    meant = set(names)
    found = dict.fromkeys(instances[name].spec.name for name in instances if name in meant)
    ours = {service: [i for i in instances.values() if i.spec.name == service] for service in found}
    for service, group in ours.items():
        if named and any(i.name not in meant for i in group):
            raise UsageError(f"a rolling restart takes whole services: {service}, not one of its instances")
        if named and group[0].spec.type is not ServiceType.SERVICE:
            raise UsageError(f"{service} is a oneshot, which is never ready", "Restart it without --rolling.")
    return [
        service
        for service, group in ours.items()
        if group[0].spec.type is ServiceType.SERVICE and any(i.goal is Goal.UP for i in group)
    ]
