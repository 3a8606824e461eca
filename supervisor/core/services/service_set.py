"""All instances together: what no single one can decide.

Dependency order on the way up and, reversed, on the way down; the host-wide brake on restarts; who else is
restarted with a failed one (strategies); fallbacks; and a changed plan.  Each order to an instance is an event
put in a queue, so that nothing here loops inside a handler.
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


class ServiceSet:
    """Instances by name, in start order.  `step` and `tick` take a time and give back orders for the world."""

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

    # -- asking --------------------------------------------------------------------------------------------------

    def names(self, pattern: str) -> list[str]:
        """Instance names meant by a service, instance or group name; empty if there is none (any more)."""
        if pattern in self.instances:
            return [pattern] if pattern not in self._removed else []
        meant = (i for i in self.instances.values() if pattern in (i.spec.name, i.spec.group_name))
        return [i.name for i in meant if i.name not in self._removed]

    def with_running_services(self, plan: Plan) -> Plan:
        """`plan` with the services that it does not hold any more, and of which something still runs: what a later
        supervisor has to know to end them as they should be."""
        gone = {i.spec.name: i.spec for i in self.instances.values() if i.alive and plan.service(i.spec.name) is None}
        return replace(plan, services=(*gone.values(), *plan.services)) if gone else plan

    @property
    def deadline(self) -> float | None:
        """When `tick` is due next.  May be early by a moved heartbeat deadline, never late."""
        return self._deadlines.next

    @property
    def all_down(self) -> bool:
        """Nothing runs that is to end, and nothing is about to."""
        return not any(i.alive and not i.outlives_daemon for i in self.instances.values())

    def finished(self, now: float) -> bool:
        """There is nothing to wait for: all that runs is to stay, or will not die."""
        return all(i.outlives_daemon or i.unkillable(now) for i in self.instances.values() if i.alive)

    def dependants(self, service: str) -> list[str]:
        """Services that name `service` in depends_on."""
        return self._dependants.get(service, [])

    # -- stepping ------------------------------------------------------------------------------------------------

    def step(self, name: str, event: ev.Event, now: float) -> list[Action]:
        """One event for one instance, and all that follows from it."""
        instance = self.instances.get(name)
        if instance is None:
            return []
        if type(event) is ev.Heartbeat and instance.state is State.RUNNING and not instance.review_due:
            self._beat(instance, event)
            return []
        if type(event) is ev.SuspectExamined:
            event = self._correlated_silence.examined(instance, event, self.instances.values(), now)
        self._queue.append((instance, event))
        return self._process_queue(now)

    def _beat(self, instance: Instance, event: ev.Heartbeat) -> None:
        """The hot path: nothing but the detector learns of it, and the timer only where suspicion comes nearer."""
        suspect_at = instance.beat(event)
        if suspect_at is not None and suspect_at < self._deadlines.entries.get(instance.name, FOREVER):
            self._deadlines.schedule(instance)

    def tick(self, now: float) -> list[Action]:
        """Fire every deadline that has passed."""
        for instance in self._deadlines.due(now):
            self._queue.append((instance, ev.Timeout(self._health.patience(now))))
        return self._process_queue(now)

    def stalled(self, seconds: float, now: float) -> list[Action]:
        """We did not run for that long: nobody is to blame for silence in it."""
        self._health.stalled(seconds, now)
        for instance in self.instances.values():
            self._queue.append((instance, ev.DaemonStalled(seconds)))
        return self._process_queue(now)

    # -- commands ------------------------------------------------------------------------------------------------

    def start(self, names: Iterable[str], now: float, cause: Cause = Cause.STARTED_BY_USER) -> list[Action]:
        """Want these up, and what they depend on; a oneshot that has succeeded runs again only if it is named."""
        named = list(names)
        for name in self._with_dependencies(named):
            instance = self.instances[name]
            if instance.ready_for_dependants and name not in named and instance.goal is Goal.UP:
                continue
            self._postponed_stops.pop(name, None)
            self._queue.append((instance, ev.Start(cause)))
        return self._process_queue(now)

    def stop(self, names: Iterable[str], now: float, cause: Cause = Cause.STOPPED_BY_USER) -> list[Action]:
        """Want these down, each after those among them that depend on it."""
        for name in names:
            self._stop_in_turn(self.instances[name], cause)
        return self._process_queue(now)

    def end(self, now: float) -> list[Action]:
        """Shut down.  Asked a second time, kill what is left."""
        return self.kill(now) if self.closing else self.shutdown(now)

    def kill(self, now: float) -> list[Action]:
        """The second time a person says stop: no more waiting."""
        self._postponed_stops.clear()
        for instance in self.instances.values():
            self._queue.append((instance, ev.Stop(Cause.SHUTDOWN, force=True)))
        return self._process_queue(now)

    def restart(self, names: Iterable[str], now: float) -> list[Action]:
        for name in names:
            self._postponed_stops.pop(name, None)
            self._queue.append((self.instances[name], ev.Restart()))
        return self._process_queue(now)

    def reset(self, names: Iterable[str], now: float) -> list[Action]:
        for name in names:
            self._queue.append((self.instances[name], ev.Reset()))
        return self._process_queue(now)

    def restore(self, name: str, saved: Mapping[str, Any], *, crashed: bool) -> None:
        """Give an instance what an earlier supervisor saved for it.  Where that one `crashed`, `resume` has to tell
        what became of all who are `alive` then."""
        instance = self.instances[name]
        instance.restore(saved, crashed=crashed)
        self._update_waiting(instance)
        self._deadlines.schedule(instance)

    def assume_spawning(self, name: str, incarnation: int) -> None:
        """An instance lives in this incarnation, and no record tells of it; `resume` has to tell what became of it."""
        instance = self.instances[name]
        instance.assume_spawning(incarnation)
        self._update_waiting(instance)
        self._deadlines.schedule(instance)

    def resume(self, found: Mapping[str, ev.Adopted | ev.NotFoundOnAdoption], now: float) -> list[Action]:
        """Take up who was alive, and go on with what was under way.  All at once: before everybody's fate is known,
        nobody may start because of what another one seems to be."""
        self._recheck_waiting = True
        for name, event in found.items():
            instance = self.instances[name]
            self._queue.append((instance, event))
            if instance.goal is Goal.DOWN and instance.state is not State.STOPPING:
                self._stop_in_turn(instance, instance.wanted_by)
        return self._process_queue(now)

    def shutdown(self, now: float) -> list[Action]:
        """Everything down that is not to stay, dependants first; nothing is started any more."""
        self.closing = True
        return self.stop(list(self.instances), now, Cause.SHUTDOWN)

    def difference(self, plan: Plan) -> Difference:
        """What `apply` would change."""
        return difference(self.plan, plan)

    def apply(self, plan: Plan, now: float) -> tuple[Difference, list[Action]]:
        """Put a changed plan in force; only what changed is touched."""
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
                        self._queue.append((known, ev.Start(Cause.RELOADED)))
                elif spec.name in change.changed:
                    self._queue.append((known, ev.Reconfigure(spec, change.needs_restart(spec.name))))
                self.instances[name] = known
                self._removed.discard(name)
        for name, gone in old.items():
            self._removed.add(name)
            self.instances[name] = gone
            self._stop_in_turn(gone, Cause.REMOVED)
        return change, self._process_queue(now)

    # -- the queue -----------------------------------------------------------------------------------------------

    def _process_queue(self, now: float) -> list[Action]:
        """Work the queue off; each round lets the rules between instances react to what the last one changed."""
        out: list[Action] = []
        while True:
            while self._queue:
                instance, event = self._queue.popleft()
                was_ready, was, ran = instance.ready, instance.state, instance.incarnation
                actions = step(instance, event, now)
                out += actions
                self._react(instance, was, was_ready, actions)
                if ran != instance.incarnation or was is not instance.state or actions:
                    self._update_waiting(instance)
                self._deadlines.schedule(instance)
            if not (self._permit_starts() or self._stop_postponed(now) or self._remove_stopped()):
                return out

    def _react(self, instance: Instance, was: State, was_ready: bool, actions: list[Action]) -> None:
        """What a change of one instance means for others."""
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
        """Keep the small sets that say who waits, and who holds a restart slot."""
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
        """Let start what may: dependencies ready, and a slot free if it restarts after a failure."""
        if self.closing:
            return False
        permitted = False
        if self._recheck_waiting:
            self._recheck_waiting = False
            for name in list(self._waiting):
                instance = self.instances[name]
                instance.waiting_for = self._unready(instance.spec)
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
            self._queue.append((self.instances[name], ev.StartPermitted()))
            permitted = True
            free -= 1
        return permitted

    def _unready(self, spec: ServiceSpec) -> str:
        """The instance that has to be ready first, or (a fallback, which may hold the same port) to be gone."""
        for name in self.names(spec.restart.fallback) if spec.restart.fallback else ():
            if self.instances[name].alive and self.instances[name].goal is Goal.DOWN:
                return name
        for service in spec.depends_on:
            for name in self._specs[service].instances:
                if not self.instances[name].ready_for_dependants:
                    return name
        return ""

    def _stop_in_turn(self, instance: Instance, cause: Cause) -> None:
        """The goal changes now; what others depend on is stopped when they are gone."""
        if self._dependants.get(instance.spec.name):
            self._postponed_stops[instance.name] = ev.Stop(cause)
            self._queue.append((instance, ev.Stop(cause, later=True)))
        else:
            self._queue.append((instance, ev.Stop(cause)))

    def _stop_postponed(self, now: float) -> bool:
        """Stop what no longer carries a live dependant that is itself to be stopped, and can be."""
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
        """Some instance of the service is to be stopped, and may yet go."""
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
        """The names and all they depend on, in start order."""
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
    """A failure after which the policy wants a restart: once for each."""
    decided = is_decision(record.before, record.after, record.cause, record.detail)
    return decided and record.after is not State.EXITED
