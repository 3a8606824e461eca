"""What is read of other hosts when somebody asks: one order at a time, shared, and given up when no answer comes."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from supervisor.core.model.cluster_documents import ClusterWord
from supervisor.core.model.host_documents import HostDetail, HostsView
from supervisor.daemon.cluster.orders import Orders
from supervisor.daemon.cluster.view.hosts import LONGEST, Hosts

SUMMARY: dict[str, Any] = {"wanted": 1, "ready": 1, "missing": 0, "instances": [], "left_out": 0}
RECORD: dict[str, Any] = {"stories": [], "events": [], "left_out": 0}


def member(node: str) -> dict[str, Any]:
    return {"node": node, "here": True, "drained": False, "taking": True, "reason": "", "slots": []}


def word(state: str = "connected") -> ClusterWord:
    found: Any = {"members": [member("a"), member("b"), member("c")], "engine": {"state": state}, "nowhere": []}
    found |= {"leases": [], "elsewhere": []}
    return cast("ClusterWord", found)


class Daemon:
    """Its clock, its orders, and an agent that a test lets answer."""

    def __init__(self) -> None:
        self.moment, self.told = 1000.0, 0
        self.timers = list[tuple[float, Callable[[], None]]]()
        parts: Any = SimpleNamespace(
            now=lambda: self.moment, wall_clock=lambda: 1_700_000_000.0, loop=SimpleNamespace(call_at=self.call_at)
        )
        self.orders = Orders()
        own: Any = SimpleNamespace(summary=SUMMARY, record=RECORD)
        self.hosts = Hosts(parts, "a", own, self.orders, self.tell)
        self.views, self.details = list[HostsView](), list[HostDetail]()

    def call_at(self, when: float, callback: Callable[[], None]) -> Any:
        timer = when, callback
        self.timers.append(timer)
        return SimpleNamespace(cancel=lambda: self.timers.remove(timer))

    def tell(self) -> None:
        self.told += 1

    def open(self) -> list[tuple[str, str]]:
        return [(str(one["verb"]), one["node"]) for one in self.orders.open()]

    def answer(self, age: float = 0.5, error: str = "") -> None:
        """The agent carries out what is listed."""
        (order,) = self.orders.open()
        outcome: Any = {"id": order["id"], "done": not error, "error": error}
        if not error:
            outcome["record"] = {"summary": SUMMARY, "record": RECORD, "age_s": age}
        self.orders.ended([outcome])

    def later(self) -> None:
        self.moment, callback = self.timers.pop(0)
        callback()

    def all(self, said: ClusterWord | None) -> None:
        self.hosts.all(said, self.moment - 0.25, self.views.append)


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


def test_all_hosts_are_read_one_after_the_other(daemon: Daemon) -> None:
    daemon.all(word())
    assert daemon.open() == [("summary", "b")] and daemon.told == 1
    daemon.answer(0.5)
    assert daemon.open() == [("summary", "c")] and daemon.views == []
    daemon.answer(34.0)
    assert [(one["node"], one["age_s"]) for one in daemon.views[0]["hosts"]] == [("a", 0.0), ("b", 0.5), ("c", 34.0)]
    assert daemon.views[0]["agent_age_s"] == 0.25
    assert daemon.open() == daemon.timers == [] and daemon.orders.outcome("1") is None


def test_who_asks_for_the_same_meanwhile_shares_the_answer(daemon: Daemon) -> None:
    daemon.all(word())
    daemon.all(word())
    daemon.hosts.one("b", word(), daemon.details.append)
    daemon.answer()
    daemon.answer()
    assert len(daemon.views) == 2 and daemon.open() == [("record", "b")]
    daemon.answer()
    assert daemon.details[0]["record"] == RECORD and daemon.open() == daemon.timers == []


def test_this_host_is_not_read(daemon: Daemon) -> None:
    daemon.hosts.one("a", word(), daemon.details.append)
    assert (daemon.details[0]["record"], daemon.details[0]["age_s"], daemon.open()) == (RECORD, 0.0, [])


@pytest.mark.parametrize(("said", "error"), [(None, "has said nothing yet"), (word("away"), "does not answer")])
def test_without_zookeeper_what_was_read_before_is_shown_with_its_age(
    daemon: Daemon, said: ClusterWord | None, error: str
) -> None:
    daemon.all(word())
    daemon.answer(0.5)
    daemon.answer(error="an ACL")
    daemon.moment += 10.0
    daemon.hosts.one("b", said, daemon.details.append)
    assert daemon.details[0]["age_s"] == 10.5 and error in daemon.details[0]["error"]
    assert daemon.details[0]["summary"] == SUMMARY and daemon.details[0]["record"] is None
    daemon.hosts.one("c", said, daemon.details.append)
    assert daemon.details[1]["summary"] is None and daemon.details[1]["age_s"] is None


def test_an_agent_that_does_not_answer_is_not_waited_for(daemon: Daemon) -> None:
    daemon.all(word())
    daemon.moment += 1.0
    daemon.hosts.one("c", word(), daemon.details.append)
    daemon.answer(0.5)
    assert daemon.open() == [("summary", "c")]
    daemon.later()
    assert daemon.moment == 1000.0 + LONGEST
    errors = [one["error"] for one in daemon.views[0]["hosts"]]
    assert errors == ["", "", "the agent of this host has not answered in time"]
    assert daemon.open() == [("record", "c")], "what another has asked for goes on"
    daemon.orders.ended([{"id": "2", "done": True, "error": ""}])  # late
    daemon.answer()
    assert len(daemon.details) == 1 and daemon.open() == daemon.timers == []


def test_the_end_leaves_no_timer(daemon: Daemon) -> None:
    daemon.all(word())
    daemon.hosts.close()
    assert daemon.timers == []
