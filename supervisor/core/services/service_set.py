"""The service set: all instances, and the rules that no single instance can decide.

These are the order of starts by dependencies and of stops in reverse, the limit of concurrent restarts on this host,
the restart of other instances with a failed one (strategies), fallbacks, and a changed plan.  Each order to an instance
is an event in a queue, so that no handler calls another instance's handler.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from supervisor.core.detection.local_health import LocalHealth
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.notices import postpone
from supervisor.core.lifecycle.transitions import step
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, Goal, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import Plan, ServiceSpec
from supervisor.core.services import maintenance
from supervisor.core.services.breaker_status import Counts
from supervisor.core.services.deadlines import FOREVER, Deadlines
from supervisor.core.services.fitting import fitting
from supervisor.core.services.membership import beside, regrouped
from supervisor.core.services.relations.correlated_silence import CorrelatedSilence
from supervisor.core.services.relations.dependency import with_dependencies
from supervisor.core.services.relations.reactions import became_ready, for_fallback, for_group
from supervisor.core.services.relations.roster import Roster
from supervisor.core.services.relations.shared_cause import shared_cause
from supervisor.core.services.relations.start_permits import StartPermits
from supervisor.core.services.relations.stop_order import StopOrder
from supervisor.core.services.scaling import Spread, without_surge

if TYPE_CHECKING:
    from supervisor.core.services.lease_gate import Told
    from supervisor.core.services.plan_diff import Difference
    from supervisor.core.services.rollout import Rollout
    from supervisor.core.services.rollouts import Rollouts

By = Mapping[str, Any]
"""The giver of an order (documents.OrderedBy)."""


class ServiceSet:
    """Instances by name, in start order.  Methods that take a time (monotonic seconds) return the actions to
    perform.  `starts_held`: what is to start waits, until the plan is known under which it does."""

    def __init__(self, plan: Plan, rng: Callable[[], float], rollouts: Iterable[Rollout] = ()) -> None:
        """`rollouts`: those of an earlier daemon that crashed."""
        self.plan = plan
        self.roster = Roster(plan)
        self.instances = self.roster.instances
        self.closing = self.starts_held = False
        self.counts = Counts()
        self._rng = rng
        self._queue: deque[tuple[Instance, ev.Event]] = deque()
        self._permits = StartPermits(self.roster, self.counts, plan)
        self._stops = StopOrder(self.roster)
        self._deadlines = Deadlines()
        self._correlated_silence = CorrelatedSilence()
        self._health = LocalHealth()
        self._left_to_end: list[Instance] = []
        self.rollouts: Rollouts | None = None  # made with the first rollout: most daemons have none
        if known := {r.service: r for r in rollouts if plan.service(r.service) is not None}:
            self._rolling().by_service = known
            self.plan = plan = self._rolling().in_force(plan)
            self._index(plan)
        for spec in plan.services:
            self._create(spec)

    # -- queries -------------------------------------------------------------------------------------------------

    def names(self, pattern: str) -> list[str]:
        """The instances that a service, instance or group name means; empty if there are none (any more)."""
        return self.roster.names(pattern)

    @property
    def ends_with_one(self) -> bool:
        """Some service ends everything when it ends."""
        return self.roster.ends_with_one

    @property
    def removed(self) -> AbstractSet[str]:
        """The instances that are no longer wanted and still end."""
        return self.roster.removed

    def taken_dropped(self) -> set[str]:
        """The instances that are no more, since this was called last.  What is saved of them has to go: one of a surge
        is dropped together with the others, some time after its own last record."""
        dropped, self.roster.dropped = self.roster.dropped, set()
        return dropped

    def plan_to_keep(self, *, unwritten: bool = False) -> Plan:
        """The plan for a later daemon: with the services that were removed and still run.

        `unwritten`: the disk has not taken the latest records, which say that processes of changed services are being
        replaced.  A later daemon would take these for processes of the new definition, so the plan has the former one
        until they have ended."""
        plan = without_surge(self.plan)
        if not self.roster.removed and not unwritten:
            return plan
        from supervisor.core.services import kept_plan  # few daemons need it

        instances, rolled = self.instances.values(), self.rollouts.by_service if self.rollouts is not None else ()
        return kept_plan.with_what_runs(
            plan, instances, kept_plan.former_definitions(instances, rolled) if unwritten else {}
        )

    def saved_rollouts(self) -> list[dict[str, Any]]:
        """All rollouts, for a later daemon."""
        return self.rollouts.saved() if self.rollouts is not None else []

    @property
    def deadline(self) -> float | None:
        """When `tick` is due next.  May be too early, where a heartbeat has postponed a deadline, but is never late."""
        if self.rollouts is None and self.roster.gate is None:  # nearly always
            return self._deadlines.next
        moves, gate = self.rollouts if not self.closing else None, self.roster.gate  # a shutdown stops each rollout
        all_of_them = (
            self._deadlines.next,
            moves.deadline if moves is not None else None,
            gate.due if gate is not None else None,
        )
        return min((when for when in all_of_them if when is not None), default=None)

    @property
    def all_down(self) -> bool:
        """Nothing runs, or is about to run, except processes that outlive the daemon."""
        return not any(i.alive and not i.outlives_daemon for i in self.instances.values())

    def finished(self, now: float) -> bool:
        """A shutdown has nothing left to wait for: what still runs outlives the daemon or cannot be killed.

        Asked in each turn of a shutdown.  Instances that have ended are removed from a list, and all are looked at only
        when it is empty, so that the time grows with the number of instances and not with its square."""
        left = self._left_to_end
        while left and not _is_awaited(left[-1], now):
            left.pop()
        if not left:
            left += (i for i in self.instances.values() if _is_awaited(i, now))
        return not left

    def dependants(self, service: str) -> list[str]:
        """Services that name `service` in depends_on."""
        return self.roster.dependants.get(service, [])

    # -- stepping ------------------------------------------------------------------------------------------------

    def step(self, name: str, event: ev.Event, now: float) -> list[Action]:
        """Take one event for one instance, and everything that follows from it."""
        instance = self.instances.get(name)
        if instance is None:
            return []
        if type(event) is ev.Heartbeat and instance.takes_beats_only:
            # The hot path: only the detector takes the beat; the deadline is entered only where it comes nearer.
            suspect_at = instance.beat(event)
            if suspect_at is not None and suspect_at < self._deadlines.entries.get(instance, FOREVER):
                self._deadlines.schedule(instance)
            return []
        if type(event) is ev.SuspectExamined or type(event) is ev.MemberExamined:
            event = shared_cause(instance, event, self.roster.missing_dependency)
        if type(event) is ev.SuspectExamined:
            event = self._correlated_silence.examined(instance, event, self.instances.values(), now)
        self._queue.append((instance, event))
        return self._process_queue(now)

    def tick(self, now: float, due_by: float | None = None) -> list[Action]:
        """Fire every deadline that has passed, or only those that had passed by the moment `due_by`."""
        if self.roster.gate is not None and self.roster.gate.passed(now):
            self._permits.recheck = True
        due = self._deadlines.due(now if due_by is None else due_by)
        if not due and self.rollouts is None and self.roster.gate is None and not self._permits.recheck:
            return []  # heartbeats have postponed what was due
        for instance in due:
            over = maintenance.is_over(instance, now)
            self._queue.append((instance, ev.EndMaintenance() if over else ev.Timeout(self._health.patience(now))))
        return self._process_queue(now)

    def stalled(self, seconds: float, now: float) -> list[Action]:
        """The daemon did not run for `seconds`: silence in that time is not counted.

        A slow host lets the daemon stall often, and with many instances.  So those of which nothing is observed take no
        step; a deadline that is postponed needs none."""
        self._health.stalled(seconds, now)
        for instance in self.instances.values():
            if instance.detector is not None or instance.members is not None or instance.blind_since is not None:
                self._queue.append((instance, ev.DaemonStalled(seconds)))
            elif instance.until is not None or instance.reload is not None:
                postpone(instance, seconds)
        return self._process_queue(now)

    # -- commands ------------------------------------------------------------------------------------------------

    def start(
        self, names: Iterable[str], now: float, cause: Cause = Cause.STARTED_BY_USER, by: By = ev.NOTHING,
        *, keep: Collection[str] = (),
    ) -> list[Action]:  # fmt: skip
        """Start these instances and what they depend on, but not those to `keep` as they are.  A oneshot that has
        succeeded runs again only if it is named."""
        named = list(names)
        for name in with_dependencies(named, self.instances, self.roster.specs):
            instance = self.instances[name]
            if name in keep:
                continue
            if instance.ready_for_dependants and name not in named and instance.goal is Goal.UP:
                continue
            if instance.maintenance is not None and name not in named:
                continue
            self._stops.postponed.pop(name, None)
            lazy = name not in named or cause is not Cause.STARTED_BY_USER
            self._queue.append((instance, ev.Start(cause, by, lazy)))
        return self._process_queue(now)

    def stop(
        self, names: Iterable[str], now: float, cause: Cause = Cause.STOPPED_BY_USER, by: By = ev.NOTHING
    ) -> list[Action]:
        """Stop these instances, each after those among them that depend on it."""
        for name in names:
            self._stop_in_turn(self.instances[name], cause, by)
        return self._process_queue(now)

    def end(self, now: float, by: By = ev.NOTHING) -> list[Action]:
        """Shut down; at the second call kill what is left."""
        return self.kill(now, by) if self.closing else self.shutdown(now, by)

    def kill(self, now: float, by: By = ev.NOTHING) -> list[Action]:
        """Kill everything without waiting for stop timeouts or dependants."""
        self._stops.postponed.clear()
        for instance in self.instances.values():
            self._queue.append((instance, ev.Stop(Cause.SHUTDOWN, force=True, by=by)))
        return self._process_queue(now)

    def restart(self, names: Iterable[str], now: float, by: By = ev.NOTHING) -> list[Action]:
        for name in names:
            self._stops.postponed.pop(name, None)
            self._queue.append((self.instances[name], ev.Restart(by=by)))
        return self._process_queue(now)

    def roll(self, services: Iterable[str], now: float, by: By = ev.NOTHING) -> list[Action]:
        """Restart the instances of these services one after the other.  OperationFailed where one is rolled out."""
        from supervisor.core.services.rollout import Order

        wanted = list(services)
        self.require_not_rolling(wanted)
        for service in wanted:
            self._rolling().begin(Order.RESTART, self.roster.specs[service], self.roster.specs[service], now, by)
        return self._process_queue(now)

    def require_not_rolling(self, services: Iterable[str]) -> None:
        """OperationFailed where one of these is being rolled out."""
        if self.rollouts is not None:
            self.rollouts.require_free(services)

    def steer(self, verb: str, service: str, now: float, by: By = ev.NOTHING) -> list[Action]:
        """Pause, resume or undo the rollout of a service.  OperationFailed where that makes no sense."""
        self._rolling().steer(verb, service, now, by)
        self._follow_rollouts()
        return self._process_queue(now)

    def lease(self, told: Told, now: float) -> list[Action]:
        """The cluster's agent said what this host holds."""
        if self.roster.gate is None:
            return []
        self.roster.gate.hear(told, now)
        self._permits.recheck = True
        return self._process_queue(now)

    def guard(self, guarded: frozenset[tuple[str, int]], now: float) -> list[Action]:
        """The dead-man process knows these instances and epochs, and no others."""
        if self.roster.gate is None or self.roster.gate.guarded == guarded:
            return []
        self.roster.gate.guarded = guarded
        self._permits.recheck = True
        return self._process_queue(now)

    def ended_with_lease(self, name: str, epoch: int, now: float) -> list[Action]:
        """The dead-man process has killed what ran under this epoch."""
        if self.roster.gate is None:
            return []
        self.roster.gate.killed[name] = epoch
        return self._process_queue(now)

    def reset(self, names: Iterable[str], now: float, by: By = ev.NOTHING) -> list[Action]:
        for name in names:
            self._queue.append((self.instances[name], ev.Reset(by)))
        return self._process_queue(now)

    def begin_maintenance(self, names: Iterable[str], now: float, order: ev.BeginMaintenance) -> list[Action]:
        """Leave these instances alone."""
        self._queue.extend((self.instances[name], order) for name in names)
        return self._process_queue(now)

    def end_maintenance(self, names: Iterable[str], now: float, by: By = ev.NOTHING) -> list[Action]:
        """Supervise these instances again."""
        self._queue.extend((self.instances[name], ev.EndMaintenance(by)) for name in names)
        return self._process_queue(now)

    def signal(
        self, numbers: Mapping[str, int], now: float, by: By = ev.NOTHING, *, resume: bool = False
    ) -> list[Action]:
        """Send each of these instances the signal of that number.  `resume`: one that is stopped is let go on."""
        for name, number in numbers.items():
            self._queue.append((self.instances[name], ev.SendSignal(number, by, resume)))
        return self._process_queue(now)

    def refuse_reload(self, names: Iterable[str], refused: ev.ReloadRefused, now: float) -> list[Action]:
        """Record that these instances get no reload signal, because their check has not passed."""
        self._queue.extend((self.instances[name], refused) for name in names)
        return self._process_queue(now)

    def restore(self, name: str, saved: Mapping[str, Any], *, crashed: bool, ahead: float | None = None) -> None:
        """Restore what an earlier daemon saved for an instance (`ahead`: see `Instance.restore`).  Where that daemon
        `crashed`, pass what was found of each `alive` instance to `resume` afterwards."""
        instance = self.instances[name]
        instance.restore(saved, crashed=crashed, ahead=ahead)
        if self.rollouts is not None:
            self.rollouts.assign(instance)
        self._permits.update(instance)
        self._deadlines.schedule(instance)

    def assume_spawning(self, name: str, incarnation: int) -> None:
        """A live process of this incarnation was found without a record; pass what was found of it to `resume`."""
        instance = self.instances[name]
        instance.assume_spawning(incarnation)
        if self.rollouts is not None:
            self.rollouts.unrecorded(instance)
        self._permits.update(instance)
        self._deadlines.schedule(instance)

    def resume(self, found: Mapping[str, ev.Adopted | ev.NotFoundOnAdoption], now: float) -> list[Action]:
        """Continue with the restored instances; `found` has an event for each that was alive.

        All events are queued before any start is permitted: a start depends on other instances, and what became of
        those has to be known first."""
        self._permits.recheck = True
        for name, event in found.items():
            instance = self.instances[name]
            self._queue.append((instance, event))
            if instance.goal is Goal.DOWN and instance.state is not State.STOPPING:
                self._stop_in_turn(instance, instance.wanted_by)
        return self._process_queue(now)

    def shutdown(self, now: float, by: By = ev.NOTHING) -> list[Action]:
        """Stop everything that does not outlive the daemon, dependants first; nothing is started any more."""
        self.closing = True
        return self.stop(list(self.instances), now, Cause.SHUTDOWN, by)

    def difference(self, plan: Plan) -> Difference:
        """What `apply` would change."""
        from supervisor.core.services.plan_diff import at_rest, difference

        change = difference(self.plan, plan)
        rolled: set[str] = set()
        for spec in plan.services if not self.closing else ():
            if spec.rollout is not None and spec.name in change.changed:
                mixed = self.rollouts is not None and self.rollouts.halted(spec.name)
                alive = any(name in self.instances and self.instances[name].alive for name in spec.instances)
                rolled |= {spec.name} if alive and (mixed or change.needs_restart(spec.name)) else set()
        started, resting = at_rest(plan, change.restarted - rolled, self.instances)
        return replace(change, rolled=frozenset(rolled), started=started, resting=resting)

    def named(self, plan: Plan) -> Plan:
        """`plan` as it fits to what runs."""
        known = self.rollouts.by_service.values() if self.rollouts is not None else ()
        found = fitting(self.plan, plan, self.instances, self.roster.removed, known)
        return self.rollouts.with_surge(found) if self.rollouts is not None else found

    def apply(
        self, plan: Plan, now: float, by: By = ev.NOTHING, *, scale: bool = False
    ) -> tuple[Difference, list[Action]]:
        """Put a changed plan in force; services that did not change are not touched.  A service with a `rollout` takes
        a change that needs new processes instance by instance.  OperationFailed where one is being rolled out.

        `scale`: only numbers of replicas changed, by an order.  A new instance is then wanted as the others are, while
        by a changed file it is started where `autostart` says so."""
        plan = self.named(plan)
        before, change = self.plan, self.difference(plan)
        if scale:
            change = replace(change, rolled=frozenset())
        self.require_not_rolling(change.changed)
        started, stopped = (Cause.SCALED, Cause.SCALED) if scale else (Cause.ADDED, Cause.REMOVED)
        up = {i.spec.name for i in self.instances.values() if i.goal is Goal.UP and i.name not in self.roster.removed}
        self.plan = plan
        self._index(plan)
        rollouts = self.rollouts if scale else None
        if rollouts is not None:
            rollouts.scaled(change, plan)
        old, fresh = dict(self.instances), []
        self.instances.clear()
        was_beside, is_beside = beside(before), beside(plan)
        for spec in plan.services:
            for name in spec.instances:
                known = old.pop(name, None)
                new = known is None or name in self.roster.removed or (name in was_beside and name not in is_beside)
                if known is None:
                    known = self._create_one(name, spec)
                    fresh.append(known)
                elif (spec.name in change.changed and spec.name not in change.rolled) or new:
                    own = spec if rollouts is None else rollouts.definition(known, spec)
                    restart = change.needs_restart(spec.name)
                    number_alone = not new and change.changed[spec.name] == ("replicas",)
                    self._queue.append((known, ev.Reconfigure(own, restart, by, number_alone)))
                start = spec.name in up if scale else spec.autostart
                if new and start and not self.closing and name not in is_beside:
                    self._stops.postponed.pop(name, None)
                    self._queue.append((known, ev.Start(started, by, lazy=True)))
                self.instances[name] = known
                self.roster.removed.discard(name)
        for name, gone in old.items():
            self.instances[name] = gone
            if name not in self.roster.removed:
                self.roster.removed.add(name)
                self._stop_in_turn(gone, stopped, by)
        if rollouts is not None:
            rollouts.joined(fresh)
        elif change.rolled or self.rollouts is not None:
            self._rolling().reloaded(change, before, plan, fresh, now, by)
        return change, self._process_queue(now)

    def complete(self, spec: ServiceSpec) -> None:
        """The host has what the service of this name lacked: `spec` takes the place of the one without it."""
        self.plan = replace(self.plan, services=tuple(spec if s.name == spec.name else s for s in self.plan.services))
        self._index(self.plan)
        for name in spec.instances:
            self.instances[name].spec = self.instances[name].running_spec = spec

    # -- the queue -----------------------------------------------------------------------------------------------

    def _process_queue(self, now: float) -> list[Action]:
        """Process the queue; after each round the rules between instances react to what it changed."""
        out: list[Action] = [] if self.rollouts is None else self.rollouts.taken_records()
        while True:
            while self._queue:
                instance, event = self._queue.popleft()
                if maintenance.refuses(instance, event):
                    continue
                was_ready, was, ran = instance.ready, instance.state, instance.incarnation
                breaker = instance.tracker.breaker
                actions = step(instance, event, now)
                out += actions
                self.counts.stepped(instance, breaker, actions, now)
                self._react(instance, was, was_ready, actions)
                if self.rollouts is not None:
                    self.rollouts.heard(instance, actions)
                if self.roster.spawns_matter and type(event) is ev.Spawned:
                    self._permits.recheck = True
                if (
                    instance.name in self.roster.removed
                    or instance.maintenance is not None
                    or type(event) is ev.EndMaintenance
                    or breaker is not instance.tracker.breaker
                ):
                    self._permits.recheck = True
                if ran != instance.incarnation or was is not instance.state or actions:
                    self._permits.update(instance)
                self._deadlines.schedule(instance)
            if not self.closing:
                self._queue.extend(self.roster.breakers.orders(now))
                if self.roster.gate is not None:
                    self._queue.extend(self.roster.gate.orders(self.instances.values(), now))
            if self._queue or self._permit_starts(now) or self._stop_postponed(now):
                continue
            self.roster.drop_stopped()
            if not self._roll_on(now, out):
                return out

    def _permit_starts(self, now: float) -> bool:
        if self.closing or self.starts_held:
            return False
        granted = self._permits.granted(now)
        if self.roster.gate is not None:
            self.roster.gate.started(granted)
        self._queue.extend((instance, ev.StartPermitted()) for instance in granted)
        return bool(granted)

    def _stop_in_turn(self, instance: Instance, cause: Cause, by: By = ev.NOTHING) -> None:
        self._queue.append((instance, self._stops.stop(instance, cause, by)))

    def _stop_postponed(self, now: float) -> bool:
        due = self._stops.due(now)
        self._queue.extend(due)
        return bool(due)

    def _roll_on(self, now: float, out: list[Action]) -> bool:
        """Take the rollouts as far as they go now."""
        if self.rollouts is None or self.closing:
            return False
        moves = list(self.rollouts.advance(now))
        followed = self._follow_rollouts()
        out += self.rollouts.taken_records()
        self._queue.extend(moves)
        return followed or bool(moves)

    def _rolling(self) -> Rollouts:
        if self.rollouts is None:
            from supervisor.core.services.rollouts import Rollouts

            self.rollouts = Rollouts(lambda: self.instances, self._rng)
        return self.rollouts

    def _follow_rollouts(self) -> bool:
        """Let the plan have the definitions that the rollouts have put in force; whether it had others."""
        plan, before = self._rolling().in_force(self.plan), self.plan
        if plan.services == before.services:
            return False
        self.plan = plan
        self._index(plan)
        old, removed = dict(self.instances), self.roster.removed
        self.instances.clear()
        self.instances.update(regrouped(plan, old, self._create_one))
        wanted, extra = {name for spec in plan.services for name in spec.instances}, beside(plan)
        removed -= wanted
        for name, instance in self.instances.items():
            if name not in wanted and name not in removed:
                removed.add(name)
                self._stop_in_turn(instance, Cause.REMOVED)
            elif name not in old and name not in extra:
                self._rolling().joined([instance])
                self._queue.append((instance, ev.Start(Cause.ADDED, lazy=True)))
        return True

    def _react(self, instance: Instance, was: State, was_ready: bool, actions: list[Action]) -> None:
        """Queue what a change of one instance means for others."""
        if instance.ready and not was_ready:
            self._queue.extend(became_ready(instance, self.roster))
        if was is instance.state:
            return
        self._permits.recheck = True  # its dependants may start now
        if not self.closing:
            self._queue.extend(for_fallback(instance, was, self.roster))
        self._queue.extend(for_group(instance, actions, self.roster))

    # -- bookkeeping ---------------------------------------------------------------------------------------------

    def _index(self, plan: Plan) -> None:
        self.roster.index(plan)
        self._permits.slots.limit(plan)
        self._permits.recheck = True

    def _create(self, spec: ServiceSpec) -> None:
        for name in spec.instances:
            self.instances[name] = self._create_one(name, spec)

    def _create_one(self, name: str, spec: ServiceSpec) -> Instance:
        return Instance(name, spec, Spread(name, self._rng))


def _is_awaited(instance: Instance, now: float) -> bool:
    """A shutdown waits for its end."""
    return instance.alive and not (instance.outlives_daemon or instance.unkillable(now))
