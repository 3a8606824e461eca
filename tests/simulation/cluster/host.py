"""A host: its clock, the trees of processes that run on it, and the three processes of ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from supervisor.core.cluster.local import Placed, Settings
from supervisor.core.cluster.placement import Slot
from tests.simulation.cluster.agent import AgentProcess
from tests.simulation.cluster.daemon import Daemon
from tests.simulation.cluster.dead_man import DeadManProcess, Tree
from tests.simulation.cluster.processes import Process
from tests.simulation.cluster.pushed import OWN_FILE, Version, definition

if TYPE_CHECKING:
    from tests.simulation.cluster.world import World


USUAL = 0.002
"""Seconds that a packet takes on average."""


@dataclass(eq=False)
class Running:
    """A tree of processes in the kernel.  `begun`: seconds of the world."""

    host: Host
    slot: Slot
    name: str
    epoch: int
    begun: float
    dying: bool = False
    asked: bool = False

    def ask(self) -> None:
        """SIGTERM."""
        world = self.host.world
        if not self.asked and world.dice.random() > 0.05:
            self.asked = True
            world.later(world.dice.uniform(0.0, 1.3) * world.stop_timeout, lambda: self.host.end(self))

    def kill(self) -> None:
        """SIGKILL: in the end it takes effect, at most half a second later."""
        if not self.dying:
            self.dying = True
            dice = self.host.world.dice
            takes = dice.uniform(0.0, 0.5) if dice.random() < 0.2 else dice.uniform(0.001, 0.02)
            self.host.world.later(takes, lambda: self.host.end(self))


@dataclass
class Saved:
    """What survives the daemon: its snapshot."""

    epochs: dict[str, int] = field(default_factory=dict)
    ran: set[str] = field(default_factory=set)
    down: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    version: Version = OWN_FILE
    changing: bool = False
    texts: dict[Version, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Of the pushed version that this host runs; empty: its own file."""
        return self.texts.get(self.version, "")


class Host:
    """`broken`: which process of ours does not run as it should."""

    def __init__(self, world: World, node: str, zone: str) -> None:
        self.world, self.node = world, node
        self.settings = Settings(
            node, labels={"zone": zone}, contact_interval=world.contact_interval,
            request_timeout=world.request_timeout, tick_time=world.tick, failsafe=world.failsafe,
        )  # fmt: skip
        self._base, self._rate = world.dice.uniform(1.0, 1e7), 1.0 + world.dice.uniform(-0.0005, 0.0005)
        self.cut = self.alone = False
        """Cut off from ZooKeeper; from the other hosts, too."""
        self.cut_since = -1e9
        self.unheard = -1e9
        """The last moment at which its agent had no connection or stood still, or a request was lost or late."""
        self.slow_net = USUAL
        self.up = True
        self.digest = "d1"
        self.rules_since = -1e9
        self.trees: list[Running] = []
        self.saved = Saved()
        self.session_file: tuple[int, str] | None = None
        self.broken: set[str] = set()
        self._services: dict[tuple[tuple[str, ...], frozenset[str]], tuple[Placed, ...]] = {}
        self.tree_class = type("HostTree", (Tree,), {"host": self})
        self.dead_man: DeadManProcess = DeadManProcess(self)
        self.daemon: Daemon = Daemon(self)
        self.agent: AgentProcess = AgentProcess(self)

    def digest_of(self, service: str) -> str:
        """Of the rules of a service, as this host has them: pushed ones, or those of its own file."""
        if self.saved.version == OWN_FILE:
            return self.digest
        return definition(self.saved.text, service)

    def services(self, down: frozenset[str]) -> tuple[Placed, ...]:
        """What its daemon says of the placed services; the same object for the same content."""
        digests = tuple(self.digest_of(rules.service) for rules in self.world.rules)
        key = digests, down
        if key not in self._services:
            stop = self.world.stop_timeout
            rules_of = zip(self.world.rules, digests, strict=True)
            found = (Placed(rules, digest, stop, rules.service not in down) for rules, digest in rules_of)
            self._services[key] = tuple(found)
        return self._services[key]

    # -- its clock -------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """CLOCK_BOOTTIME."""
        return self._base + self._rate * self.world.now

    def world_time(self, local: float) -> float:
        return (local - self._base) / self._rate

    def delay(self) -> float:
        """Of one packet."""
        dice = self.world.dice
        return dice.expovariate(1.0 / self.slow_net)

    # -- its trees -------------------------------------------------------------------------------------------------

    def begin(self, slot: Slot, name: str, epoch: int) -> Running:
        tree = Running(self, slot, name, epoch, self.world.now)
        self.trees.append(tree)
        self.world.observer.began(tree)
        if self.world.stormy and self.world.dice.random() < 0.05:
            self.world.count("instance dies")
            self.world.later(self.world.dice.uniform(0.0, 5.0), lambda: self.end(tree))
        return tree

    def end(self, tree: Running) -> None:
        if tree in self.trees:
            self.trees.remove(tree)
            self.world.trace(f"{self.node}: {tree.name} epoch {tree.epoch} has ended")
            self.daemon.post(("exit", tree))
            self.dead_man.wake(self.world.now)

    # -- its processes ---------------------------------------------------------------------------------------------

    def process(self, kind: str) -> Process:
        found: dict[str, Process] = {"agent": self.agent, "daemon": self.daemon, "dead-man": self.dead_man}
        return found[kind]

    def kill(self, kind: str, back: float, *, keep: bool = True) -> None:
        """SIGKILL to one of our processes; another one comes after `back` seconds.  `keep`: its saved session is
        there."""
        old = self.process(kind)
        if not old.alive:
            return
        old.die()
        if kind == "agent" and not keep:
            self.session_file = None
        if kind == "dead-man":
            self.daemon.post(("dead-man lost",))
        self.world.later(back, lambda: self.start(kind))

    def start(self, kind: str) -> None:
        if not self.up or self.process(kind).alive:
            return
        if kind != "daemon" and not self.daemon.alive:
            self.world.later(0.5, lambda: self.start(kind))  # the daemon starts the other two
            return
        new: Any = {"agent": AgentProcess, "daemon": Daemon, "dead-man": DeadManProcess}[kind](self)
        if kind == "agent":
            self.agent = new
        elif kind == "daemon":
            self.daemon = new
        else:
            self.dead_man = new
            self.daemon.post(("dead-man came",))

    def die(self, back: float) -> None:
        """The host loses power."""
        if not self.up:
            return
        self.up = False
        for tree in self.trees:
            tree.dying = True
        self.trees.clear()
        for process in (self.agent, self.daemon, self.dead_man):
            process.die()
        self.session_file = None

        def boot() -> None:
            self.up = True
            self._base = self.world.dice.uniform(1.0, 100.0) - self._rate * self.world.now
            self.dead_man, self.daemon = DeadManProcess(self), Daemon(self)
            self.agent = AgentProcess(self)

        self.world.later(back, boot)
