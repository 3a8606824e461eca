"""Virtual time, and everything that happens by itself: processes become ready, beat, fail and start again."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any

from supervisor.core.model import actions as act
from supervisor.core.model import events as ev
from supervisor.core.model.spec import ServiceSpec
from supervisor.core.services.adoption import MarkedProcess
from tests.simulation.daemon import Crash, Daemon
from tests.simulation.demand import Clients
from tests.simulation.disk import Disk
from tests.simulation.invariants import Invariants
from tests.simulation.plans import BAD, plan
from tests.simulation.processes import Process, ProcessTable

OBEYS_AFTER = 0.05
KILLED_AFTER = 0.01
FOREVER = float("inf")


class World:
    """Everything, from one seed.  `trace` gets a line for all that happens, where it is wanted."""

    def __init__(self, seed: int, trace: Callable[[str], None] | None = None) -> None:
        self.dice = random.Random(seed)
        self.now = 1000.0
        self._trace = trace
        self.disk = Disk()
        self.processes = ProcessTable(self.dice)
        self.invariants = Invariants(self)
        self.faults: Counter[str] = Counter()
        self.plan = plan(self.dice)
        self.daemon: Daemon | None = None
        self.daemon_fuse: int | None = None
        """Things that the next supervisor does before it crashes."""
        self.peaceful = False
        """No more faults: what can be up is to come up."""
        self.wanted_down = False
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = count()
        self.clients = Clients(self, self.plan)

    # -- time ----------------------------------------------------------------------------------------------------

    def trace(self, text: str) -> None:
        if self._trace is not None:
            self._trace(f"{self.now:12.3f} {text}")

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (self.now + seconds, next(self._serial), what))

    def run_until(self, end: float) -> None:
        while True:
            wake = self.daemon.wake if self.daemon is not None else None
            due = self._heap[0][0] if self._heap else FOREVER
            if wake is not None and wake < due:
                due = wake
            if due > end:
                break
            self.now = max(self.now, due)
            while self._heap and self._heap[0][0] <= self.now:
                heapq.heappop(self._heap)[2]()
            self.turn()
        self.now = end

    def stall(self, seconds: float) -> None:
        """We do not run for so long; the others do."""
        daemon = self.daemon
        end = self.now + seconds
        while self._heap and self._heap[0][0] <= end:
            self.now, _, what = heapq.heappop(self._heap)
            what()
        self.now = end
        if daemon is not None and self.daemon is daemon:
            daemon.engine.discount_silence(seconds)
        self.clients.begins()
        self.turn()

    def turn(self) -> None:
        """Let the supervisor do what it has to do, until it rests or dies of it."""
        daemon = self.daemon
        if daemon is None:
            return
        try:
            daemon.turn()
        except Crash as crash:
            self.crashed(str(crash))
        else:
            self.invariants.at_rest(daemon)

    # -- the supervisor ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """A supervisor begins.  It may die in the middle of it, and then another one begins."""
        if self.daemon is not None:
            return
        self.trace(f"a supervisor starts (epoch {self.disk.epoch})")
        self.wanted_down = False
        self.daemon = Daemon(self, self.plan)
        self.daemon.fuse, self.daemon_fuse = self.daemon_fuse, None
        self.invariants.begins(self.daemon)
        self._do(self.daemon.recover)

    def _do(self, what: Callable[[], Any]) -> None:
        """Something that is asked of the supervisor, and what follows at once."""
        try:
            what()
        except Crash as crash:
            self.crashed(str(crash))
        else:
            self.turn()

    def command(self, what: Callable[[Daemon], Any]) -> None:
        daemon = self.daemon
        if daemon is not None:
            self._do(lambda: what(daemon))

    def crashed(self, where: str) -> None:
        """SIGKILL.  Another one comes, but not at once."""
        assert self.daemon is not None
        self.trace(f"the supervisor is killed ({where})")
        self.faults[f"supervisor killed: {where}"] += 1
        self.invariants.crashed(self.daemon)
        for process in list(self.processes.by_pid.values()):
            process.zombie_of = None  # the statuses of its zombies go with it
        self.daemon = None
        self.clients.dropped()
        self.later(self.dice.choice((0.05, 1.0, 30.0, 200.0)), self.start)

    def upgrade(self) -> None:
        """Another supervisor in the same process: nothing is unseen."""
        old = self.daemon
        if old is None or old.service_set.closing or old.ledger.behind:
            return
        self.trace("an upgrade")
        self.faults["upgrade"] += 1
        old.fuse = None
        old.turn()
        if self.daemon is not old:
            return
        old.save_all()
        self.invariants.crashed(old)
        self.daemon = new = Daemon(self, self.plan, old.demand.held)
        for process in self.processes.by_pid.values():
            if process.zombie_of is old:
                process.zombie_of = new
        self.invariants.begins(new)
        self._do(new.recover)

    def ended(self, daemon: Daemon) -> None:
        """An orderly end."""
        self.trace("the supervisor ends in order")
        self.invariants.ended(daemon)
        for process in self.processes.by_pid.values():
            process.zombie_of = None
        self.daemon = None
        self.clients.dropped()
        self.later(self.dice.choice((1.0, 60.0)), self.start)

    def reboot(self) -> None:
        self.trace("reboot")
        self.faults["reboot"] += 1
        for process in list(self.processes.by_pid.values()):
            process.alive = process.left = False
            process.zombie_of = None
            self.processes.forget(process)
        self.disk.epoch += 1
        self.invariants.rebooted()
        if self.daemon is not None:
            self.daemon = None
            self.later(20.0, self.start)
        self.clients.dropped()

    # -- processes -----------------------------------------------------------------------------------------------

    def spawn(self, instance: str, incarnation: int, parent: Daemon) -> Process | None:
        dice = self.dice
        self.invariants.spawning(instance, parent)
        if not self.peaceful and dice.random() < 0.03:
            self.faults["spawn failed"] += 1
            return None
        process = self.processes.spawn(instance, incarnation, self.now, parent)
        self.trace(f"    {instance} #{incarnation} is pid {process.pid}")
        spec = self.spec(instance, parent)
        process.environment = spec.environment
        bad = BAD in spec.environment
        if bad and spec.ready is None:
            self.later(dice.uniform(0.1, 3.0), lambda: self.exit(process, 3, None))
        if not self.peaceful:
            if dice.random() < 0.05:
                process.stubborn = True
                self.faults["ignores SIGTERM"] += 1
            if dice.random() < 0.10:
                self.faults["dies young"] += 1
                self.later(dice.uniform(0.0, 3.0), lambda: self.exit(process, dice.choice((1, 2)), None))
        if spec.type.value == "oneshot":
            self.later(dice.uniform(0.1, 10.0), lambda: self.exit(process, 0 if dice.random() < 0.9 else 1, None))
        if spec.ready is not None:
            process.asked_for_readiness = True
            never = bad or (not self.peaceful and dice.random() < 0.03)
            if never:
                self.faults["never ready"] += 1
            else:
                self.later(dice.uniform(0.0, 5.0), lambda: self.becomes_ready(process))
        if spec.heartbeat is not None:
            self.later(dice.uniform(1.0, 30.0), lambda: self.beat(process))
        if instance in self.clients.queues:
            self.clients.serve(instance)
        return process

    def spec(self, instance: str, daemon: Daemon) -> ServiceSpec:
        return daemon.service_set.instances[instance].spec

    def becomes_ready(self, process: Process) -> None:
        if process.healthy:
            process.ready = True
            if self.daemon is not None:
                self.daemon.hear(process.instance, ev.Ready(process.incarnation, "world"))
        elif process.alive and process.stopped:
            self.later(1.0, lambda: self.becomes_ready(process))

    def beat(self, process: Process) -> None:
        if not process.alive:
            return
        if process.healthy and self.daemon is not None:
            process.behind = False
            self.daemon.hear(process.instance, ev.Heartbeat(process.incarnation, self.now))
        pause = self.dice.uniform(40.0, 70.0)
        if not self.peaceful and self.dice.random() < 0.05:
            self.faults["beat delayed"] += 1
            pause = self.dice.uniform(70.0, 140.0)
        self.later(pause, lambda: self.beat(process))

    def exit(self, process: Process, code: int | None, signal: int | None) -> None:
        """The main process ends, now or when the kernel lets it."""
        if not process.alive:
            return
        if process.immortal_until > self.now:
            if process.dying is None:
                process.dying = (code, signal)
                self.later(process.immortal_until - self.now, lambda: self.exit(process, code, signal))
            return
        process.alive = False
        process.status = (code, signal)
        self.trace(f"{process.instance} #{process.incarnation} ends: {process.status} left={process.left}")
        if self.daemon is not None:
            self.daemon.ended(process)
        self.processes.forget(process)
        self.clients.ended(process)

    def empty(self, process: Process) -> None:
        """Its descendants are gone too."""
        if process.left:
            process.left = False
            if not process.alive:
                if self.daemon is not None:
                    self.daemon.emptied(process)
                self.processes.forget(process)
                self.clients.dropped()

    # -- what is done to them by the supervisor ------------------------------------------------------------------

    def signal(self, process: Process, order: act.Signal) -> None:
        self.invariants.touched(process, order.incarnation)
        process.stopped = False
        if not process.stubborn and not process.hung:
            self.later(OBEYS_AFTER, lambda: self.exit(process, None, order.number))
        if order.tree and self.dice.random() < 0.5:
            self.later(OBEYS_AFTER, lambda: self.empty(process))

    def kill(self, process: Process, order: act.Kill) -> None:
        self.invariants.touched(process, order.incarnation)
        self._sigkill(process)

    def kill_stray(self, found: MarkedProcess) -> None:
        process = self.processes.by_pid[found.pid]
        self.invariants.killed_as_a_stray(process)
        process.immortal_until = 0.0
        self._dies(process)

    def _sigkill(self, process: Process) -> None:
        self.later(KILLED_AFTER, lambda: self._dies(process))

    def _dies(self, process: Process) -> None:
        if process.immortal_until > self.now:
            self.later(process.immortal_until - self.now, lambda: self._dies(process))
            return
        self.exit(process, None, 9)
        self.empty(process)
