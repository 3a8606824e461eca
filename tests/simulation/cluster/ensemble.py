"""ZooKeeper: three servers, whose leader ends sessions by its own clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from supervisor.core.cluster.requests import WRITES, Answer, Node, Request, Result, Verb
from supervisor.core.cluster.version_documents import CURRENT
from tests.core.cluster.simulated_zookeeper import Session, ZooKeeper

if TYPE_CHECKING:
    from tests.simulation.cluster.world import World

SERVERS = 3


@dataclass
class Server:
    """One server.  `old`: the nodes as it knows them while it is cut off from the others."""

    up: bool = True
    old: dict[str, Node] | None = None
    touched: dict[int, float] = field(default_factory=dict)


class Ensemble(ZooKeeper):
    """The servers and the person who writes to them.  The leader is none of `servers`: it hears of a follower's client
    with the follower's next ping, half a tick apart."""

    def __init__(self, world: World) -> None:
        super().__init__(world.granted, world.tick)
        self.world = world
        self.rate = 1.0 + world.dice.uniform(-0.0005, 0.0005)
        self.bucketed = world.dice.random() < 0.5
        self.servers = [Server() for _ in range(SERVERS)]
        self.outage = self.hasty = False
        """`hasty`: sessions end as early as they may: a tick before their timeout, since the client was served last."""
        self.served: dict[int, float] = {}
        self.since: dict[str, float] = {}
        """When each node was written last."""
        self.gone: dict[int, float] = {}
        """When each ephemeral node went, by the number that it was made under."""
        self.listeners: list[Callable[[int], None]] = []
        """Told when a server ends its connections."""
        self.person = 0
        self.zxid = 1 << 32
        self._serial = 0

    # -- sessions --------------------------------------------------------------------------------------------------

    def open(self, number: int, server: int) -> int:
        """A client connects; the number of its session, another one where it has ended."""
        session = self.sessions.get(number)
        if session is None or session.over:
            self._serial += 1
            session = Session(self.world.session_number(), self.granted, self.world.now)
            self.sessions[session.number] = session
            self.served[session.number] = self.world.now
            self._await(session)
        session.heard = self.served[session.number] = self.world.now
        return session.number

    def serve(self, server: int, number: int, request: Request) -> Answer | None:
        """What a server answers; None where it does not."""
        at, now = self.servers[server], self.world.now
        session = self.sessions.get(number)
        if self.outage or not at.up or session is None or session.over:
            return None
        if at.old is not None:
            return self._serve_old(at, request)
        if number not in at.touched:
            at.touched[number] = now
            period = self.tick / 2
            self.world.at((now // period + 1) * period, lambda: self._ping(at))
        at.touched[number] = self.served[number] = now
        if request.verb in WRITES:
            self.world.writes += 1
        result, node, names = self._done(number, request)
        if result is Result.DONE and request.verb in WRITES:
            self.since[request.path] = now
            if request.path == CURRENT:
                self.world.observer.recorded()
        self.deliver()
        return Answer(request, result, now, names, node)

    def _serve_old(self, at: Server, request: Request) -> Answer | None:
        """A server that is cut off from the others answers reads alone, from what it knows."""
        if request.verb in WRITES or at.old is None:
            return None
        before, self.nodes = self.nodes, at.old
        try:
            result, node, names = self._done(0, request)
        finally:
            self.nodes = before
        return Answer(request, result, self.world.now, names, node)

    def _ping(self, at: Server) -> None:
        if at.up and at.old is None and not self.outage:
            for number, moment in at.touched.items():
                if number in self.sessions:
                    self.sessions[number].heard = max(self.sessions[number].heard, moment)
        at.touched.clear()

    def _over_at(self, session: Session) -> float:
        due = session.heard + session.granted / self.rate
        if self.hasty:
            return min(due, self.served[session.number] + session.granted - 0.95 * self.tick)
        return (due // self.tick + 1) * self.tick if self.bucketed else due

    def _await(self, session: Session) -> None:
        """Look again when the session is over, unless the leader hears of it before."""
        self.world.at(self._over_at(session) + 1e-6, lambda: self._judge(session))

    def judge_all(self) -> None:
        for session in list(self.sessions.values()):
            self._judge(session, again=False)

    def _judge(self, session: Session, *, again: bool = True) -> None:
        if session.over:
            return
        if self.world.now >= self._over_at(session) and not self.outage:
            self.end(session.number)
        elif again:
            self.world.at(max(self._over_at(session), self.world.now + 0.2) + 1e-6, lambda: self._judge(session))

    def end(self, number: int) -> None:
        """The session is over: its nodes vanish."""
        session = self.sessions.pop(number, None)
        if session is None:
            return
        session.over = True
        self.served.pop(number, None)
        for path in [path for path, node in self.nodes.items() if node.session == number]:
            self._remove(path)
        for waiting in self.watches.values():
            waiting.discard(number)
        self.deliver()
        self.world.ended_session(number)

    def _remove(self, path: str) -> None:
        node = self.nodes[path]
        if node.session:
            self.gone[node.created] = self.world.now
        super()._remove(path)

    # -- faults ----------------------------------------------------------------------------------------------------

    def cut_server(self, server: int) -> None:
        """A server is cut off from the others: it answers reads until it notices, and then ends its connections."""
        at = self.servers[server]
        if not at.up or at.old is not None:
            return
        at.old = dict(self.nodes)
        at.touched.clear()
        self.world.later(self.world.dice.uniform(0.5, 2 * self.tick), lambda: self._drop(server))

    def _drop(self, server: int) -> None:
        at = self.servers[server]
        at.up, at.old = False, None
        for listener in self.listeners:
            listener(server)
        self.world.later(self.world.dice.uniform(0.5, 10.0), lambda: self._back(server))

    def _back(self, server: int) -> None:
        self.servers[server].up = True
        self.servers[server].touched.clear()

    def new_leader(self) -> None:
        """Sessions get their whole timeout again, and the number of writes jumps."""
        self.zxid = ((self.zxid >> 32) + 1) << 32
        for server in self.servers:
            server.touched.clear()
        for session in self.sessions.values():
            session.heard = self.served[session.number] = self.world.now

    def fall(self, seconds: float) -> None:
        """All servers are away; their return is the election of a leader."""
        if self.outage:
            return
        self.outage = True
        for number in range(SERVERS):
            for listener in self.listeners:
                listener(number)

        def rise() -> None:
            self.outage = False
            self.new_leader()

        self.world.later(seconds, rise)

    def lose_data(self) -> None:
        """All data is gone, sessions too."""
        for number in list(self.sessions):
            self.sessions.pop(number).over = True
            self.world.ended_session(number)
        self.served.clear()
        self.nodes.clear()
        self.watches.clear()
        self.zxid = ((self.zxid >> 32) + 1) << 32
        for number in range(SERVERS):
            for listener in self.listeners:
                listener(number)

    # -- words -----------------------------------------------------------------------------------------------------

    def deliver(self) -> None:
        """Tell the clients whose watches fired."""
        fired, self.fired = self.fired, []
        for number, verb, path in fired:
            self.world.fired(number, verb, path)

    def write(self, verb: Verb, path: str, data: str = "") -> None:
        """A person's write."""
        self._done(self.person, Request(verb, path, data))
        self.deliver()
