"""One host's connection with ZooKeeper, as kazoo and the network make it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisor.core.cluster.requests import DRAINS, WRITES, Answer, Request, Result, Verb
from tests.simulation.cluster.ensemble import SERVERS

if TYPE_CHECKING:
    from tests.simulation.cluster.agent import AgentProcess


class Connection:
    """Of one agent process.  It posts ("connected", session), ("disconnected",), ("expired",), ("answered", number,
    answer) and ("changed", verb, path), in the order in which they came."""

    def __init__(self, agent: AgentProcess, session: int) -> None:
        self.agent, self.host, self.world = agent, agent.host, agent.host.world
        self.session, self.up, self.closed = session, False, False
        self.server = 0
        self._held: list[tuple[Any, ...]] = []
        self._generation, self._number, self._last = 0, 0, 0.0
        self.world.ensemble.listeners.append(self._server_gone)
        self._try_soon()

    def send(self, request: Request) -> int:
        """The number of the answer."""
        self._number += 1
        world, number, generation, sent = self.world, self._number, self._generation, self.host.now()
        world.requests += 1
        fate = world.fate(self.host)
        if fate or self.host.cut or not self.up:
            self.host.unheard = world.now
        if fate == "lost" or self.host.cut or not self.up:
            return number
        if fate == "late":
            self._execute_late(request)
            return number
        arrives = max(self._last, world.now + self.host.delay())
        self._last = arrives
        session = self.session

        def arrive() -> None:
            if self.host.cut or not self.up or generation != self._generation:
                return
            answer = world.ensemble.serve(self.server, session, request)
            if answer is None or fate == "unanswered":
                return
            if request.verb in WRITES:
                world.observer.proven(self.host, self.host.world_time(sent))
            if request.path == DRAINS and self.host.node in answer.names:
                world.observer.told_drain(self.host)
            self._post(generation, ("answered", number, answer._replace(sent=sent)))

        world.at(arrives, arrive)
        return number

    def _execute_late(self, request: Request) -> None:
        """It stays on its way for long: also after it was given up, it may be carried out."""
        world, session = self.world, self.session
        server = self.server

        world.late += 1

        def execute() -> None:
            world.late -= 1
            world.ensemble.serve(server, session, request)

        world.later(world.dice.uniform(0.5, 2.5 * world.granted), execute)

    def drop(self) -> None:
        """Connect anew."""
        if self.up:
            self._end()

    def close(self) -> None:
        """The process is gone; the session lives on."""
        self.closed = True
        self._forget_watches()
        self.up = False
        self._generation += 1
        self.world.ensemble.listeners.remove(self._server_gone)

    def fired(self, verb: Verb, path: str) -> None:
        if self.up and self.world.ensemble.servers[self.server].old is None:
            self._post(self._generation, ("changed", verb, path))

    def _post(self, generation: int, event: tuple[Any, ...]) -> None:
        """After all that was posted before.  What does not get through while the host is cut off is sent again, before
        what comes later: TCP loses nothing of a connection that goes on."""
        arrives = max(self._last, self.world.now + self.host.delay())
        self._last = arrives

        def arrive() -> None:
            if generation != self._generation or self.closed:
                return
            self._held.append(event)
            if not self.host.cut:
                held, self._held = self._held, []
                for one in held:
                    self.agent.post(one)

        self.world.at(arrives, arrive)

    def _server_gone(self, server: int) -> None:
        if self.up and server == self.server:
            self._end()

    def _end(self) -> None:
        self.up = False
        self._generation += 1
        self._held.clear()
        self._forget_watches()
        self.agent.post(("disconnected",))
        self._try_soon()

    def _forget_watches(self) -> None:
        for waiting in self.world.ensemble.watches.values():
            waiting.discard(self.session)

    def _try_soon(self) -> None:
        generation = self._generation
        self.world.later(self.world.dice.uniform(0.05, 0.8), lambda: self._try(generation))

    def _try(self, generation: int) -> None:
        if self.closed or self.up or generation != self._generation:
            return
        ensemble = self.world.ensemble
        server = self.world.dice.randrange(SERVERS)
        at = ensemble.servers[server]
        if self.agent.stopped or self.host.cut or ensemble.outage or not at.up or at.old is not None:
            self._try_soon()
            return
        before, self.server = self.session, server
        self.session = ensemble.open(before, server)
        self.up, self._last = True, self.world.now
        self.host.unheard = self.world.now
        self.world.clients[self.session] = self
        if before and before != self.session:
            self.agent.post(("expired",))
        self.agent.post(("connected", self.session))


UNANSWERED = Result.UNKNOWN


def given_up(request: Request, sent: float) -> Answer:
    """What the agent takes a request for that was not answered in time."""
    return Answer(request, UNANSWERED, sent)
