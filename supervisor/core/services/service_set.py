"""The service set: all instances, and the rules that no single instance can decide.

These are the order of starts by dependencies and of stops in reverse, the limit of concurrent restarts on this host,
the restart of other instances with a failed one (strategies), fallbacks, and a changed plan.  Each order to an instance
is an event in a queue, so that no handler calls another instance's handler.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from supervisor.core.detection.local_health import LocalHealth
from supervisor.core.history.incidents import is_decision
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.snapshot import Phase
from supervisor.core.lifecycle.transitions import step
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, Goal, Record, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import Plan, ServiceSpec, Strategy
from supervisor.core.services.correlated_silence import CorrelatedSilence
from supervisor.core.services.deadlines import FOREVER, Deadlines
from supervisor.core.services.plan_diff import Difference, difference

By = Mapping[str, Any]
"""The giver of an order (documents.OrderedBy)."""


class ServiceSet:
    """Instances by name, in start order.  Methods that take a time (monotonic seconds) return the actions to
    perform."""

    def __init__(self, plan: Plan, rng: Callable[[], float]) -> None:
        self.plan = plan
        self.instances: dict[str, Instance] = {}
        self.closing = False
        self._rng = rng
        self._specs: dict[str, ServiceSpec] = {}
        self._dependants: dict[str, list[str]] = {}
        self._queue: deque[tuple[Instance, ev.Event]] = deque()
        self._waiting: dict[str, None] = {}
        self._awaiting_slot: dict[str, None] = {}
        self._recheck_waiting = False
        self._recovering: set[str] = set()
        self._postponed_stops: dict[str, ev.Stop] = {}
        self._removed: set[str] = set()
        self._deadlines = Deadlines()
        self._correlated_silence = CorrelatedSilence()
        self._health = LocalHealth()
        self._index(plan)
        for spec in plan.services:
            self._create(spec)

    # -- queries -------------------------------------------------------------------------------------------------

    def names(self, pattern: str) -> list[str]:
        """The instances that a service, instance or group name means; empty if there are none (any more)."""
        if pattern in self.instances:
            return [pattern] if pattern not in self._removed else []
        meant = (i for i in self.instances.values() if pattern in (i.spec.name, i.spec.group_name))
        return [i.name for i in meant if i.name not in self._removed]

    def with_running_services(self, plan: Plan) -> Plan:
        """`plan`, with the services that it no longer has but that still run.  A later daemon needs their specification
        to stop them."""
        gone = {i.spec.name: i.spec for i in self.instances.values() if i.alive and plan.service(i.spec.name) is None}
        return replace(plan, services=(*gone.values(), *plan.services)) if gone else plan

    @property
    def deadline(self) -> float | None:
        """When `tick` is due next.  May be too early, where a heartbeat has postponed a deadline, but is never late."""
        return self._deadlines.next

    @property
    def all_down(self) -> bool:
        """Nothing runs, or is about to run, except processes that outlive the daemon."""
        return not any(i.alive and not i.outlives_daemon for i in self.instances.values())

    def finished(self, now: float) -> bool:
        """A shutdown has nothing left to wait for: what still runs outlives the daemon or cannot be killed."""
        return all(i.outlives_daemon or i.unkillable(now) for i in self.instances.values() if i.alive)

    def dependants(self, service: str) -> list[str]:
        """Services that name `service` in depends_on."""
        return self._dependants.get(service, [])

    # -- stepping ------------------------------------------------------------------------------------------------

    def step(self, name: str, event: ev.Event, now: float) -> list[Action]:
        """Take one event for one instance, and everything that follows from it."""
        instance = self.instances.get(name)
        if instance is None:
            return []
        plain = instance.state is State.RUNNING and not instance.review_due and instance.blind_since is None
        if type(event) is ev.Heartbeat and plain:
            self._beat(instance, event)
            return []
        if type(event) is ev.SuspectExamined:
            event = self._correlated_silence.examined(instance, event, self.instances.values(), now)
        self._queue.append((instance, event))
        return self._process_queue(now)

    def _beat(self, instance: Instance, event: ev.Heartbeat) -> None:
        """The hot path: only the detector takes the beat; the deadline is entered only where it comes nearer."""
        suspect_at = instance.beat(event)
        if suspect_at is not None and suspect_at < self._deadlines.entries.get(instance.name, FOREVER):
            self._deadlines.schedule(instance)

    def tick(self, now: float) -> list[Action]:
        """Fire every deadline that has passed."""
        for instance in self._deadlines.due(now):
            self._queue.append((instance, ev.Timeout(self._health.patience(now))))
        return self._process_queue(now)

    def stalled(self, seconds: float, now: float) -> list[Action]:
        """The daemon did not run for `seconds`: silence in that time is not counted."""
        self._health.stalled(seconds, now)
        for instance in self.instances.values():
            self._queue.append((instance, ev.DaemonStalled(seconds)))
        return self._process_queue(now)

    # -- commands ------------------------------------------------------------------------------------------------

    def start(
        self, names: Iterable[str], now: float, cause: Cause = Cause.STARTED_BY_USER, by: By = ev.NOTHING
    ) -> list[Action]:
        """Start these instances and what they depend on.  A oneshot that has succeeded runs again only if it is
        named."""
        named = list(names)
        for name in self._with_dependencies(named):
            instance = self.instances[name]
            if instance.ready_for_dependants and name not in named and instance.goal is Goal.UP:
                continue
            self._postponed_stops.pop(name, None)
            self._queue.append((instance, ev.Start(cause, by)))
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
        self._postponed_stops.clear()
        for instance in self.instances.values():
            self._queue.append((instance, ev.Stop(Cause.SHUTDOWN, force=True, by=by)))
        return self._process_queue(now)

    def restart(self, names: Iterable[str], now: float, by: By = ev.NOTHING) -> list[Action]:
        for name in names:
            self._postponed_stops.pop(name, None)
            self._queue.append((self.instances[name], ev.Restart(by=by)))
        return self._process_queue(now)

    def reset(self, names: Iterable[str], now: float, by: By = ev.NOTHING) -> list[Action]:
        for name in names:
            self._queue.append((self.instances[name], ev.Reset(by)))
        return self._process_queue(now)

    def signal(
        self, numbers: Mapping[str, int], now: float, by: By = ev.NOTHING, *, resume: bool = False
    ) -> list[Action]:
        """Send each of these instances the signal of that number.  `resume`: one that is stopped is let go on."""
        for name, number in numbers.items():
            self._queue.append((self.instances[name], ev.SendSignal(number, by, resume)))
        return self._process_queue(now)

    def restore(self, name: str, saved: Mapping[str, Any], *, crashed: bool) -> None:
        """Restore what an earlier daemon saved for an instance.  Where that daemon `crashed`, pass what was found of
        each `alive` instance to `resume` afterwards."""
        instance = self.instances[name]
        instance.restore(saved, crashed=crashed)
        self._update_waiting(instance)
        self._deadlines.schedule(instance)

    def assume_spawning(self, name: str, incarnation: int) -> None:
        """A live process of this incarnation was found without a record; pass what was found of it to `resume`."""
        instance = self.instances[name]
        instance.assume_spawning(incarnation)
        self._update_waiting(instance)
        self._deadlines.schedule(instance)

    def resume(self, found: Mapping[str, ev.Adopted | ev.NotFoundOnAdoption], now: float) -> list[Action]:
        """Continue with the restored instances; `found` has an event for each that was alive.

        All events are queued before any start is permitted: a start depends on other instances, and what became of
        those has to be known first."""
        self._recheck_waiting = True
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
        return difference(self.plan, plan)

    def apply(self, plan: Plan, now: float, by: By = ev.NOTHING) -> tuple[Difference, list[Action]]:
        """Put a changed plan in force; services that did not change are not touched."""
        change = difference(self.plan, plan)
        self.plan = plan
        self._index(plan)
        old = self.instances
        self.instances = {}
        for spec in plan.services:
            for name in spec.instances:
                known = old.pop(name, None)
                if known is None:
                    known = self._create_one(name, spec)
                    if spec.autostart and not self.closing:
                        self._queue.append((known, ev.Start(Cause.RELOADED, by)))
                elif spec.name in change.changed:
                    self._queue.append((known, ev.Reconfigure(spec, change.needs_restart(spec.name), by)))
                self.instances[name] = known
                self._removed.discard(name)
        for name, gone in old.items():
            self._removed.add(name)
            self.instances[name] = gone
            self._stop_in_turn(gone, Cause.REMOVED, by)
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
        out: list[Action] = []
        while True:
            while self._queue:
                instance, event = self._queue.popleft()
                was_ready, was, ran = instance.ready, instance.state, instance.incarnation
                actions = step(instance, event, now)
                out += actions
                self._react(instance, was, was_ready, actions)
                if instance.name in self._removed:
                    self._recheck_waiting = True
                if ran != instance.incarnation or was is not instance.state or actions:
                    self._update_waiting(instance)
                self._deadlines.schedule(instance)
            if not (self._permit_starts() or self._stop_postponed(now) or self._remove_stopped()):
                return out

    def _react(self, instance: Instance, was: State, was_ready: bool, actions: list[Action]) -> None:
        """Queue what a change of one instance means for others."""
        if instance.ready and not was_ready:
            self._restart_dependants(instance)
        if was is instance.state:
            return
        self._recheck_waiting = True  # its dependants may start now
        fallback = instance.spec.restart.fallback
        if fallback is not None and not self.closing:
            if instance.state is State.FAILED:
                self._order(fallback, ev.Start(Cause.FALLBACK_WANTED))
            elif was is State.FAILED:
                self._order(fallback, ev.Stop(Cause.FALLBACK_OVER))
        for action in actions:
            if isinstance(action, Record) and _counts_as_failure(action):
                self._restart_group(instance)
                return

    def _order(self, service: str, event: ev.Event) -> None:
        for name in self.names(service):
            self._queue.append((self.instances[name], event))

    def _restart_dependants(self, instance: Instance) -> None:
        if instance.incarnation < 2:
            return
        for service in self._dependants.get(instance.spec.name, ()):
            if self._specs[service].on_dependency_restart == "restart":
                for name in self._specs[service].instances:
                    other = self.instances[name]
                    if other.alive and other.goal is Goal.UP:
                        self._queue.append((other, ev.Restart(Cause.DEPENDENCY_RESTARTED)))

    def _restart_group(self, failed: Instance) -> None:
        """Erlang/OTP's strategies, within `group_name`."""
        strategy, group = failed.spec.restart.strategy, failed.spec.group_name
        if strategy is Strategy.ONE_FOR_ONE or group is None or failed.goal is Goal.DOWN:
            return
        passed = False
        for other in self.instances.values():
            if other is failed:
                passed = True
                continue
            concerned = other.spec.group_name == group and (passed or strategy is Strategy.ONE_FOR_ALL)
            if concerned and other.goal is Goal.UP and other.alive:
                self._queue.append((other, ev.Restart(Cause.GROUP_RESTARTED)))

    # -- waiting to start, waiting to stop -----------------------------------------------------------------------

    def _update_waiting(self, instance: Instance) -> None:
        """Update the sets of instances that wait to start, and of those that take a restart slot."""
        name = instance.name
        if not instance.waiting:
            self._waiting.pop(name, None)
            self._awaiting_slot.pop(name, None)
        elif name not in self._waiting and name not in self._awaiting_slot:
            self._waiting[name] = None
            self._recheck_waiting = True
        if instance.recovering and instance.phase >= Phase.SPAWNING:
            self._recovering.add(name)
        else:
            self._recovering.discard(name)

    def _permit_starts(self) -> bool:
        """Permit starts: dependencies are ready and, for a restart after a failure, a slot is free."""
        if self.closing:
            return False
        permitted = False
        if self._recheck_waiting:
            self._recheck_waiting = False
            for name in list(self._waiting):
                instance = self.instances[name]
                instance.waiting_for = self._unready(instance)
                if not instance.waiting_for:
                    del self._waiting[name]
                    if instance.recovering:
                        instance.waiting_for = "a restart slot"
                        self._awaiting_slot[name] = None
                    else:
                        self._queue.append((instance, ev.StartPermitted()))
                        permitted = True
        free = self.plan.supervisor.max_concurrent_restarts - len(self._recovering)
        while self._awaiting_slot and free > 0:
            name = next(iter(self._awaiting_slot))
            del self._awaiting_slot[name]
            instance = self.instances[name]
            instance.waiting_for = self._unready(instance)  # a dependency may have failed meanwhile
            if instance.waiting_for:
                self._waiting[name] = None
                continue
            self._queue.append((instance, ev.StartPermitted()))
            permitted = True
            free -= 1
        return permitted

    def _unready(self, instance: Instance) -> str:
        """What to wait for: a dependency that is not ready, or what may hold the same port: a fallback that still runs
        and, for an instance that never ran, one that is being removed (it may have been renamed)."""
        spec = instance.spec
        if not instance.incarnation:
            for name in self._removed:
                if self.instances[name].alive and not self.instances[name].lingering:
                    return f"{name}, which is being removed"
        for name in self.names(spec.restart.fallback) if spec.restart.fallback else ():
            if self.instances[name].alive and self.instances[name].goal is Goal.DOWN:
                return name
        for service in spec.depends_on:
            for name in self._specs[service].instances:
                if not self.instances[name].ready_for_dependants:
                    return name
        return ""

    def _stop_in_turn(self, instance: Instance, cause: Cause, by: By = ev.NOTHING) -> None:
        """Set the goal to DOWN now; where others depend on the instance, postpone the stop until they are gone."""
        if self._dependants.get(instance.spec.name):
            self._postponed_stops[instance.name] = ev.Stop(cause, by=by)
            self._queue.append((instance, ev.Stop(cause, later=True, by=by)))
        else:
            self._queue.append((instance, ev.Stop(cause, by=by)))

    def _stop_postponed(self, now: float) -> bool:
        """Carry out postponed stops whose dependants are gone, or cannot be stopped."""
        if not self._postponed_stops:
            return False
        moved = False
        for name in list(self._postponed_stops):
            instance = self.instances[name]
            if not any(self._is_stopping(d, now) for d in self._dependants.get(instance.spec.name, ())):
                event = self._postponed_stops.pop(name)
                if instance.state is not State.STOPPED:
                    self._queue.append((instance, event))
                    moved = True
        return moved

    def _is_stopping(self, service: str, now: float) -> bool:
        """Some instance of the service is being stopped and may still end."""
        for name in self._specs[service].instances if service in self._specs else ():
            other = self.instances.get(name)
            if other is not None and other.goal is Goal.DOWN and other.alive and not other.unkillable(now):
                return True
        return False

    def _remove_stopped(self) -> bool:
        for name in list(self._removed):
            if self.instances[name].state is State.STOPPED:
                self._removed.discard(name)
                del self.instances[name]
        return False

    # -- bookkeeping ---------------------------------------------------------------------------------------------

    def _index(self, plan: Plan) -> None:
        self._specs = {s.name: s for s in plan.services}
        self._dependants = {}
        for spec in plan.services:
            for service in spec.depends_on:
                self._dependants.setdefault(service, []).append(spec.name)

    def _create(self, spec: ServiceSpec) -> None:
        for name in spec.instances:
            self.instances[name] = self._create_one(name, spec)

    def _create_one(self, name: str, spec: ServiceSpec) -> Instance:
        return Instance(name, spec, self._rng)

    def _with_dependencies(self, names: Iterable[str]) -> list[str]:
        """The instances of these names and of all they depend on, in start order."""
        wanted: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name in wanted:
                continue
            wanted.add(name)
            for service in self.instances[name].spec.depends_on:
                todo += self._specs[service].instances
        return [name for name in self.instances if name in wanted]


def _counts_as_failure(record: Record) -> bool:
    """The record decides a failure after which the policy wants a restart; there is one such record for each."""
    decided = is_decision(record.before, record.after, record.cause, record.detail)
    return decided and record.after is not State.EXITED
