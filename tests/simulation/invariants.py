"""The invariants.  A violation ends the run with the text of the rule that was broken."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.snapshot import Phase
from supervisor.core.model.actions import Goal, Record, State
from supervisor.core.model.causes import FAILURES, Cause
from supervisor.core.model.spec import OnOpen, Plan, ServiceSpec
from supervisor.core.restart.tracker import Breaker
from supervisor.core.services.rollout import UNKNOWN
from tests.simulation.releases import MOVES, Releases
from tests.simulation.wishes import Wishes

if TYPE_CHECKING:
    from supervisor.core.services.service_set import ServiceSet
    from tests.simulation.daemon import Daemon
    from tests.simulation.processes import Process
    from tests.simulation.world import World

MEANT = frozenset(
    {
        Cause.STOPPED_BY_USER, Cause.RESTARTED_BY_USER, Cause.SHUTDOWN, Cause.REMOVED, Cause.RELOADED,
        Cause.DEPENDENCY_RESTARTED, Cause.GROUP_RESTARTED, Cause.FALLBACK_OVER, Cause.ROLLED_OUT, Cause.PUT_BACK,
        Cause.DEPENDENCY_FAILED, Cause.SURGE_OVER, Cause.IDLE,
    }
)  # fmt: skip
"""Why a healthy process may be ended."""


class Violation(AssertionError):
    """A promise is broken."""


class Invariants:
    """Watches the world; told by it of everything that matters."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.checks = 0
        self.wishes = Wishes(world)
        self.rollouts = Releases(world)
        self._doubtful: set[str] = set()
        """Instances of which a full disk took the last word, or all words were lost: until a supervisor has taken up
        everything and could write it down, what is known of them may be old."""
        self._grants: dict[str, deque[float]] = {}
        self._down: set[str] = set()
        """Instances that the world wants down when a supervisor begins."""
        self._plans_at_start: list[tuple[ServiceSpec, ...]] = []
        """The services of the file at each start and reload since the last orderly end or boot, up to a spawn."""
        self._spawned = True
        self._unrecorded: set[Process] = set()
        """Those that ran when the ledger was lost while no supervisor did: what was to become of them is not known."""
        self._reasons: dict[str, Cause] = {}
        """Why each instance is on its way down."""

    def _fail(self, text: str) -> None:
        raise Violation(f"at {self._world.now:.3f}: {text}")

    def _judge(self, problem: str) -> None:
        if problem:
            self._fail(problem)

    # -- told by the world ---------------------------------------------------------------------------------------

    def begins(self, daemon: Daemon) -> None:
        """A supervisor takes up what is there.  What was ordered down before a crash stays down."""
        self.wishes.begins()
        self._plans_at_start.append(self._world.plan.services)
        if not self._spawned and daemon.service_set.plan.services not in self._plans_at_start:
            self._fail("it begins with the plan of an earlier run, of which nothing is left")
        self._world.clients.begins()
        self._down = {name for name in daemon.service_set.instances if self.wishes.down(name)}

    def crashed(self, daemon: Daemon) -> None:
        if daemon.ledger.behind:
            self._doubtful |= set(daemon.service_set.instances)
        self.wishes.crashed(self._doubtful, behind=daemon.ledger.behind)

    def forgotten(self) -> None:
        """The ledger is lost."""
        self.wishes.forgotten()
        self._spawned = True  # nothing tells whether the run before ended in order
        if self._world.daemon is None:
            self._unrecorded |= set(self._world.processes.living())
        self._doubtful |= {spec_name for service in self._world.plan.services for spec_name in service.instances}
        self._doubtful |= {p.instance for p in self._world.processes.living()}

    def ended(self, daemon: Daemon) -> None:
        """Only what is meant to stays, and what the kernel does not let die."""
        now = self._world.now
        stays = {name for name, i in daemon.service_set.instances.items() if i.spec.detach or i.unkillable(now)}
        left = [p for p in self._world.processes.living() if p.instance not in stays]
        if left:
            self._fail(f"it ended in order, and left {left}")
        dying = {p.instance for p in self._world.processes.living() if p.instance in stays}
        self._reasons = {name: reason for name, reason in self._reasons.items() if name in dying}
        self._grants.clear()
        if not dying:
            self._nothing_left()
        self.wishes.ended()

    def rebooted(self) -> None:
        if self._world.daemon is not None and self._world.daemon.ledger.behind:
            self.wishes.last_words_lost()
        self._reasons.clear()
        self._grants.clear()
        self._nothing_left()
        self.wishes.ended()

    def _nothing_left(self) -> None:
        """No process is left of what ran: the next supervisor takes the file as it is then."""
        self._spawned = False
        self._plans_at_start.clear()
        self.rollouts.forgotten()

    def reloaded(self, plan: Plan) -> None:
        self.wishes.reloaded(plan)
        self._plans_at_start.append(plan.services)

    def commanded(self, verb: str, names: Sequence[str], daemon: Daemon) -> None:
        self.wishes.ordered(verb, names, daemon)
        if verb == "reset":
            for name in names:
                self._grants.pop(name, None)

    def spawning(self, instance: str, daemon: Daemon) -> None:
        """At most one live copy, and not before what it depends on is there."""
        self.checks += 1
        self._spawned = True
        self._judge(self.wishes.spawning(instance, daemon))
        service_set, now = daemon.service_set, self._world.now
        for service in service_set.instances[instance].spec.depends_on:
            for needed in (i for i in service_set.instances.values() if i.spec.name == service):
                met = needed.ready_for_dependants or self._is_covered(needed, daemon)
                if not met and needed.cause_at != now:
                    self._fail(f"{instance} was spawned, and {needed.name} is {needed.state}")
            if self._stops(service, daemon):
                self._fail(f"{instance} was spawned below {service}, of which the breaker is not closed")
        self._judge(_beyond_a_limit(service_set, instance))
        for process in self._world.processes.living():
            if process.instance == instance:
                self._fail(f"a second copy of {instance} beside {process}")
        self._judge(self.rollouts.spawning(service_set.instances[instance].spec, daemon))

    @staticmethod
    def _is_covered(needed: Instance, daemon: Daemon) -> bool:
        """Its breaker is not closed, and its dependants ignore that, or its fallback is there."""
        if needed.tracker.breaker is Breaker.CLOSED:
            return False
        fallback = needed.spec.restart.fallback
        names = daemon.service_set.names(fallback) if fallback is not None else []
        instances = [daemon.service_set.instances[name] for name in names]
        return needed.spec.breaker.on_open is OnOpen.IGNORE or any(i.ready for i in instances)

    def touched(self, process: Process, incarnation: int) -> None:
        """Signals reach the incarnation that was meant, and a healthy one only for a reason."""
        self.checks += 1
        if process.incarnation != incarnation:
            self._fail(f"a signal for #{incarnation} went to {process}")
        reason = self._reasons.get(process.instance)
        if process.blameless and reason not in MEANT:
            self._fail(f"{process} is healthy, and was ended because of {reason}")

    def killed_as_a_stray(self, process: Process) -> None:
        """What a full disk kept from the ledger, the process says itself."""
        if process.instance not in self._doubtful or process.blameless:
            self._fail(f"{process} was killed as a stray")

    def recorded(self, records: Sequence[Record], daemon: Daemon) -> None:
        """The story goes on where it was, and restarts keep to the limit."""
        told: dict[str, Record] = {}
        self._judge(self.rollouts.recorded(records, daemon, self._doubtful))
        for record in records:
            self.checks += 1
            name = record.instance
            if record.before is not record.after and record.after in (State.STOPPING, State.SUSPECT):
                self._reasons[name] = record.cause
            last = told.get(name) or (None if daemon.ledger.behind else self._world.disk.story.get(name))
            if last is not None and name not in self._doubtful:
                begins_anew = record.before is State.STOPPED and record.cause is Cause.AUTOSTART
                if record.before is not last.after and not begins_anew:
                    self._fail(f"the story of {name} has a gap: {last} and then {record}")
                if record.incarnation < last.incarnation:
                    self._fail(f"incarnations go back: {last} and then {record}")
                if record.cause is Cause.AUTOSTART and name in self._down:
                    self._fail(f"{name} was wanted down, and a crash has started it")
            told[name] = record
            self._judge(self._world.clients.recorded(record))
            if record.cause in MOVES or (record.cause is Cause.RELOADED and record.before is not record.after):
                self._grants.pop(name, None)
            self._count_restart(record, daemon)
            known = daemon.service_set.instances.get(name)
            if known is not None:
                self._judge(self.wishes.recorded(record, known.spec, doubtful=name in self._doubtful))

    def _count_restart(self, record: Record, daemon: Daemon) -> None:
        if record.cause not in FAILURES or "delay_s" not in record.detail:
            return
        instance = daemon.service_set.instances.get(record.instance)
        if instance is None or record.instance in self._doubtful:
            return
        grants = self._grants.setdefault(record.instance, deque())
        now, rule = self._world.now, instance.spec.restart
        grants.append(now)
        while grants and grants[0] < now - rule.window:
            grants.popleft()
        if len(grants) > rule.max_restarts:
            self._fail(f"{record.instance} was restarted {len(grants)} times within {rule.window} s")

    def at_rest(self, daemon: Daemon) -> None:
        """The supervisor has nothing to do at this moment: everything is as wanted, or on its way there."""
        if self._world.daemon is not daemon:
            return
        for instance in daemon.service_set.instances.values():
            self.checks += 1
            problem = self._problem(instance, daemon)
            if problem:
                self._fail(f"{instance.name}: {problem}")
        self._judge(self._world.clients.at_rest(daemon))
        self._judge(self._below_an_open_breaker(daemon))
        self._judge(self.wishes.at_rest(daemon))
        self.rollouts.at_rest()
        if not daemon.ledger.behind:
            self._judge(self._saved_too_long(daemon))
            for name in self._doubtful:
                self._grants.pop(name, None)
            self._doubtful.clear()
            self._as_told(daemon)

    @staticmethod
    def _stops(service: str, daemon: Daemon, *states: State) -> bool:
        """The service stops its dependants, and its breaker is not closed; `states`: where all of it is in one."""
        wanted = [i for i in daemon.service_set.instances.values() if i.spec.name == service and i.goal is Goal.UP]
        stops = bool(wanted) and wanted[0].spec.breaker.on_open is OnOpen.STOP
        not_closed = all(i.tracker.breaker is not Breaker.CLOSED for i in wanted)
        return stops and not_closed and all(i.state in (states or State) for i in wanted)

    def _below_an_open_breaker(self, daemon: Daemon) -> str:
        """What depends on a service that stops its dependants runs on only until its own dependants have ended."""
        service_set = daemon.service_set
        there = {i.spec.name for i in service_set.instances.values() if i.alive}
        for i in service_set.instances.values():
            up = i.goal is Goal.UP and i.state is State.RUNNING and i.maintenance is None and not service_set.closing
            if up and there.isdisjoint(service_set.dependants(i.spec.name)):
                for service in i.spec.depends_on:
                    if self._stops(service, daemon, State.FAILED):
                        return f"{i.name} runs, although the breaker of {service} is open"
        return ""

    def _saved_too_long(self, daemon: Daemon) -> str:
        """What is saved of an instance goes with it."""
        stays = self._world.disk.snapshots.keys() - daemon.service_set.instances.keys()
        return f"what was saved of {', '.join(sorted(stays))} stays" if stays else ""

    def _problem(self, instance: Instance, daemon: Daemon) -> str:
        process = daemon.processes.get(instance.name)
        state, deadline = instance.state, instance.deadline
        if state in (State.RUNNING, State.SUSPECT):
            if process is None or process.incarnation != instance.incarnation:
                return f"is {state}, and there is no process"
            if not process.alive:
                return f"is {state}, and its process has ended"
            if instance.goal is Goal.DOWN and instance.name not in daemon.service_set._stops.postponed:
                return f"is wanted down, and {state}"
            known = instance.revision != UNKNOWN and process not in self._unrecorded  # else a rollout will replace it
            if known and instance.maintenance is None and process.environment != instance.running_spec.environment:
                return f"runs {process.environment}, and is taken for {instance.running_spec.environment}"
        if state is State.STARTING:
            if instance.goal is Goal.DOWN and instance.name not in daemon.service_set._stops.postponed:
                return "is wanted down, and starting"
            if instance.phase is Phase.WAITING and not instance.waiting_for and not daemon.service_set.closing:
                return "waits for nothing"
            if instance.phase is Phase.SPAWNING:
                return "is being spawned, and nobody does it"
            if instance.phase is Phase.UP and (process is None or (deadline is None and instance.maintenance is None)):
                return "starts without an end"
        if state is State.STOPPING and deadline is None:
            return "stops without an end"
        waits = deadline is not None or instance.maintenance is not None
        if state in (State.BACKOFF, State.FAILED) and (not waits or instance.goal is Goal.DOWN):
            return f"is in {state} without a next moment, or without being wanted"
        if state is State.STOPPED and instance.goal is Goal.UP and not instance.dormant:
            return "is wanted up, and nothing follows"
        if state in (State.STOPPED, State.EXITED, State.BACKOFF, State.FAILED) and process is not None:
            return f"is {state}, and {process} lives"
        if deadline is not None and deadline < self._world.now - 1e-6:
            return f"missed its deadline by {self._world.now - deadline}"
        return ""

    def _as_told(self, daemon: Daemon) -> None:
        """What the ledger tells is what is."""
        for name, record in self._world.disk.story.items():
            instance = daemon.service_set.instances.get(name)
            if instance is None or name in self._doubtful:
                continue
            if record.after is not instance.state and instance.state is not State.STOPPED:
                self._fail(f"the ledger says {name} is {record.after}, and it is {instance.state}")
            if record.goal is not instance.goal and instance.state is not State.STOPPED:
                self._fail(f"the ledger says {name} is wanted {record.goal}, and it is {instance.goal}")

    @staticmethod
    def _can_wait(needed: Instance) -> bool:
        """What an instance waits for is not there, and need not be."""
        return needed.goal is Goal.DOWN or needed.state is State.EXITED or bool(needed.waiting_for)

    def at_peace(self) -> None:
        """After hours without a fault: who is wanted up, is."""
        daemon = self._world.daemon
        if daemon is None:
            self._fail("no supervisor runs")
            return
        self._judge(self.rollouts.at_peace(daemon))
        self._judge(self._world.clients.at_peace(daemon))
        for instance in daemon.service_set.instances.values():
            done = instance.state is State.EXITED or instance.state is State.STOPPED
            awaited = daemon.service_set.instances.get(instance.waiting_for)  # None for a restart slot
            if awaited is not None and self._can_wait(awaited):
                continue
            if self.rollouts.cannot_run(instance.name, daemon):
                continue
            if instance.goal is Goal.UP and not done and instance.state is not State.RUNNING:
                self._fail(f"{instance.name} is {instance.state} long after the last fault")
        for process in self._world.processes.living():
            owner = daemon.service_set.instances.get(process.instance)
            if process.instance not in self._doubtful and (owner is None or owner.incarnation != process.incarnation):
                self._fail(f"{process} was left behind")


def _beyond_a_limit(service_set: ServiceSet, name: str) -> str:
    """More instances than host or group allow are starting again after failures, now that this one is spawned."""
    if not service_set.instances[name].recovering:
        return ""
    starting = [i for i in service_set.instances.values() if i.recovering and i.phase >= Phase.SPAWNING]
    if len(starting) > service_set.plan.supervisor.max_concurrent_restarts:
        return f"{', '.join(i.name for i in starting)} are starting again at once"
    for group in service_set.plan.groups:
        members = [i.name for i in starting if i.spec.group_name == group.name]
        mine = service_set.instances[name].spec.group_name == group.name
        if mine and group.max_concurrent_restarts is not None and len(members) > group.max_concurrent_restarts:
            return f"{', '.join(members)} of the group {group.name} are starting again at once"
    return ""
