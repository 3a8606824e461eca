"""What the world ordered, and whether the daemon follows it: the goal of each instance, breakers, and fallbacks.

An invariant that asks an instance for its own goal finds no rule that sets the wrong goal.  So the orders are kept here
as the world gave them.  Where a crash came before an order was carried out, either outcome is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from supervisor.core.model.actions import Goal, Record, State
from supervisor.core.model.causes import DETECTED, Cause
from supervisor.core.model.spec import Plan, ServiceSpec
from supervisor.core.services.membership import beside

if TYPE_CHECKING:
    from tests.simulation.daemon import Daemon
    from tests.simulation.world import World

FOREVER = float("inf")
AT_REST = frozenset({State.BACKOFF, State.FAILED})
NOT_ORDERED = DETECTED | {Cause.GROUP_RESTARTED, Cause.DEPENDENCY_RESTARTED, Cause.RELOADED}
"""Why an instance in maintenance must not be stopped."""
MOST_COOLDOWNS, LONGEST_COOLDOWN = 32.0, 3600.0
"""docs/restarts.md: a cooldown doubles up to 32 configured ones or an hour."""
RESTARTED_WITHIN = 900.0
"""Seconds within which an ordered restart has ended the process: longer than any stop, state D, stall or absence."""


class Wishes:
    """The orders of the world.  Methods that judge return what is wrong, or an empty text."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._wanted: dict[str, bool | None] = {}
        """Whether each instance is wanted up; None: a crash left open whether the last order was carried out."""
        self._open: set[str] = set()
        """Instances with orders since the daemon last rested."""
        self._anew = True
        """The next daemon starts what the plan starts, whatever was ordered before."""
        self._closing = False
        self._cooldowns: dict[str, float | None] = {}
        """The last cooldown of each breaker that is not closed; None where it is not known."""
        self._opened: dict[str, float] = {}
        self._runs_since: dict[str, float] = {}
        self._to_end: dict[str, tuple[int, float]] = {}
        """The incarnation that an ordered restart is to end, and when it was ordered."""
        self._fallbacks: set[str] = set()
        """Services that are or were the fallback of one: their goal follows its breaker."""
        self._by_hand: set[str] = set()
        """Fallbacks that were started by an order, and may run beside their owner."""

        self._alone: dict[str, float] = {}
        """Until when each instance is to be left alone, where that is known."""
        self._to_try: set[str] = set()
        """What has failed, and is started because its definition was changed."""
        self._started_by_hand: set[str] = set()
        """Instances in maintenance of which a person ordered a start, or whose start had begun."""

    # -- orders --------------------------------------------------------------------------------------------------

    def ordered(self, verb: str, names: Sequence[str], daemon: Daemon) -> None:
        if verb in ("start", "restart", "stop"):
            concerned = _with_dependencies(names, daemon) if verb == "start" else set(names)
            kept = {n for n, i in daemon.service_set.instances.items() if i.maintenance is not None}
            concerned -= kept - set(names)
            concerned -= beside(daemon.service_set.plan)  # the rollout ends those
            for name in concerned:
                self._wanted[name] = verb != "stop"
                self._to_end.pop(name, None)
            self._open |= concerned
            self._by_hand = self._by_hand - concerned if verb == "stop" else self._by_hand | concerned
        if verb in ("start", "restart", "reset"):
            self._started_by_hand |= set(names)
        if verb == "restart":
            for name in concerned:
                process = daemon.processes.get(name)
                if process is not None and process.alive:
                    self._to_end[name] = process.incarnation, self._world.now
        if verb == "reset":
            self._open |= set(names)
            for name in names:
                self._close(name)

    def left_alone(self, names: Sequence[str], lasts: float | None, daemon: Daemon) -> None:
        self._open |= set(names)
        for name in names:
            self._alone[name] = FOREVER if lasts is None else self._world.now + lasts
            if daemon.service_set.instances[name].state in (State.STARTING, State.STOPPING):
                self._started_by_hand.add(name)
            else:
                self._started_by_hand.discard(name)

    def supervised(self, names: Sequence[str]) -> None:
        self._open |= set(names)
        for name in names:
            self._alone.pop(name, None)

    def last_words_lost(self) -> None:
        """A full disk took no word of what was ordered last."""
        self._alone.clear()

    def is_left_alone(self, name: str) -> bool:
        """Nothing may be done to it but by an order."""
        return self._alone.get(name, 0.0) > self._world.now + 0.001

    def corrected(self, services: AbstractSet[str], daemon: Daemon) -> None:
        """A reload gives these services a definition that needs new processes."""
        for name, instance in daemon.service_set.instances.items():
            failed = instance.state in AT_REST and self._wanted.get(name) and not self.is_left_alone(name)
            if instance.spec.name in services and failed and instance.maintenance is None:
                self._to_try.add(name)

    def reloaded(self, plan: Plan) -> None:
        """Services that are new are wanted as the plan says; those that are taken out are no more judged."""
        self._fallbacks |= {spec.restart.fallback for spec in plan.services if spec.restart.fallback is not None}
        autostart = {name: spec.autostart for spec in plan.services for name in spec.instances}
        self._wanted = {name: self._wanted.get(name, wanted) for name, wanted in autostart.items()}
        self._cooldowns = {n: known if n in autostart else None for n, known in self._cooldowns.items()}
        self._alone = {name: until for name, until in self._alone.items() if name in autostart}
        self._to_end = {name: until for name, until in self._to_end.items() if name in autostart}

    def closes(self) -> None:
        """Everything is to end."""
        self._closing = True
        self._to_end.clear()
        self._to_try.clear()

    # -- what becomes of daemons ---------------------------------------------------------------------------------

    def forgotten(self) -> None:
        """The ledger is lost: until a daemon has written it anew, no order need be known."""
        self._open |= set(self._wanted)
        self.crashed(set(), behind=False)

    def begins(self) -> None:
        plan = self._world.plan
        if self._anew or self._closing:
            started = _closure(plan, [spec for spec in plan.services if spec.autostart])
            otherwise = None if self._closing and not self._anew else False
            self._wanted = {n: n in started or otherwise for spec in plan.services for n in spec.instances}
        self._anew = self._closing = False
        self.reloaded(plan)

    def crashed(self, doubtful: set[str], *, behind: bool) -> None:
        if behind:
            self._open |= set(self._wanted)
            self._closing = False
        self._to_try.clear()
        for name in self._open | doubtful:
            if name in self._wanted:
                self._wanted[name] = None
            self._cooldowns[name] = None
            self._to_end.pop(name, None)
            self._alone.pop(name, None)
            self._by_hand.add(name)
        self._open.clear()

    def ended(self) -> None:
        """An orderly end, or a reboot: only history is left."""
        self._anew = True
        self._to_try.clear()
        self._started_by_hand.clear()
        for known in (self._opened, self._runs_since, self._to_end):
            known.clear()
        self._cooldowns = dict.fromkeys(self._wanted)  # one that could not be ended keeps the states of all
        self._by_hand.clear()
        self._open.clear()

    def down(self, name: str) -> bool:
        """The world wants it down, and that is known."""
        return self._wanted.get(name) is False

    # -- judgement -----------------------------------------------------------------------------------------------

    def at_rest(self, daemon: Daemon) -> str:
        """Each instance is wanted as the world wants it, and what was to be restarted is."""
        if self._closing:
            return ""
        now, instances = self._world.now, daemon.service_set.instances
        for name, wanted in self._wanted.items():
            instance = instances.get(name)
            if instance is None:
                return f"{name} is in the plan, and the supervisor does not know it"
            up = instance.goal is Goal.UP
            if wanted is None:
                self._wanted[name] = up
            elif up is not wanted and instance.spec.name not in self._fallbacks:
                return f"{name} was ordered {'up' if wanted else 'down'}, and its goal is {instance.goal}"
            since = self._runs_since.get(name)
            opened = bool(self._cooldowns.get(name)) and instance.state is State.RUNNING
            if opened and since is not None and now - since > instance.spec.restart.reset_after + 1.0:
                return f"{name} has run for {now - since:g} s, and its breaker is not closed"
        if not daemon.ledger.behind:
            self._open.clear()
        if self._to_try:
            return f"{min(self._to_try)} has failed, its definition was changed, and it is not started"
        for name, (incarnation, since) in self._to_end.items():
            process = daemon.processes.get(name)
            runs_on = process is not None and process.alive and process.incarnation == incarnation
            if runs_on and now - since > RESTARTED_WITHIN:
                return f"{name} was ordered to restart, and #{incarnation} runs on"
        return ""

    def recorded(self, record: Record, spec: ServiceSpec, *, doubtful: bool) -> str:
        """Breakers open, wait, and close as configured; what is to be left alone is."""
        name, now, rule = record.instance, self._world.now, spec.restart
        if self.is_left_alone(name) and record.before is not record.after and not doubtful:
            if record.after is State.SUSPECT or (record.after is State.STOPPING and record.cause in NOT_ORDERED):
                return f"{name} was to be left alone: {record}"
            if record.after is State.RUNNING:
                self._started_by_hand.discard(name)
        if doubtful:
            self._cooldowns[name] = None
        if record.before is not record.after:
            self._runs_since.pop(name, None)
            if record.after is State.RUNNING:
                self._runs_since[name] = now
        if record.before in AT_REST and record.before is not record.after:
            self._to_try.discard(name)
        anew = record.cause is Cause.RELOADED and record.before is not record.after
        if anew or record.cause in (Cause.ROLLED_OUT, Cause.PUT_BACK):
            self._close(name)
            self._open.add(name)
        elif record.cause is Cause.BREAKER_CLOSED:
            since, known = self._runs_since.get(name), self._cooldowns.get(name)
            self._close(name)
            if known and since is not None and now - since < rule.reset_after - 1e-6:
                return f"the breaker of {name} was closed after {now - since:g} s"
        elif record.after is State.FAILED and record.before is not State.FAILED:
            before = self._cooldowns.get(name, 0.0)
            longest = max(rule.cooldown, min(LONGEST_COOLDOWN, MOST_COOLDOWNS * rule.cooldown))
            told = float(record.detail["retry_in_s"])
            self._opened[name], self._cooldowns[name] = now, told
            if before is not None and abs(told - (min(2 * before, longest) or rule.cooldown)) > 0.01:
                return f"the breaker of {name} opens for {told:g} s after {before:g} s"
        elif record.cause is Cause.BREAKER_TRIAL and record.before is State.FAILED:
            opened, cooldown = self._opened.get(name), self._cooldowns.get(name)
            if opened is not None and cooldown and now < opened + cooldown - 0.01:
                return f"{name} was tried {now - opened:g} s after its breaker opened for {cooldown:g} s"
        elif record.cause is Cause.FALLBACK_OVER:
            self._by_hand.discard(name)
        return ""

    def spawning(self, instance: str, daemon: Daemon) -> str:
        """A fallback and its owner are never up together, unless both were ordered; what is left alone is started by
        an order alone; what was taken out of the plan is not started."""
        spec = daemon.service_set.instances[instance].spec
        surges = instance in beside(daemon.service_set.plan) and not self._wanted.keys().isdisjoint(spec.instances)
        if instance not in self._wanted and not surges:
            return f"{instance} is in no plan any more, and is started because of {daemon.cause_of(instance)}"
        if self.is_left_alone(instance) and instance not in self._started_by_hand:
            return f"{instance} was to be left alone, and is started because of {daemon.cause_of(instance)}"
        for spec in daemon.service_set.plan.services:
            if spec.restart.fallback is None:
                continue
            fallbacks = daemon.service_set.names(spec.restart.fallback)
            others = fallbacks if instance in spec.instances else spec.instances if instance in fallbacks else ()
            if any(name in self._by_hand for name in fallbacks):
                continue
            for process in self._world.processes.living() if others else ():
                if process.instance in others:
                    return f"{instance} was spawned beside {process}: one is the fallback of the other"
        return ""

    def _close(self, name: str) -> None:
        self._cooldowns.pop(name, None)
        self._opened.pop(name, None)


def _with_dependencies(names: Sequence[str], daemon: Daemon) -> set[str]:
    plan = daemon.service_set.plan
    named = [s for s in plan.services if set(s.instances) & set(names)]
    needed = [s for spec in named for s in plan.services if s.name in spec.depends_on]
    return set(names) | _closure(plan, needed)


def _closure(plan: Plan, specs: Sequence[ServiceSpec]) -> set[str]:
    """The instances of these services and of all they depend on."""
    found: dict[str, ServiceSpec] = {}
    todo = list(specs)
    while todo:
        spec = todo.pop()
        if spec.name not in found:
            found[spec.name] = spec
            todo += [s for s in plan.services if s.name in spec.depends_on]
    return {name for spec in found.values() for name in spec.instances}
