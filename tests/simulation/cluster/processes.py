"""A process of ours: it takes turns when it is woken, and can be killed, stopped and starved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.cluster.host import Host

NEVER = float("inf")


class Process:
    """`slow`: seconds by which each turn may be late; `inbox`: what was said to it and not yet read."""

    def __init__(self, host: Host) -> None:
        self.host, self.world = host, host.world
        self.inbox: list[tuple[Any, ...]] = []
        self.alive, self.stopped, self.slow = True, False, 0.0
        self.stopped_at = 0.0
        self._due = NEVER

    def post(self, message: tuple[Any, ...]) -> None:
        """Something is said to it; a process that does not run reads it when it runs again."""
        if self.alive:
            self.inbox.append(message)
            self.wake(self.world.now + 0.0005)

    def wake(self, moment: float) -> None:
        """Take a turn at that moment of the world, or before."""
        if self.slow:
            moment += self.world.dice.uniform(0.0, self.slow)
        if moment < self._due:
            self._due = moment
            self.world.at(moment, self._run)

    def wake_local(self, moment: float) -> None:
        """Take a turn at that moment of the host's clock."""
        self.wake(max(self.world.now + 1e-6, self.host.world_time(moment) + 1e-6))

    def stop(self) -> None:
        self.stopped, self.stopped_at = True, self.world.now

    def resume(self) -> None:
        if self.stopped:
            self.stopped, self.stopped_at = False, 0.0
            if self is self.host.agent:
                self.host.unheard = self.world.now
            if self.alive:
                self._due = NEVER
                self.wake(self.world.now)

    def die(self) -> None:
        self.alive = False

    def take(self) -> list[tuple[Any, ...]]:
        taken, self.inbox = self.inbox, []
        return taken

    def turn(self) -> None:
        raise NotImplementedError

    def _run(self) -> None:
        if self._due > self.world.now or not self.alive or self.stopped:
            return
        self._due = NEVER
        self.turn()
