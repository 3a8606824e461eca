"""The daemon: the real lease gate over modelled instances, and what daemon/cluster/member.py tells the dead-man."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from supervisor.core.cluster.lease import MARGIN
from supervisor.core.cluster.lease import Phase as LeasePhase
from supervisor.core.cluster.local import Local, Present
from supervisor.core.cluster.orders import Order
from supervisor.core.cluster.placement import Slot
from supervisor.core.lifecycle.ending import KILL
from supervisor.core.lifecycle.snapshot import Phase as Step
from supervisor.core.model.actions import Goal, State
from supervisor.core.model.causes import Cause
from supervisor.core.services.lease_gate import LeaseGate, Told
from tests.simulation.cluster.processes import NEVER, Process
from tests.simulation.cluster.pushed import Pushed

if TYPE_CHECKING:
    from tests.simulation.cluster.host import Host, Running

BEAT = 1.0
AFTER_CRASH, AFTER_CRASHES = 0.2, 600.0
"""Seconds of the restart policy: after the first crash, and after so many that nobody waits for the end."""


class Instance:
    """One slot's instance, as the lease gate sees it."""

    def __init__(self, daemon: Daemon, slot: Slot, name: str, names: tuple[str, ...]) -> None:
        saved = daemon.host.saved
        self.slot, self.name = slot, name
        self.spec = SimpleNamespace(exclusive=True, name=slot.service, instances=names)
        self.goal = Goal.DOWN if slot.service in saved.down else Goal.UP
        self.state, self.phase, self.cause = State.STOPPED, Step.NONE, Cause.STOPPED
        self.signal: int | None = None
        self.epoch = saved.epochs.get(name, 0)
        self.tree: Running | None = None
        self.until = NEVER
        self.retry_at = -1e9

    def fail(self, cause: Cause, signal: int | None, retry_at: float) -> None:
        self.state, self.cause, self.signal, self.retry_at = State.BACKOFF, cause, signal, retry_at


class Daemon(Process):
    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.gate = LeaseGate()
        self.instances: dict[str, Instance] = {}
        for rules in self.world.rules:
            names = tuple(self.world.name(Slot(rules.service, n)) for n in range(rules.slots))
            for number, name in enumerate(names):
                self.instances[name] = Instance(self, Slot(rules.service, number), name, names)
        for tree in host.trees:  # adopted
            instance = self.instances[tree.name]
            if instance.tree is None and instance.epoch == tree.epoch:
                instance.state, instance.tree = State.RUNNING, tree
        for instance in self.instances.values():
            if instance.name in host.saved.ran and instance.tree is None:
                instance.fail(Cause.EXIT_UNKNOWN, None, host.now() + AFTER_CRASHES)
        self._known: dict[tuple[str, int], bool] = {}
        self._grouped: set[tuple[str, int]] = set()
        self._dead_man: Any = None
        self._believed = self.world.granted - MARGIN
        self._beat_at = host.now()
        self._last: Local | None = None
        self._agent = False
        self._heard = -1e9
        self.orders: dict[str, Order] = {}
        self.pushed = Pushed(self)
        self._said: Any = None
        self.wake(self.world.now)

    def stop(self) -> None:
        super().stop()
        self.world.observer.watched(self.host)

    def die(self) -> None:
        super().die()
        self.world.observer.watched(self.host)

    def turn(self) -> None:
        now = self.host.now()
        for message in self.take():
            match message:
                case ("word", told, believe, outcomes, at, pushed):
                    self._believed, self._heard = believe, at
                    self.pushed.orders = {n: one for n, one in self.pushed.orders.items() if n not in outcomes}
                    self.pushed.heard(pushed)
                    self.orders = {number: one for number, one in self.orders.items() if number not in outcomes}
                    self.gate.hear(told, now)
                    self._process(now)
                    self._watch_leases(told)
                    self._tell(now)
                case ("agent came",):
                    self._agent = True
                    self._tell(now)
                case ("exit", tree):
                    self._exited(tree, now)
                case ("dead-man", *words):
                    self._dead_man_said(words)
                case ("dead-man came",):
                    pass
                case ("dead-man lost",):
                    self._dead_man = None
                    self._known.clear()
                    self._guard()
        if now >= self._beat_at:
            self._beat(now)
        self.gate.passed(now)
        self.pushed.turn(now)
        self._process(now)
        self._tell_trees()
        if self._answer() != self._last or self.pushed.answer() != self._said:
            self._tell(now)
        self._wake_next()

    # -- instances -------------------------------------------------------------------------------------------------

    def _process(self, now: float) -> None:
        """Stop what runs without a lease, start what may."""
        instances: Any = self.instances.values()
        for instance, _ in list(self.gate.orders(instances, now)):
            self.stop_instance(instance, now)
        for one in self.instances.values():
            if one.state is State.STOPPING and now >= one.until and one.tree is not None:
                one.tree.kill()
                one.until = NEVER
            if one.state is State.BACKOFF and now >= one.retry_at:
                one.state = State.STOPPED
            waits = one.state is State.STOPPED and one.goal is Goal.UP
            wanted: Any = one
            if waits and not self.gate.awaited(wanted, now):
                self.gate.started([wanted])
                self.host.saved.epochs[one.name] = one.epoch
                self.host.saved.ran.add(one.name)
                one.state = State.RUNNING
                one.tree = self.host.begin(one.slot, one.name, one.epoch)

    def stop_instance(self, instance: Any, now: float) -> None:
        if instance.state is State.RUNNING and instance.tree is not None:
            instance.state, instance.until = State.STOPPING, now + self.world.stop_timeout
            self.host.saved.ran.discard(instance.name)  # it does not fail any more, also not without this daemon
            instance.tree.ask()
        elif instance.state is State.BACKOFF:
            instance.state = State.STOPPED  # it waits to start

    def _exited(self, tree: Any, now: float) -> None:
        for one in self.instances.values():
            if (ended := one.tree) is not None and ended is tree:
                self.host.saved.ran.discard(one.name)
                one.tree, one.until = None, NEVER
                if one.state is State.STOPPING:
                    one.state = State.STOPPED
                elif ended.dying:
                    one.fail(Cause.KILLED, KILL, now + AFTER_CRASHES)
                else:
                    one.fail(Cause.EXITED, None, now + AFTER_CRASH)

    def set_goal(self, service: str, goal: Goal) -> None:
        """A person starts or stops a service on this host."""
        now = self.host.now()
        (self.host.saved.down.add if goal is Goal.DOWN else self.host.saved.down.discard)(service)
        for one in self.instances.values():
            if one.slot.service == service:
                one.goal = goal
                if goal is Goal.DOWN:
                    self.stop_instance(one, now)
        self.wake(self.world.now)

    # -- the agent -------------------------------------------------------------------------------------------------

    def _tell(self, now: float) -> None:
        self._last, self._said = self._answer(), self.pushed.answer()
        if self._agent and self.host.agent.alive:
            self.host.agent.post(("daemon", self._last, self._said))

    def _answer(self) -> Local:
        services = self.host.services(frozenset(self.host.saved.down))
        present = {one.slot: Present(one.epoch, one.tree is None) for one in self.instances.values()}
        able = self._dead_man is not None
        return Local(
            services, present, able, "" if able else "no dead-man", tuple(self.orders.values()), heard=self._heard
        )

    # -- the dead-man ----------------------------------------------------------------------------------------------

    def _beat(self, now: float) -> None:
        if self._dead_man is None and self.host.dead_man.alive:
            self._dead_man = self.host.dead_man
            self._known.clear()
            self._grouped.clear()
            if self.gate.told is not None:
                self._watch_leases(self.gate.told)
            self._tell_trees()
            self._say("trees")
        if self._dead_man is not None:
            self._say("beat", repr(self._believed), repr(self.host.now()))
        self._beat_at = now + (0.1 if self._dead_man is None else BEAT)

    def _say(self, *words: str) -> None:
        self._dead_man.post((list(words), self))

    def _dead_man_said(self, words: list[str]) -> None:
        if len(words) < 3:
            return
        key = words[1], int(words[2])
        if words[0] == "watched" and key in self._known:
            self._known[key] = True
            self._guard()
        elif words[0] == "gone":
            self._known.pop(key, None)
            self._grouped.discard(key)
            if words[3] == "killed":
                self.gate.killed[key[0]] = key[1]
            self._guard()

    def _guard(self) -> None:
        self.gate.guarded = frozenset(key for key, confirmed in self._known.items() if confirmed)

    def _watch_leases(self, told: Told) -> None:
        now = self.host.now()
        for slot, lease in told.leases.items():
            key = self.world.name(slot), lease.epoch
            if key not in self._known and lease.phase(now) is not LeasePhase.KILL:
                self._watch(*key, lease.kill_at)

    def _tell_trees(self) -> None:
        if self._dead_man is None:
            return
        for one in self.instances.values():
            if not one.epoch:
                continue
            instance: Any = one
            key, kill_at = (one.name, one.epoch), self.gate.kill_at(instance)
            if one.tree is not None and key not in self._grouped:
                if self.world.control_groups:
                    self._watch(*key, kill_at if kill_at is not None else 0.0)
                    self._grouped.add(key)
            elif one.tree is None and kill_at is None and self._known.get(key):
                self._say("forget", one.name, str(one.epoch))

    def _watch(self, name: str, epoch: int, kill_at: float) -> None:
        if self._dead_man is not None:
            self._known.setdefault((name, epoch), False)
            self._say("watch", name, str(epoch), repr(kill_at), "mark")

    def _wake_next(self) -> None:
        moments = [self._beat_at, self.gate.due if self.gate.due is not None else NEVER]
        moments.append(self.pushed.due)
        moments += [one.until for one in self.instances.values()]
        now = self.host.now()
        moments += [one.retry_at for one in self.instances.values() if one.retry_at > now]
        self.wake_local(min(moments))
