"""Inbox → rules → orders → one timer.  It knows no outside thing: the world is handed to it.

A turn takes everything that has arrived before it fires a deadline, so that a late reader blames nobody; it
writes all records of a round in one go before it carries out the first order of that round (record before act);
and what an order gives rise to (`Spawned`, say) is taken in the same turn, so a restart waits for nothing, and the
record of a spawn is older than anything that is read of the process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from supervisor.core.model.actions import Action, Record, StartMonitoring
from supervisor.core.model.events import Event
from supervisor.core.services.service_set import ServiceSet

TURN_BUDGET = 0.02
"""Seconds of carrying out orders after which the loop gets to look at the outside again."""


class World(Protocol):
    """What the engine needs of everything outside."""

    def record(self, records: Sequence[Record]) -> None:
        """Make these durable and tell everybody, before anything else happens."""

    def perform(self, action: Action) -> None:
        """Carry out one order; its outcome is posted as an event."""

    def wake_at(self, when: float | None) -> None:
        """Call `Engine.turn` at that time, at the latest; None: there is no deadline."""


class Engine:
    """Owns the inbox and the order of things; `turn` is called before every wait of the loop.

    `world` is set before the first order is given: it needs adapters, and adapters post to the engine."""

    world: World

    def __init__(self, service_set: ServiceSet, now: Callable[[], float]) -> None:
        self.service_set = service_set
        self._now = now
        self._inbox: deque[tuple[str, Event]] = deque()
        self._orders: deque[Action] = deque()
        self._stall = 0.0

    def post(self, instance: str, event: Event) -> None:
        """Something happened to `instance`; it is judged in the next turn."""
        self._inbox.append((instance, event))

    def discount_silence(self, seconds: float) -> None:
        """We did not run for that long; nobody's silence in it counts."""
        self._stall += seconds

    def order(self, actions: list[Action]) -> None:
        """Take what a command to the fleet gave back; records are written at once."""
        self._take(actions)

    def turn(self) -> None:
        """Work off everything that is known, then say when to be called again."""
        now = began = self._now()
        while True:
            self._step(now)
            while self._orders and now - began <= TURN_BUDGET:
                self.world.perform(self._orders.popleft())
                now = self._now()
            if now - began > TURN_BUDGET:
                # No deadline fires here: what arrived meanwhile, and may put it off, has not been read yet.
                self._take(self._drain_inbox(now))
                self._start_monitoring()
                break
            if self.idle:
                break
        self.world.wake_at(self.service_set.deadline if self.idle else now)

    @property
    def idle(self) -> bool:
        """Nothing is left to judge or to carry out."""
        return not self._orders and not self._inbox

    def _start_monitoring(self) -> None:
        """Carry out what begins to observe a process: a line that is read before would never be matched."""
        waiting = self._orders
        self._orders = deque(action for action in waiting if type(action) is not StartMonitoring)
        for action in waiting:
            if type(action) is StartMonitoring:
                self.world.perform(action)

    def _step(self, now: float) -> None:
        actions: list[Action] = []
        if self._stall:
            stall, self._stall = self._stall, 0.0
            actions += self.service_set.stalled(stall, now)
        actions += self._drain_inbox(now)
        deadline = self.service_set.deadline
        if deadline is not None and deadline <= now:
            actions += self.service_set.tick(now)
        if actions:
            self._take(actions)

    def _drain_inbox(self, now: float) -> list[Action]:
        actions: list[Action] = []
        inbox, step = self._inbox, self.service_set.step
        while inbox:
            name, event = inbox.popleft()
            actions += step(name, event, now)
        return actions

    def _take(self, actions: list[Action]) -> None:
        records = [a for a in actions if type(a) is Record]
        if records:
            self.world.record(records)
        self._orders.extend(a for a in actions if type(a) is not Record)
