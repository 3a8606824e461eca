"""Virtual time, the hosts and ZooKeeper, all from one seed."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

from supervisor.core.cluster import version_documents as documents
from supervisor.core.cluster.placement import Rules, Slot
from supervisor.core.cluster.requests import Verb
from supervisor.core.cluster.version_documents import CURRENT
from supervisor.core.cluster.versions import Record
from tests.simulation.cluster.ensemble import Ensemble
from tests.simulation.cluster.host import Host, Running
from tests.simulation.cluster.observer import Observer

if TYPE_CHECKING:
    from tests.simulation.cluster.connection import Connection

TIMES = ((1.0, 2.0, 3.0, 10.0, 2.0), (1.0, 1.0, 2.0, 6.0, 2.0), (2.0, 2.0, 5.0, 20.0, 2.0), (2.0, 3.0, 2.0, 30.0, 2.0))
"""contact_interval, request_timeout, stop_timeout, session as granted, tick_time; in seconds."""


class World:
    """`trace` gets a line for all that happens, where it is wanted."""

    def __init__(self, seed: int, trace: Callable[[str], None] | None = None, *, pushes: bool | None = None) -> None:
        """`pushes`: whether persons push configurations; None: in each fourth seed."""
        self.dice = random.Random(seed)
        self.now = 100.0
        self._trace = trace
        self.faults: Counter[str] = Counter()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = count(1)
        self.contact_interval, self.request_timeout, self.stop_timeout, self.granted, self.tick = self.dice.choice(
            TIMES
        )
        self.failsafe = self.granted if seed % 2 else 0.0
        """How long a host promises to take nothing; 0: without failsafe."""
        self.pushes = seed % 4 == 2 if pushes is None else pushes
        self.push_timeout = 4 * self.granted
        self.share = random.Random(seed).choice(("1", "1", "2", "50%"))
        self.control_groups = self.dice.random() < 0.5
        self.rules = (Rules("beat"), Rules("web", self.dice.choice((2, 3)), apart="zone"))
        self.slots = [Slot(one.service, number) for one in self.rules for number in range(one.slots)]
        self._names = {slot: f"web@{slot.number + 1}" if slot.service == "web" else "beat" for slot in self.slots}
        self._by_name = {name: slot for slot, name in self._names.items()}
        self.stormy = False
        self.bad_net = 0.0
        self.requests = self.writes = 0
        self.late = 0
        """Requests that are on their way for long."""
        self.apart: set[frozenset[str]] = set()
        """Pairs of hosts that do not reach each other."""
        self.clients: dict[int, Connection] = {}
        self.observer = Observer(self)
        self.ensemble = Ensemble(self)
        self.hosts: list[Host] = []
        for number in range(self.dice.choice((2, 3, 3, 3, 4))):
            self.hosts.append(Host(self, "abcd"[number], f"z{number % 2}"))

    # -- time ------------------------------------------------------------------------------------------------------

    def trace(self, text: str) -> None:
        if self._trace is not None:
            self._trace(f"{self.now:12.3f} {text}")

    def at(self, moment: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (max(moment, self.now), next(self._serial), what))

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        self.at(self.now + seconds, what)

    def run_until(self, end: float) -> None:
        heap = self._heap
        while heap and heap[0][0] <= end:
            self.now, _, what = heapq.heappop(heap)
            what()
        self.now = end

    def direct(self, sender: Host, receiver: str, message: tuple[Any, ...]) -> None:
        """A datagram from agent to agent: it may be lost, and be late."""
        host = next((one for one in self.hosts if one.node == receiver), None)
        if host is None or sender.alone or self.dice.random() < self.bad_net:
            return

        def arrive() -> None:
            if host.up and not host.alone and frozenset((sender.node, receiver)) not in self.apart:
                host.agent.post(message)

        self.later(sender.delay() + host.delay(), arrive)

    # -- names -----------------------------------------------------------------------------------------------------

    def serial(self) -> int:
        return next(self._serial)

    session_number = serial

    def name(self, slot: Slot) -> str:
        return self._names[slot]

    def slot(self, name: str) -> Slot:
        return self._by_name[name]

    # -- what there is ---------------------------------------------------------------------------------------------

    def running(self, slot: Slot) -> list[Running]:
        """The trees of a slot on all hosts."""
        return [tree for host in self.hosts for tree in host.trees if tree.slot == slot]

    def ended_session(self, number: int) -> None:
        self.clients.pop(number, None)

    def fired(self, number: int, verb: Verb, path: str) -> None:
        client = self.clients.get(number)
        if client is not None and client.session == number:
            client.fired(verb, path)

    @property
    def record(self) -> Record | None:
        """Of pushed configurations, as ZooKeeper has it; None: there is none."""
        node = self.ensemble.nodes.get(CURRENT)
        return documents.record(node.data) if node is not None else None

    # -- faults ----------------------------------------------------------------------------------------------------

    def count(self, name: str) -> None:
        self.faults[name] += 1
        self.trace(f"* {name}")

    def fate(self, host: Host) -> str:
        """What becomes of a request: lost, unanswered (it is carried out), late; empty: nothing of that."""
        if not self.bad_net or self.dice.random() >= self.bad_net:
            return ""
        fate = self.dice.choice(("lost", "unanswered", "unanswered", "late"))
        self.count(f"request {fate}")
        return fate
