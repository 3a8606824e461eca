"""The invariants.  A violation ends the run with the text of the rule that was broken."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.snapshot import Phase
from supervisor.core.model.actions import Goal, Record, State
from supervisor.core.model.causes import FAILURES, Cause
from tests.simulation.wishes import Wishes

if TYPE_CHECKING:
    from tests.simulation.daemon import Daemon
    from tests.simulation.processes import Process
    from tests.simulation.world import World

MEANT = frozenset(
    {
        Cause.STOPPED_BY_USER, Cause.RESTARTED_BY_USER, Cause.SHUTDOWN, Cause.REMOVED, Cause.RELOADED,
        Cause.DEPENDENCY_RESTARTED, Cause.GROUP_RESTARTED, Cause.FALLBACK_OVER,
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
        self._doubtful: set[str] = set()
        """Instances of which a full disk took the last word, or all words were lost: until a supervisor has taken up
        everything and could write it down, what is known of them may be old."""
        self._grants: dict[str, deque[float]] = {}
        self._down: set[str] = set()
        """Instances that the world wants down when a supervisor begins."""
        self._gone: set[str] = set()
        """Instances that were saved before this supervisor began, and are in no plan."""
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
        in_plans = {name for spec in self._world.plan.services for name in spec.instances}
        self._gone = self._world.disk.snapshots.keys() - daemon.service_set.instances.keys() - in_plans
        self._down = {name for name in daemon.service_set.instances if self.wishes.down(name)}

    def crashed(self, daemon: Daemon) -> None:
        if daemon.ledger.behind:
            self._doubtful |= set(daemon.service_set.instances)
        self.wishes.crashed(self._doubtful, behind=daemon.ledger.behind)

    def forgotten(self) -> None:
        """The ledger is lost."""
        self.wishes.forgotten()
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
        self.wishes.ended()

    def rebooted(self) -> None:
        self._reasons.clear()
        self._grants.clear()
        self.wishes.ended()

    def commanded(self, verb: str, names: Sequence[str], daemon: Daemon) -> None:
        self.wishes.ordered(verb, names, daemon)
        if verb == "reset":
            for name in names:
                self._grants.pop(name, None)

    def spawning(self, instance: str, daemon: Daemon) -> None:
        """At most one live copy, and not before what it depends on is there."""
        self.checks += 1
        self._judge(self.wishes.spawning(instance, daemon))
        service_set, now = daemon.service_set, self._world.now
        for service in service_set.instances[instance].spec.depends_on:
            for needed in (i for i in service_set.instances.values() if i.spec.name == service):
                if not needed.ready_for_dependants and needed.cause_at != now:
                    self._fail(f"{instance} was spawned, and {needed.name} is {needed.state}")
        for process in self._world.processes.living():
            if process.instance == instance:
                self._fail(f"a second copy of {instance} beside {process}")

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
        self._judge(self.wishes.at_rest(daemon))
        if not daemon.ledger.behind:
            self._judge(self._saved_too_long())
            for name in self._doubtful:
                self._grants.pop(name, None)
            self._doubtful.clear()
            self._as_told(daemon)

    def _saved_too_long(self) -> str:
        """What an earlier supervisor saved of instances that are in no plan any more is forgotten at the start."""
        stays = self._gone & self._world.disk.snapshots.keys()
        self._gone.clear()
        return f"what was saved of {', '.join(sorted(stays))} stays" if stays else ""

    def _problem(self, instance: Instance, daemon: Daemon) -> str:
        process = daemon.processes.get(instance.name)
        state, deadline = instance.state, instance.deadline
        if state in (State.RUNNING, State.SUSPECT):
            if process is None or process.incarnation != instance.incarnation:
                return f"is {state}, and there is no process"
            if not process.alive:
                return f"is {state}, and its process has ended"
            if instance.goal is Goal.DOWN and instance.name not in daemon.service_set._postponed_stops:
                return f"is wanted down, and {state}"
        if state is State.STARTING:
            if instance.goal is Goal.DOWN and instance.name not in daemon.service_set._postponed_stops:
                return "is wanted down, and starting"
            if instance.phase is Phase.WAITING and not instance.waiting_for and not daemon.service_set.closing:
                return "waits for nothing"
            if instance.phase is Phase.SPAWNING:
                return "is being spawned, and nobody does it"
            if instance.phase is Phase.UP and (deadline is None or process is None):
                return "starts without an end"
        if state is State.STOPPING and deadline is None:
            return "stops without an end"
        if state in (State.BACKOFF, State.FAILED) and (deadline is None or instance.goal is Goal.DOWN):
            return f"is in {state} without a next moment, or without being wanted"
        if state is State.STOPPED and instance.goal is Goal.UP:
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
        for instance in daemon.service_set.instances.values():
            done = instance.state is State.EXITED or instance.state is State.STOPPED
            if instance.waiting_for and self._can_wait(daemon.service_set.instances[instance.waiting_for]):
                continue
            if instance.goal is Goal.UP and not done and instance.state is not State.RUNNING:
                self._fail(f"{instance.name} is {instance.state} long after the last fault")
        for process in self._world.processes.living():
            owner = daemon.service_set.instances.get(process.instance)
            if process.instance not in self._doubtful and (owner is None or owner.incarnation != process.incarnation):
                self._fail(f"{process} was left behind")
