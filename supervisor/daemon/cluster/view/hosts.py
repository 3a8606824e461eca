"""What the other hosts have published, read by the agent on request: nothing is read at rest.

The agent gets one order to read at a time, so that its message stays small; requests for the same that come during that
time share the answer.  Where no answer comes in time, what was read before is shown, with its age.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from supervisor.core.cluster.hosts import Told, host_detail, host_view, hosts_view, members, nothing, told
from supervisor.daemon.cluster.orders import Orders
from supervisor.daemon.parts import Parts

if TYPE_CHECKING:
    from supervisor.adapters.eventloop.loop import Timer
    from supervisor.core.model.cluster_documents import ClusterWord, OrderOutcome
    from supervisor.core.model.host_documents import HostDetail, HostsView
    from supervisor.daemon.cluster.view.record import OwnRecord

LONGEST = 3.0
"""Seconds that an answer is waited for."""
SUMMARY, RECORD = "summary", "record"
Key = tuple[str, str]
"""What is read (SUMMARY, RECORD), and of which host."""


class Hosts:
    """`node`: this host; `tell()`: sends the orders to the agent."""

    def __init__(self, parts: Parts, node: str, own: OwnRecord, orders: Orders, tell: Callable[[], None]) -> None:
        self._parts, self._node, self._own, self._orders, self._tell = parts, node, own, orders, tell
        self._queue: dict[Key, list[_Question]] = {}
        self._asked: tuple[Key, str] | None = None
        self._seen: dict[str, tuple[Told, float]] = {}

    def all(self, word: ClusterWord | None, heard_at: float, done: Callable[[HostsView], None]) -> None:
        """All hosts.  `word`: the agent's last message, which came at `heard_at`."""
        known = members(word, self._node)
        self._seen = {node: seen for node, seen in self._seen.items() if node in known}

        def answer(found: dict[Key, Told]) -> None:
            wall, age = self._parts.wall_clock(), self._parts.now() - heard_at if word is not None else 0.0
            views = [host_view(one, self._known(SUMMARY, node, found), wall) for node, one in known.items()]
            done(hosts_view(word, self._node, age, views))

        self._ask([(SUMMARY, node) for node in known if node != self._node], word, answer)

    def one(self, node: str, word: ClusterWord | None, done: Callable[[HostDetail], None]) -> None:
        """One host, with its record."""
        member = members(word, self._node).get(node, nothing(node))

        def answer(found: dict[Key, Told]) -> None:
            done(host_detail(member, self._known(RECORD, node, found), self._parts.wall_clock()))

        self._ask([(RECORD, node)] if node != self._node else [], word, answer)

    def close(self) -> None:
        for question in {id(one): one for waiting in self._queue.values() for one in waiting}.values():
            question.timer.cancel()

    # -- the agent ---------------------------------------------------------------------------------------------------

    def _ask(self, keys: Iterable[Key], word: ClusterWord | None, answer: Callable[[dict[Key, Told]], None]) -> None:
        keys = list(keys)
        if not keys or word is None or word["engine"]["state"] == "away":
            error = "ZooKeeper does not answer" if word is not None else "the agent of this host has said nothing yet"
            answer({key: Told(error=error) for key in keys})
            return
        question = _Question(keys, answer)
        question.timer = self._parts.loop.call_at(self._parts.now() + LONGEST, partial(self._give_up, question))
        for key in keys:
            self._queue.setdefault(key, []).append(question)
        self._next()

    def _next(self) -> None:
        if self._asked is None and self._queue:
            key = next(iter(self._queue))
            self._asked = key, self._orders.read(*key, partial(self._answered, key))
            self._tell()

    def _answered(self, key: Key, outcome: OrderOutcome) -> None:
        self._asked = None
        found = told(outcome)
        if found.summary is not None:
            self._seen[key[1]] = found._replace(record=None), self._parts.now()
        for question in self._queue.pop(key, ()):
            question.take(key, found)
        self._next()

    def _give_up(self, question: _Question) -> None:
        for key in list(self._queue):
            if question in self._queue[key]:
                self._queue[key].remove(question)
            if not self._queue[key]:
                del self._queue[key]
                if self._asked is not None and self._asked[0] == key:
                    self._orders.drop(self._asked[1])
                    self._asked = None
        question.give_up("the agent of this host has not answered in time")
        self._next()

    def _known(self, what: str, node: str, found: dict[Key, Told]) -> Told:
        """What was read now, of this host what it would tell, else what was read before."""
        if node == self._node:
            return Told(self._own.summary, self._own.record if what == RECORD else None, 0.0)
        answer = found[what, node]
        if answer.error and node in self._seen:
            seen, at = self._seen[node]
            return seen._replace(age=round((seen.age or 0.0) + self._parts.now() - at, 3), error=answer.error)
        return answer


class _Question:
    """Asked of the agent; `answer` is called once, with what was told of each key."""

    timer: Timer

    def __init__(self, keys: Iterable[Key], answer: Callable[[dict[Key, Told]], None]) -> None:
        self._open, self._answer = set(keys), answer
        self._found: dict[Key, Told] = {}

    def take(self, key: Key, found: Told) -> None:
        self._open.discard(key)
        self._found[key] = found
        if not self._open:
            self.timer.cancel()
            self._answer(self._found)

    def give_up(self, error: str) -> None:
        self._answer({**self._found, **{key: Told(error=error) for key in self._open}})
