"""One run of the daemon: the real engine, rules and recovery; only what touches the world is simulated.

A crash can come between any two of its steps: before a commit, after it, before an order, and after the effect of the
order but before its result is reported.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

from supervisor.core.model import actions as act
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, Purpose, Record
from supervisor.core.model.causes import ROLLOUT, SURGE
from supervisor.core.model.spec import Plan
from supervisor.core.services.adoption import MarkedProcess, adoption_event, is_main, saved
from supervisor.core.services.service_set import ServiceSet
from supervisor.daemon import recovery, reload
from supervisor.daemon.engine import Engine
from supervisor.daemon.previous_run import PreviousRun
from tests.doubles import action_words
from tests.simulation.demand import Demand
from tests.simulation.disk import Disk
from tests.simulation.processes import Process

if TYPE_CHECKING:
    from tests.simulation.world import World


class Crash(Exception):
    """The supervisor is no more."""


class Ledger:
    """As adapters.ledger: what a full disk does not take is held in memory, and gone with a crash."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._held: list[Record] = []
        self._snapshots: dict[str, Any] = {}
        self._meta: dict[str, str] = {}

    def save(self, name: str, snapshot: Any) -> None:
        self._snapshots[name] = snapshot

    def set_meta(self, key: str, value: str) -> None:
        self._meta[key] = value
        self.append([])

    def get_meta(self, key: str) -> str | None:
        return self._meta.get(key, self._disk.meta.get(key))

    def load(self) -> dict[str, Any]:
        return {name: json.loads(text) for name, text in self._disk.snapshots.items()}

    def append(self, records: Sequence[Record]) -> None:
        self._held += records
        if not self._disk.full:
            self._disk.commit(self._held, self._snapshots, self._meta)
            self._held.clear()
            self._snapshots.clear()
            self._meta.clear()

    @property
    def behind(self) -> bool:
        return bool(self._held or self._snapshots or self._meta)


class Daemon:
    """What `recovery.recover` takes for the daemon and for the host, and `Engine` for the world."""

    def __init__(self, world: World, plan: Plan, inherited: set[str] | None = None) -> None:
        self.world = world
        self.fuse: int | None = None
        """Things that it still does before it crashes."""
        self.ledger = Ledger(world.disk)
        self.previous_run = PreviousRun(self.ledger, world.disk, str(world.disk.epoch))
        self._file_plan = plan
        self.service_set = ServiceSet(
            self.previous_run.plan_in_force(plan), world.dice.random, self.previous_run.rollouts
        )
        self.engine = Engine(self.service_set, self.now)
        self.engine.world = self
        self._deadline: float | None = None
        self.demand = Demand(self, inherited or set())
        self.processes: dict[str, Process] = {}
        self._soon: list[Callable[[], None]] = []

    def recover(self) -> None:
        recovery.recover(self, self, self._file_plan, None, lambda adopted: None)
        self.turn()

    @property
    def wake(self) -> float | None:
        """When it has something to do next."""
        return min((due for due in (self._deadline, self.demand.due) if due is not None), default=None)

    def turn(self) -> None:
        self.demand.turn()
        while True:
            self.engine.turn()
            soon, self._soon = self._soon, []
            for callback in soon:
                callback()
            self.demand.review()
            if self.engine.idle and not self._soon:
                break
        if self.service_set.closing and self.service_set.finished(self.world.now) and not self.ledger.behind:
            self.save_all()
            if not any(i.alive for i in self.service_set.instances.values()):
                self.previous_run.end()
            self.world.ended(self)

    def refuse(self, message: str) -> None:
        raise AssertionError("no service of the simulation lacks anything")

    def save_all(self) -> None:
        for name, instance in self.service_set.instances.items():
            self.ledger.save(name, self._snapshot(name, instance))
        self.ledger.append([])

    def ledger_lost(self) -> None:
        self._burn("the ledger is lost")
        self.previous_run.begin(closing=self.service_set.closing)
        self._burn("begins anew")
        self.save_all()

    # -- what is asked by the recovery ---------------------------------------------------------------------------

    def now(self) -> float:
        return self.world.now

    def cause_of(self, instance: str) -> str:
        return self.service_set.instances[instance].cause

    def wall_clock(self) -> float:
        return self.world.now + 1_000_000.0

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.world.later(seconds, lambda: self.world.command(lambda d: callback() if d is self else None))

    def problem(self, _text: str) -> None: ...

    def keep_logs_as_specified(self) -> None: ...

    def keep_plan(self, plan: Plan) -> None:
        self.previous_run.keep(plan)
        self._burn("plan kept")

    def keep_rollouts(self) -> None:
        self.previous_run.keep_rollouts(self.service_set.saved_rollouts())
        self._burn("rollouts kept")

    def forget(self, instances: AbstractSet[str]) -> None:
        for name in instances:
            self.ledger.save(name, None)
        self._burn("forgets")
        self.ledger.append([])

    def save_history(self, instance: str) -> None:
        self.ledger.save(instance, self.service_set.instances[instance].history(self.now()))

    def marked(self) -> list[MarkedProcess]:
        self._burn("looks for survivors")
        return [
            MarkedProcess(p.pid, p.start, p.instance, p.incarnation, p.alive) for p in self.world.processes.living()
        ]

    def end_orphans(self, orphans: Sequence[MarkedProcess]) -> list[MarkedProcess]:
        for orphan in orphans:
            self.world.kill_stray(orphan)
            self._burn("stray ended")
        return []

    def describe(self, orphan: MarkedProcess) -> str:
        return f"{orphan.pid}"

    def adopt(self, name: str, incarnation: int, main: tuple[int, int] | None) -> ev.Adopted | ev.NotFoundOnAdoption:
        self._burn("adopts")
        if main is not None:
            known = self.world.processes.by_pid.get(main[0])
            if known is not None and is_main(main[1], known.seen_by(self)):
                self.processes[name] = known
                if not known.alive:
                    self._soon.append(lambda: self._reap(known))
                return adoption_event(incarnation, known.pid, self.now() - known.began, tree_empty=False)
        found = self.world.processes.by_instance.get(name)
        remains = found is not None and found.incarnation == incarnation and found.left
        if found is not None and remains:
            self.processes[name] = found
        return adoption_event(incarnation, None, 0.0, tree_empty=not remains)

    # -- the engine's world --------------------------------------------------------------------------------------

    def record(self, records: Sequence[Record]) -> None:
        self._burn("before a commit")
        if any(r.cause in ROLLOUT or r.cause in SURGE for r in records):
            self.keep_rollouts()
        dropped = self.service_set.taken_dropped()
        if dropped:
            reload.keep_without_ended(self)
        for name in {r.instance for r in records} | dropped:
            self.ledger.save(name, self._snapshot(name, self.service_set.instances.get(name)))
        self.world.invariants.recorded(records, self)
        self.ledger.append(records)
        self._burn("after a commit")
        if self.previous_run.plan_behind:
            reload.keep_plan_in_force(self)

    def _snapshot(self, name: str, instance: Any) -> Any:
        return saved(instance, self.processes.get(name), self.now()) if instance is not None else None

    def perform(self, action: Action) -> None:
        self._burn(f"before {action_words.word(action)}")
        self.world.trace(f"    {_order(action)}")
        _PERFORM[type(action)](self, action)

    def _spawn(self, order: act.Spawn) -> None:
        process = self.world.spawn(order.instance, order.incarnation, self)
        self._burn("after a spawn")
        if process is None:
            self.engine.post(order.instance, ev.SpawnFailed(order.incarnation, "no such file"))
        else:
            self.processes[order.instance] = process
            self.demand.spawned(order.instance)
            self.engine.post(order.instance, ev.Spawned(order.incarnation, process.pid))

    def _signal(self, order: act.Signal) -> None:
        process = self.processes.get(order.instance)
        if process is not None:
            self.world.signal(process, order)

    def _kill(self, order: act.Kill) -> None:
        process = self.processes.get(order.instance)
        if process is not None:
            self.world.kill(process, order)
            self.world.later(1.0, lambda: self._name_what_lingers(process))

    def _name_what_lingers(self, process: Process) -> None:
        if process.tree_alive and self.processes.get(process.instance) is process:
            self.hear(process.instance, ev.KillIncomplete(process.incarnation, (f"{process.pid} x (D)",)))

    def _watch(self, order: act.StartMonitoring) -> None:
        process = self.processes.get(order.instance)
        ready = self.service_set.instances[order.instance].spec.ready
        if process is None or ready is None:
            return
        if order.purpose is Purpose.READY and not ready.notify and process.ready:  # a probe finds it so
            self.engine.post(order.instance, ev.Ready(order.incarnation, "probe"))

    def _examine(self, order: act.Examine) -> None:
        process = self.processes.get(order.instance)
        if process is None:
            return
        held = "stopped" if process.stopped else None
        answers = order.confirm and process.healthy and self.world.dice.random() < 0.5
        self.world.later(0.1, lambda: self.hear(order.instance, ev.SuspectExamined(order.incarnation, answers, held)))

    def _release(self, order: act.ReleaseInstance) -> None:
        process = self.processes.get(order.instance)
        if process is not None and process.incarnation == order.incarnation:
            del self.processes[order.instance]

    # -- what it hears -------------------------------------------------------------------------------------------

    def hear(self, instance: str, event: ev.Event) -> None:
        if self.world.daemon is self:
            self.engine.post(instance, event)

    def _reap(self, process: Process) -> None:
        process.zombie_of = None
        self.engine.post(process.instance, ev.Exited(process.incarnation, *process.status, tree_empty=not process.left))

    def ended(self, process: Process) -> None:
        """The main process has ended, and we are there to see it."""
        if self.processes.get(process.instance) is process:
            self._reap(process)

    def emptied(self, process: Process) -> None:
        if self.processes.get(process.instance) is process:
            self.engine.post(process.instance, ev.TreeEmpty(process.incarnation))

    def listen(self) -> None:
        """Nothing waits to be read: what happens is heard at once."""

    def wake_at(self, when: float | None) -> None:
        self._deadline = when

    def _burn(self, where: str) -> None:
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                raise Crash(where)


def _order(action: Action) -> str:
    what = " ".join(f"{action_words.field(k)}={v}" for k, v in action._asdict().items() if k != "instance")
    return f"{action_words.word(action)} {action.instance} {what}"


_PERFORM: dict[type, Callable[[Daemon, Any], None]] = {
    act.Spawn: Daemon._spawn,
    act.Signal: Daemon._signal,
    act.Kill: Daemon._kill,
    act.StartMonitoring: Daemon._watch,
    act.Examine: Daemon._examine,
    act.ReleaseInstance: Daemon._release,
}
