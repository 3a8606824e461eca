"""The words between agent and daemon."""

from __future__ import annotations

import json
from typing import Any

import pytest

from supervisor.core.cluster import word
from supervisor.core.cluster.agent import Agent
from supervisor.core.cluster.local import Local, Placed, Present, Settings
from supervisor.core.cluster.orders import Order
from supervisor.core.cluster.placement import Rules, Slot
from supervisor.core.cluster.requests import DRAINS, Request, Result, Verb
from supervisor.core.model.cluster_documents import ClusterAnswer, ClusterWord, PlacedInstance, PlacedService
from tests.core.cluster.simulated_zookeeper import ZooKeeper
from tests.core.cluster.test_agent import BEAT, ONE, Host, asked, at_once, hosts, let_run, refuse

__all__ = ["at_once"]

SERVICE: dict[str, Any] = {
    "service": "web", "mode": "spread", "instances": 2, "require": {"zone": "a"}, "prefer": {}, "apart": "zone",
    "digest": "d", "stop_timeout": 2.0, "wanted": True, "completes": False,
}  # fmt: skip
INSTANCE: dict[str, Any] = {
    "name": "web@2", "service": "web", "slot": 1, "epoch": None, "gone": True, "completed": False, "ready": False,
}  # fmt: skip
ANSWER: dict[str, Any] = {
    "heard": 41.5, "able": False, "reason": "why", "services": [SERVICE], "instances": [INSTANCE],
    "orders": [
        {"id": "1", "verb": "move", "node": "b", "service": "web", "slot": 1},
        {"id": "2", "verb": "drain", "node": "b"},
        {"id": "3", "verb": "move", "node": "b", "service": "web"},
    ],
    "status": {"ready": 1}, "incidents": {"stories": []}, "share": {"serial": "r.1", "takes": ["web"]},
}  # fmt: skip


def test_the_answer_of_the_daemon_is_read() -> None:
    rules = Rules("web", 2, {"zone": "a"}, {}, "zone")
    orders = (
        Order("1", "move", "b", Slot("web", 1)),
        Order("2", "drain", "b"),
        Order("3", "move", "b", Slot("web", 0)),
    )
    assert word.local(ANSWER) == Local(
        (Placed(rules, "d", 2.0),), {Slot("web", 1): Present(0, gone=True)}, False, "why", orders,
        '{"ready":1}', '{"stories":[]}', 41.5,
        {"offers": {}, "takes": ["web"], "serial": "r.1", "settled": {}},
    )  # fmt: skip
    assert word.tree_names(ANSWER) == {Slot("web", 1): "web@2"}
    bare = word.local({**ANSWER, "status": {}, "incidents": {}})
    assert (bare.status, bare.incidents) == ("", ""), "there was no room for them"
    one = word.local({**ANSWER, "services": [{**SERVICE, "mode": "one"}]})
    assert one.services[0].rules.slots == 1


@pytest.mark.parametrize("lacking", ["able", "services", "instances", "reason", "status", "incidents"])
def test_an_answer_that_lacks_something_is_none(lacking: str) -> None:
    with pytest.raises(KeyError):
        word.local({key: value for key, value in ANSWER.items() if key != lacking})


def test_what_a_host_tells_is_bounded() -> None:
    long = {"x": "y" * 100_000}
    found = word.local({**ANSWER, "status": long, "incidents": long})
    assert json.loads(found.status) == json.loads(found.incidents) == {"too_long": 100_008}
    assert word.local({**ANSWER, "incidents": {}}).incidents == ""


def test_the_word_tells_where_each_slot_is() -> None:
    engine = ZooKeeper()
    two = hosts(engine, "a", "b")
    now, _ = let_run(two, engine, 100.0, 5.0)
    a, b = (word.word(one.agent, now, 99.0, "") for one in two)
    assert [(one["service"], one["epoch"], one["released"]) for one in a["leases"]] == [("beat", two[0].epoch, False)]
    assert a["elsewhere"] == [] and a["nowhere"] == [] and a["believe_s"] == 9.0
    assert b["leases"] == [] and b["elsewhere"] == [{"service": "beat", "slot": 0, "node": "a"}]
    assert b["engine"] == {"state": "connected", "since": 99.0, "reason": "", "session": "2", "granted": 10.0}
    assert [(one["node"], one["slots"], one["taking"]) for one in b["members"]] == [
        ("a", ["beat"], True),
        ("b", [], True),
    ]


def test_the_word_tells_why_a_slot_is_nowhere() -> None:
    engine = ZooKeeper()
    agent = Agent(Settings("a"), "m")
    assert word.word(agent, 100.0, 90.0, "no route")["engine"]["reason"] == "no route"
    agent.told(Local((ONE,)), 100.0)
    nowhere = word.word(agent, 100.0, 90.0, "no route")["nowhere"]
    assert nowhere == [{"service": "beat", "slot": 0, "reason": "ZooKeeper has not answered yet"}]
    host = Host("a", engine)
    host.session = engine.connect(0, 100.0)
    host.agent.connected(host.session, 10.0)
    host.agent.told(Local((ONE,), {BEAT: Present(0, gone=True)}), 100.0)
    refuse(host, 100.0, Result.UNKNOWN, Verb.CHILDREN, "/members")
    assert word.word(host.agent, 100.0, 90.0, "")["nowhere"][0]["reason"] == "no host is there"
    asked(host, 100.0)
    engine.carry_out(host.session, Request(Verb.CREATE, f"{DRAINS}/a"), 100.0)
    host.gone = True
    now, _ = let_run([host], engine, 100.0, 3.0)
    told = word.word(host.agent, now, 90.0, "")
    assert told["nowhere"] == [{"service": "beat", "slot": 0, "reason": "a: it is drained"}]
    assert told["members"][0]["drained"] and not told["members"][0]["taking"]
    host.agent.changed(Verb.CHILDREN, DRAINS)
    engine.carry_out(host.session, Request(Verb.DELETE, f"{DRAINS}/a"), now)
    assert host.agent.next_request(now) is not None
    while (request := host.agent._out) is not None and request.path != DRAINS:
        host.agent.answered(engine.carry_out(host.session, request, now), now)
        host.agent.next_request(now)
    assert request is not None
    host.agent.answered(engine.carry_out(host.session, request, now), now)
    assert word.word(host.agent, now, 90.0, "")["nowhere"][0]["reason"] == "it is being taken"


def test_the_word_tells_that_a_cluster_gathers_its_hosts() -> None:
    host = Host("a", ZooKeeper())
    now, _ = let_run([host], host.engine, 100.0, 1.0)
    reason = word.word(host.agent, now, 90.0, "")["nowhere"][0]["reason"]
    assert reason.startswith("the cluster begins: for a few seconds other hosts are awaited")


def test_a_slot_whose_lease_is_to_end_while_zookeeper_is_away_is_nowhere() -> None:
    (host,) = hosts(ZooKeeper(), "a")
    now, _ = let_run([host], host.engine, 100.0, 3.0)
    assert not word.word(host.agent, now, 90.0, "")["nowhere"]
    host.agent.told(Local(host.services, {BEAT: Present(host.epoch, host.gone)}), now + 7.0)
    found = word.word(host.agent, now + 7.0, 90.0, "")["nowhere"]
    assert [one["reason"] for one in found] == ["ZooKeeper does not answer"]


def test_a_host_that_is_not_there_is_listed() -> None:
    engine = ZooKeeper()
    two = hosts(engine, "a", "b")
    now, _ = let_run(two, engine, 100.0, 3.0)
    two[1].cut = True
    now, _ = let_run(two, engine, now, 20.0)
    there = word.word(two[0].agent, now, 90.0, "")["members"][1]
    assert (there["node"], there["here"], there["taking"], there["reason"]) == ("b", False, False, "it is not there")


def test_what_other_members_share_is_told_once_all_is_read() -> None:
    engine = ZooKeeper()
    two = hosts(engine, "a", "b")
    assert word.word(two[0].agent, 100.0, 90.0, "")["hosts"] is None
    told: Any = {"offers": {"web": [["web@1", 1, 8001]]}, "takes": ["web"], "serial": "r.1", "settled": {}}
    two[1].more = {"share": told}
    now, _ = let_run(two, engine, 100.0, 3.0)
    assert word.word(two[0].agent, now, 90.0, "")["hosts"] == [{"node": "b", "address": "", "share": told}]
    assert word.word(two[1].agent, now, 90.0, "")["hosts"] == [{"node": "a", "address": "", "share": {}}]


def test_what_members_share_has_to_fit_into_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word, "HOSTS_BYTES", 100)
    engine = ZooKeeper()
    three = hosts(engine, "a", "b", "c")
    for one in three[1:]:
        one.more = {"share": {"takes": ["web"], "serial": "r.1", "offers": {}, "settled": {}}}
    now, _ = let_run(three, engine, 100.0, 4.0)
    said = word.word(three[0].agent, now, 90.0, "")
    told = said["hosts"]
    assert told is not None and [bool(one["share"]) for one in told] == [True, False]
    assert said["problems"] == ["there is no room for the balanced instances of 1 hosts, which get no requests: c …"], (
        "a person is told"
    )


def test_zookeeper_is_away_after_three_contacts_and_a_lost_request() -> None:
    (host,) = hosts(ZooKeeper(), "a")
    let_run([host], host.engine, 100.0, 3.0)
    assert host.agent.contact is not None
    last = host.agent.contact.sent
    assert not host.agent.away(last + 3.9) and host.agent.away(last + 4.1)


@pytest.mark.parametrize("number", [20, 21])
def test_so_many_problems_are_told(number: int) -> None:
    (host,) = hosts(ZooKeeper(), "a")
    now, _ = let_run([host], host.engine, 100.0, 3.0)
    assert word.word(host.agent, now, 90.0, "")["problems"] == []
    host.agent.problems |= {str(n): f"problem {n:02}" for n in range(number)}
    assert word.word(host.agent, now, 90.0, "")["problems"] == [f"problem {n:02}" for n in range(20)]


def test_a_refusal_is_the_state_of_the_engine() -> None:
    host = Host("a", ZooKeeper())
    now, _ = let_run([host], host.engine, 100.0, 3.0)
    host.agent.changed(Verb.CHILDREN, DRAINS)
    refuse(host, now, Result.REFUSED, Verb.CHILDREN, DRAINS)
    assert word.word(host.agent, now, 90.0, "")["engine"]["state"] == "refused"


def test_the_words_have_the_keys_of_their_documents() -> None:
    said = word.word(hosts(ZooKeeper(), "a")[0].agent, 1.0, 0.0, "")
    assert set(said) == set(ClusterWord.__annotations__) - {"pushed"}, "which the agent's process adds"
    assert set(ANSWER) == set(ClusterAnswer.__annotations__) - {"pushed", "pushes"}, "which push_word.py reads"
    assert set(SERVICE) == set(PlacedService.__annotations__) and set(INSTANCE) == set(PlacedInstance.__annotations__)
