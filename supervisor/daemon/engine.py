"""The engine: passes events from the inbox to the rules, carries out their actions, and keeps one timer.

It has no adapter of its own; `World` is what it needs of them.  A turn handles everything that has arrived before it
fires a deadline, so that a daemon that reads late does not suspect a process for its own delay.  For the same reason it
fires none that became due after the descriptors were read: the daemon may have stood still since.  Deadlines that beats
have postponed are moved in turns that happen anyway, so that they wake the daemon rarely.

It writes all records of a round together before it carries out the first action of that round (record before act).  The
outcome of an action (`Spawned`, for example) is handled in the same turn: a restart does not wait, and the record of a
spawn is older than anything that is read from the process.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from supervisor.core.model.actions import Action, Record, StartMonitoring
from supervisor.core.model.events import Event
from supervisor.core.services.deadlines import LOOK_AHEAD
from supervisor.core.services.service_set import ServiceSet

TURN_BUDGET = 0.02
"""Seconds that actions may take before the event loop polls again, and for which what was read is recent."""

SOON = 0.9 * LOOK_AHEAD
"""Seconds before a deadline in which a turn moves it where beats have postponed it.  Less than `LOOK_AHEAD`, so that
many are moved together and not some in every turn."""


class World(Protocol):
    """What the engine needs of everything outside."""

    def record(self, records: Sequence[Record]) -> None:
        """Write these before anything else happens."""

    def perform(self, action: Action) -> None:
        """Carry out one action; its outcome is posted as an event."""

    def listen(self) -> None:
        """Post what has arrived and was not read yet; it may postpone a deadline that has passed."""

    def wake_at(self, when: float | None) -> None:
        """Call `Engine.turn` at that time or earlier; None: there is no deadline."""


class Engine:
    """Owns the inbox; `turn` is called before every wait of the event loop.

    `world` is set before the first action: it needs adapters, and adapters post to the engine."""

    world: World

    def __init__(self, service_set: ServiceSet, now: Callable[[], float]) -> None:
        self.service_set = service_set
        self._now = now
        self._inbox: deque[tuple[str, Event]] = deque()
        self._orders: deque[Action] = deque()
        self._unobserved = 0
        """How many of the orders begin to observe a process."""
        self._stall = 0.0
        self.heard = math.inf
        """When the descriptors were read (CLOCK_MONOTONIC seconds).  Where that is longer ago than TURN_BUDGET, what
        became due since is left to the next turn, which reads again before it."""

    def post(self, instance: str, event: Event) -> None:
        """Queue an event of `instance` for the next turn."""
        self._inbox.append((instance, event))

    def discount_silence(self, seconds: float) -> None:
        """The daemon did not run for `seconds`; silence in that time is not counted."""
        self._stall += seconds

    def order(self, actions: list[Action]) -> None:
        """Take the actions that a command to the service set returned; records are written at once."""
        self._take(actions)

    def turn(self) -> None:
        """Handle everything that has arrived, then set the timer for the next deadline."""
        now = began = self._now()
        while True:
            self._step(now)
            while self._orders and now - began <= TURN_BUDGET:
                action = self._orders.popleft()
                self._unobserved -= type(action) is StartMonitoring
                self.world.perform(action)
                now = self._now()
            if now - began > TURN_BUDGET:
                # No deadline fires here: events that may postpone it have not been read yet.
                self._take(self._drain_inbox(now))
                self._start_monitoring()
                break
            if self.idle:
                break
        self.world.wake_at(self.service_set.deadline if self.idle else now)

    @property
    def idle(self) -> bool:
        """No event and no action is left."""
        return not self._orders and not self._inbox

    def _start_monitoring(self) -> None:
        """Begin to observe processes now; a line of output that is read before that would never be matched.

        These orders are looked for from the end: they came last, and many others may wait before them."""
        later: list[Action] = []
        found: list[Action] = []
        while self._unobserved:
            action = self._orders.pop()
            observes = type(action) is StartMonitoring
            self._unobserved -= observes
            (found if observes else later).append(action)
        self._orders.extend(reversed(later))
        for action in reversed(found):
            self.world.perform(action)

    def _step(self, now: float) -> None:
        actions: list[Action] = []
        if self._stall:
            stall, self._stall = self._stall, 0.0
            actions += self.service_set.stalled(stall, now)
        actions += self._drain_inbox(now)
        deadline = self.service_set.deadline
        due_by = now if now <= self.heard + TURN_BUDGET else self.heard
        if deadline is not None and deadline <= due_by + SOON:
            if deadline <= due_by:
                self.world.listen()
                actions += self._drain_inbox(now)
            actions += self.service_set.tick(now, due_by)
        if actions:
            self._take(actions)

    def _drain_inbox(self, now: float) -> list[Action]:
        actions: list[Action] = []
        inbox, step = self._inbox, self.service_set.step
        while inbox:
            name, event = inbox.popleft()
            if found := step(name, event, now):
                actions += found
        return actions

    def _take(self, actions: list[Action]) -> None:
        records = [a for a in actions if type(a) is Record]
        if records:
            self.world.record(records)
        orders = [a for a in actions if type(a) is not Record]
        self._unobserved += sum(type(a) is StartMonitoring for a in orders)
        self._orders.extend(orders)
