"""A user of the adapter of ZooKeeper, for tests: takes its events, and waits for what they tell."""

from __future__ import annotations

import queue
import time
from typing import TypeVar

from supervisor.adapters.zookeeper.client import Options, Session, ZooKeeper
from supervisor.adapters.zookeeper.events import Answered, Connected, Event
from supervisor.core.cluster.requests import Answer, Node, Request, Result, Verb

E = TypeVar("E", bound=Event)
LONGEST = 60.0


class User:
    """`events`: all that came so far."""

    def __init__(self, hosts: str, timeout: float = 4.0, session: Session | None = None, **more: str) -> None:
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.events: list[Event] = []
        options = Options(hosts, session_timeout=timeout, request_timeout=1.0, **more)
        self.zookeeper = ZooKeeper(options, self._queue.put, session)
        self.zookeeper.start()

    def until(self, kind: type[E], after: int = 0) -> E:
        """The first event of this kind after so many."""
        deadline = time.monotonic() + LONGEST
        while True:
            for event in self.events[after:]:
                if isinstance(event, kind):
                    return event
            self.events.append(self._queue.get(timeout=max(0.0, deadline - time.monotonic())))

    def connected(self, after: int = 0) -> Session:
        event = self.until(Connected, after)
        return Session(event.session, event.password)

    def ask(self, request: Request) -> Answer:
        number = self.zookeeper.send(request)
        return self.answer(number)

    def answer(self, number: int) -> Answer:
        after = 0
        while True:
            event = self.until(Answered, after)
            after = self.events.index(event, after) + 1
            if event.number == number:
                return event.answer

    def node(self, path: str) -> Node | None:
        answer = self.ask(Request(Verb.GET, path))
        assert answer.result in (Result.DONE, Result.NO_NODE), answer
        return answer.node
