"""ZooKeeper as the agents see it: sessions that end by the servers' clock, nodes with versions, and watches."""

from __future__ import annotations

from dataclasses import dataclass, field

from supervisor.core.cluster.requests import Answer, Node, Request, Result, Verb


@dataclass
class Session:
    number: int
    granted: float
    heard: float
    over: bool = False


@dataclass
class ZooKeeper:
    """One ensemble; `zxid` counts its writes.  Moments are seconds of one clock."""

    granted: float = 10.0
    tick: float = 2.0
    zxid: int = 0
    nodes: dict[str, Node] = field(default_factory=dict)
    sessions: dict[int, Session] = field(default_factory=dict)
    watches: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    fired: list[tuple[int, Verb, str]] = field(default_factory=list)

    def connect(self, number: int, now: float) -> int:
        """The number of the session: the same where it still lives."""
        session = self.sessions.get(number)
        if session is None or session.over:
            session = Session(len(self.sessions) + 1, self.granted, now)
            self.sessions[session.number] = session
        session.heard = now
        return session.number

    def expire(self, now: float) -> None:
        """End the sessions that were silent for their timeout; a server looks once a tick."""
        for session in self.sessions.values():
            if not session.over and now >= session.heard + session.granted:
                session.over = True
                for path in [p for p, node in self.nodes.items() if node.session == session.number]:
                    self._remove(path)

    def carry_out(self, session: int, request: Request, now: float) -> Answer:
        """What a server answers; the answer's `sent` is to be replaced by the client."""
        own = self.sessions[session]
        assert not own.over
        own.heard = now
        result, node, names = self._done(session, request)
        return Answer(request, result, now, names, node)

    def _done(self, session: int, request: Request) -> tuple[Result, Node | None, tuple[str, ...]]:
        path, node = request.path, self.nodes.get(request.path)
        match request.verb:
            case Verb.GET:
                self.watches.setdefault((Verb.GET, path), set()).add(session)
                return (Result.DONE if node else Result.NO_NODE), node, ()
            case Verb.CHILDREN:
                if node is None:
                    return Result.NO_NODE, None, ()
                self.watches.setdefault((Verb.CHILDREN, path), set()).add(session)
                below = f"{path}/"
                names = (p[len(below) :] for p in self.nodes if p.startswith(below))
                return Result.DONE, None, tuple(sorted(name for name in names if "/" not in name))
            case Verb.CREATE | Verb.CREATE_EPHEMERAL:
                if node is not None:
                    return Result.EXISTS, None, ()
                parent = path.rpartition("/")[0]
                if parent and parent not in self.nodes:
                    return Result.NO_NODE, None, ()
                self.zxid += 1
                keeper = session if request.verb is Verb.CREATE_EPHEMERAL else 0
                self.nodes[path] = Node(request.data, 0, self.zxid, keeper)
                self._fire(path, parent)
        if request.verb in (Verb.SET, Verb.DELETE):
            if node is None:
                return Result.NO_NODE, None, ()
            if request.guard and self.nodes[request.guard].version != request.guard_version:
                return Result.BAD_VERSION, None, ()
            if request.version not in (-1, node.version):
                return Result.BAD_VERSION, None, ()
            self.zxid += 1
            if request.verb is Verb.DELETE:
                self._remove(path)
            else:
                self.nodes[path] = node._replace(data=request.data, version=node.version + 1)
                self._fire(path)
        return Result.DONE, None, ()

    def _remove(self, path: str) -> None:
        del self.nodes[path]
        self._fire(path, path.rpartition("/")[0])

    def _fire(self, path: str, parent: str = "") -> None:
        for key in ((Verb.GET, path), (Verb.CHILDREN, parent)):
            for session in self.watches.pop(key, ()):
                self.fired.append((session, key[0], key[1]))
