"""Services that start on demand: connections that come at random moments, and what the daemon sees of them.

`Clients` is the world: the queues of the sockets, and what processes accept from them.  A queue is there as long as the
daemon or a process holds the socket; without it connections are refused, and those that wait are reset.  `Demand` is
as daemon/on_demand.py: it has the real rules, and only the sockets are simulated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from supervisor.core.model import events as ev
from supervisor.core.model.actions import Goal, Record, State
from supervisor.core.model.causes import Cause
from supervisor.core.services.demand import SLICE, IdleClock, idle_specs, waiting_specs
from supervisor.core.services.socket_policy import open_sockets

if TYPE_CHECKING:
    from supervisor.core.lifecycle.instance import Instance
    from supervisor.core.model.spec import Plan
    from tests.simulation.daemon import Daemon
    from tests.simulation.processes import Process
    from tests.simulation.world import World

URL = "unix:/"
BETWEEN_CONNECTIONS = 150.0
"""Seconds on average."""
LONGEST_WAIT = 3600.0
"""Seconds in peace within which a connection is answered: longer than any cooldown, and the start after it."""
NOT_ASKED_FOR = frozenset({Cause.AUTOSTART, Cause.ADDED, Cause.RELOADED})
"""Causes that start no instance on demand which has no process: it waits for a connection."""


@dataclass(slots=True, eq=False)
class Queue:
    """The socket of one instance: since when connections wait, how many are open, and when there was one last."""

    waiting: list[float] = field(default_factory=list)
    open: int = 0
    last: float = float("-inf")


class Clients:
    """Opens connections.  Methods that judge return what is wrong, or an empty text."""

    def __init__(self, world: World, plan: Plan) -> None:
        self._world = world
        self.queues = {name: Queue() for spec in plan.services if spec.on_demand for name in spec.instances}
        self._told: dict[str, float] = {}
        """When the story of each instance went on last, or the daemon began or was stalled."""
        self.answered = 0
        if self.queues:
            self._next()

    # -- the clients ---------------------------------------------------------------------------------------------

    def _next(self) -> None:
        self._world.later(self._world.dice.expovariate(1.0 / BETWEEN_CONNECTIONS), self._connect)

    def _connect(self) -> None:
        self._next()
        name = self._world.dice.choice(list(self.queues))
        if not self._held(name):
            return  # refused
        self._world.trace(f"a connection to {name}")
        queue, now = self.queues[name], self._world.now
        queue.waiting.append(now)
        queue.last = now
        if self._world.daemon is not None:
            self._world.daemon.demand.arrived(name)
        self.serve(name)

    def _held(self, name: str) -> bool:
        daemon = self._world.daemon
        return (daemon is not None and name in daemon.demand.held) or self._process(name) is not None

    def _process(self, name: str) -> Process | None:
        process = self._world.processes.by_instance.get(name)
        return process if process is not None and process.tree_alive else None

    def serve(self, name: str) -> None:
        """Let the process accept what waits, now or as soon as it can."""
        process, queue = self._process(name), self.queues[name]
        if process is None or not queue.waiting:
            return
        if process.healthy and process.ready_or_needs_not:
            for _ in queue.waiting:
                self.answered += 1
                queue.open += 1
                self._world.later(self._world.dice.uniform(0.01, 50.0), lambda: self._close(name, process))
            queue.waiting.clear()
        else:
            self._world.later(1.0, lambda: self.serve(name))

    def _close(self, name: str, process: Process) -> None:
        if process.alive and self._world.processes.by_instance.get(name) is process:
            queue = self.queues[name]
            queue.open -= 1
            queue.last = self._world.now

    def ended(self, process: Process) -> None:
        """Its connections end with it."""
        if process.instance in self.queues:
            self.queues[process.instance].open = 0
            self.dropped()

    def dropped(self) -> None:
        """A holder of sockets is gone: connections that wait where nothing holds the socket are reset."""
        for name, queue in self.queues.items():
            if queue.waiting and not self._held(name):
                queue.waiting.clear()

    # -- judgement -----------------------------------------------------------------------------------------------

    def begins(self) -> None:
        """A daemon begins, or goes on after a stall."""
        self._told = dict.fromkeys(self.queues, self._world.now)

    def recorded(self, record: Record) -> str:
        queue, name = self.queues.get(record.instance), record.instance
        if queue is None or self._world.daemon is None:
            return ""
        instance, now = self._world.daemon.service_set.instances.get(name), self._world.now
        self._told[name] = now
        begins = record.before is State.STOPPED and record.after is State.STARTING
        if begins and record.cause is Cause.CONNECTED and not queue.waiting:
            return f"{name} is started by a connection, and there is none"
        if begins and record.cause in NOT_ASKED_FOR:
            return f"{name} starts on demand, and is started because of {record.cause.value}"
        if record.cause is Cause.IDLE and record.after is State.STOPPING and record.before is State.RUNNING:
            idle = instance.running_spec.idle if instance is not None else None
            if queue.open or queue.waiting:
                return f"{name} is stopped as idle with {queue.open} connections open and {len(queue.waiting)} waiting"
            if idle is None or now - queue.last < idle - 1e-6:
                return f"{name} is stopped as idle {now - queue.last:g} s after a connection"
        return ""

    def at_rest(self, daemon: Daemon) -> str:
        """What waits for a connection has none, and what has had none for long enough is stopped."""
        now = self._world.now
        for name, queue in self.queues.items():
            instance = daemon.service_set.instances.get(name)
            if instance is None or instance.maintenance is not None or daemon.service_set.closing:
                continue
            if instance.dormant and queue.waiting:
                return f"a connection waits for {name}, and nothing follows"
            if instance.dormant and name not in daemon.demand.held:
                return f"{name} waits for a connection, and its socket is closed"
            idle = instance.running_spec.idle
            if instance.state is State.RUNNING and instance.goal is Goal.UP and name in daemon.demand.held and idle:
                since = max(queue.last, self._told.get(name, now))
                if not queue.open and not queue.waiting and now - since > idle * (1 + 2 / SLICE):
                    return f"{name} runs on {now - since:g} s after its last connection"
        return ""

    def at_peace(self, daemon: Daemon) -> str:
        """What can start has answered every connection."""
        now = self._world.now
        for name, queue in self.queues.items():
            instance = daemon.service_set.instances.get(name)
            oldest = min(queue.waiting, default=now)
            if instance is None or instance.goal is Goal.DOWN or now - oldest < LONGEST_WAIT:
                continue
            needed = daemon.service_set.instances.get(instance.waiting_for)
            if needed is not None and needed.goal is Goal.DOWN:
                continue  # it waits for what was stopped by an order
            process = self._process(name)
            if process is None or process.blameless:
                return f"a connection to {name} has waited for {now - oldest:g} s, and it is {instance.state}"
        return ""


class Demand:
    """One daemon's part for services on demand."""

    def __init__(self, daemon: Daemon, inherited: set[str]) -> None:
        self._daemon = daemon
        self.held: set[str] = inherited
        """The instances of which this daemon holds the socket."""
        self._runs: dict[tuple[str, int], IdleClock] = {}
        self._armed: set[str] = set()
        self._arrived: set[str] = set()
        self._told: dict[str, tuple[int, float | None]] = {}
        """The run before, and since when each instance waited, as the engine was told of a connection: once."""

    def arrived(self, name: str) -> None:
        """The kernel tells of a connection, once."""
        if name in self._armed:
            self._armed.discard(name)
            self._arrived.add(name)

    @property
    def due(self) -> float | None:
        return min((clock.due for clock in self._runs.values()), default=None)

    def turn(self) -> None:
        """What has arrived, then what is due, as the loop does it."""
        now, queues = self._daemon.now(), self._daemon.world.clients.queues
        for (name, _), clock in self._runs.items():
            if name in self._arrived:
                clock.connected(now)
        self._arrived.clear()
        for (name, incarnation), clock in self._runs.items():
            if clock.due <= now:
                self._armed.add(name)
                connections = queues[name].open + len(queues[name].waiting) if name in self.held else 1
                if clock.looked(connections, now):
                    idle = self._daemon.service_set.instances[name].running_spec.idle
                    assert idle is not None
                    self._daemon.hear(name, ev.Idle(incarnation, idle))

    def review(self) -> None:
        """After a change of a state."""
        instances, clients = self._daemon.service_set.instances, self._daemon.world.clients
        if not clients.queues:
            return
        self.held = {name for name in self.held if self._stays_open(instances.get(name))}
        clients.dropped()
        for name in waiting_specs(instances.values()):
            self.held.add(name)
            waits_since = instances[name].incarnation, instances[name].cause_at
            if clients.queues[name].waiting and self._told.get(name) != waits_since:
                self._told[name] = waits_since
                self._daemon.hear(name, ev.Connected(URL + name))
        runs = idle_specs(instances.values())
        self._runs = {key: clock for key, clock in self._runs.items() if key in runs}
        for key, spec in runs.items():
            if key not in self._runs and spec.idle is not None:
                self._runs[key] = IdleClock(spec.idle, self._daemon.now())

    def spawned(self, name: str) -> None:
        """The socket is opened with the process, where it was not."""
        if name in self._daemon.world.clients.queues:
            self.held.add(name)

    @staticmethod
    def _stays_open(instance: Instance | None) -> bool:
        return instance is not None and bool(open_sockets([instance]))
