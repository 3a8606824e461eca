"""A person's orders: their writes, whatever is answered, and their outcomes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from supervisor.core.cluster.documents import Owner, SlotRecord, dump, slot_record
from supervisor.core.cluster.local import Placed
from supervisor.core.cluster.orders import Known, Order, Orders
from supervisor.core.cluster.placement import Rules, Slot
from supervisor.core.cluster.requests import Answer, Node, Request, Result, Verb, owner_path, slot_path
from tests.core.cluster.simulated_zookeeper import ZooKeeper
from tests.core.cluster.test_agent import BEAT, ONE, Host, at_once, let_run

__all__ = ["at_once"]

WEB = Slot("web", 1)
KNOWN = Known({}, {}, frozenset({WEB}), frozenset({"a", "b"}), "b")


def carried_out(order: Order, known: Known = KNOWN, nodes: dict[str, Node] | None = None) -> tuple[ZooKeeper, Orders]:
    """The order against a ZooKeeper with these nodes, until it needs nothing more."""
    engine = ZooKeeper(zxid=100)
    engine.nodes = {f"/{name}": Node("", 0, 1) for name in ("moves", "drains", "members", "hosts", "slots")}
    engine.nodes |= nodes or {}
    session = engine.connect(0, 0.0)
    orders = Orders()
    orders.given([order])
    for _ in range(20):
        now_known = replace(known, nodes=engine.nodes)
        owners = {slot: node for slot, node in known.owners.items() if owner_path(*slot) in engine.nodes}
        request = orders.next_request(replace(now_known, owners=owners))
        if request is None:
            return engine, orders
        orders.answered(engine.carry_out(session, request, 0.0))
    raise AssertionError("it never ends")


def test_a_move_is_written_also_over_an_earlier_one() -> None:
    order = Order("1", "move", "b", WEB)
    for before in ({}, {"/moves/web@1": Node('{"node": "a"}', 3, 50)}):
        engine, orders = carried_out(order, nodes=before)
        assert json.loads(engine.nodes["/moves/web@1"].data) == {"node": "b"}
        assert orders.outcomes() == [{"id": "1", "done": True, "error": ""}]


def test_what_cannot_be_ordered_is_told() -> None:
    for order, error in (
        (Order("1", "move", "b", Slot("web", 7)), "no such slot"),
        (Order("1", "move", "b"), "no such slot"),
        (Order("1", "move", "z", WEB), "no host z has ever belonged to the cluster; known: a, b"),
        (Order("1", "undrain", "z"), "no host z has ever belonged to the cluster; known: a, b"),
        (Order("1", "drain", "z"), "no host z has ever belonged to the cluster; known: a, b"),
        (Order("1", "evict", "z"), "no host z has ever belonged to the cluster; known: a, b"),
        (Order("1", "summary", "z"), "no host z has ever belonged to the cluster; known: a, b"),
        (Order("1", "record", "z"), "no host z has ever belonged to the cluster; known: a, b"),
        (Order("1", "dance", "a"), "no such order: dance"),
    ):
        _, orders = carried_out(order)
        assert orders.outcomes() == [{"id": "1", "done": False, "error": error}]


def test_a_host_is_drained_and_released_whether_it_was_or_not() -> None:
    for before in ({}, {"/drains/a": Node("{}", 0, 50)}):
        engine, orders = carried_out(Order("1", "drain", "a"), nodes=before)
        assert "/drains/a" in engine.nodes and orders.outcomes()[0]["done"]
        engine, orders = carried_out(Order("1", "undrain", "a"), nodes=before)
        assert "/drains/a" not in engine.nodes and orders.outcomes()[0]["done"]
    # An evicted host belongs no more, and is drained.
    engine, orders = carried_out(Order("1", "undrain", "z"), nodes={"/drains/z": Node("{}", 0, 50)})
    assert "/drains/z" not in engine.nodes and orders.outcomes()[0]["done"]


def test_an_evicted_host_loses_its_slots_and_its_name_and_each_slot_is_marked() -> None:
    other = Slot("web", 2)
    nodes = {
        slot_path(*WEB): Node(dump(SlotRecord(60, "a", clean=True)), 4, 10),
        owner_path(*WEB): Node(dump(Owner("a", "m")), 0, 60, 7),
        slot_path(*other): Node(dump(SlotRecord(61, "b", clean=False)), 4, 11),
        owner_path(*other): Node(dump(Owner("b", "m")), 0, 61, 8),
        "/members/a": Node("", 0, 5, 7),
        "/hosts/a": Node("", 0, 5),
    }
    known = replace(KNOWN, owners={WEB: "a", other: "b", Slot("gone", 0): "a"})
    engine, orders = carried_out(Order("1", "evict", "a"), known, nodes)
    assert orders.outcomes()[0]["done"]
    assert owner_path(*WEB) not in engine.nodes and owner_path(*other) in engine.nodes
    record = slot_record(engine.nodes[slot_path(*WEB)].data)
    assert record.evicted and not record.clean and record.epoch == 60
    assert "/members/a" not in engine.nodes and "/hosts/a" not in engine.nodes and "/drains/a" in engine.nodes


@pytest.mark.parametrize(("size", "told"), [(64 * 1024, {"n": 1}), (64 * 1024 + 1, None)])
def test_what_a_host_has_told_is_read_up_to_64_kib(size: int, told: object) -> None:
    text = '{"n":1' + " " * (size - 7) + "}"
    nodes = {"/status/a": Node("{}", 0, 5), "/incidents/a": Node(text, 0, 5)}
    _, orders = carried_out(Order("1", "record", "a"), nodes=nodes)
    found: Any = orders.outcomes()[0].get("record")
    assert len(text) == size and found["record"] == told


def test_what_a_host_has_told_is_read_whatever_it_holds_and_its_age_is_by_the_servers_clock() -> None:
    nodes = {
        "/status/a": Node('{"ready":2}', 0, 5, modified=1000.0),
        "/status/b": Node("{}", 0, 6, modified=1012.5),
        "/incidents/a": Node("not json", 0, 5),
    }
    for verb, told in (
        ("summary", {"summary": {"ready": 2}, "age_s": 12.5}),
        ("record", {"summary": {"ready": 2}, "record": None, "age_s": 12.5}),
    ):
        _, orders = carried_out(Order("1", verb, "a"), nodes=nodes)
        assert orders.outcomes()[0].get("record") == told
    _, orders = carried_out(Order("1", "record", "a"), nodes={"/status/a": nodes["/status/a"]})
    assert orders.outcomes()[0].get("record") == {"summary": {"ready": 2}, "record": None, "age_s": 0.0}


def test_an_unanswered_step_is_repeated_and_a_refused_one_ends_the_order() -> None:
    orders = Orders()
    orders.given([Order("1", "drain", "a")])
    step = orders.next_request(KNOWN)
    assert step == Request(Verb.CREATE, "/drains/a", "{}")
    orders.answered(Answer(Request(Verb.GET, "/other"), Result.DONE, 0.0))
    orders.answered(Answer(step, Result.UNKNOWN, 0.0))
    assert orders.next_request(KNOWN) == step
    orders.answered(Answer(step, Result.REFUSED, 0.0, reason="an ACL"))
    assert orders.next_request(KNOWN) is None
    assert orders.outcomes() == [{"id": "1", "done": False, "error": "an ACL"}]
    orders.given([])
    assert orders.outcomes() == [] and orders.next_request(KNOWN) is None


def test_a_move_that_was_removed_while_it_was_written_is_written_again() -> None:
    orders = Orders()
    orders.given([Order("1", "move", "b", WEB)])
    create = orders.next_request(KNOWN)
    assert create is not None
    orders.answered(Answer(create, Result.EXISTS, 0.0))
    write = orders.next_request(KNOWN)
    assert write is not None and write.verb is Verb.SET
    orders.answered(Answer(write, Result.NO_NODE, 0.0))
    assert orders.next_request(KNOWN) == create
    orders.answered(Answer(create, Result.DONE, 0.0))
    assert orders.next_request(KNOWN) is None and orders.outcomes()[0]["done"]


def test_what_is_too_long_or_no_sense_is_not_passed_on() -> None:
    order = Order("1", "summary", "a")
    for text in ('"' + "x" * 100_000 + '"', "[" * 50_000, "NaN"):
        _, orders = carried_out(order, nodes={"/status/a": Node(text, 0, 1), "/status/b": Node("{}", 0, 1)})
        (outcome,) = orders.outcomes()
        assert outcome["done"] and outcome["record"]["summary"] is None


def test_a_move_to_a_host_without_a_required_label_is_refused_with_the_reason() -> None:
    """It would be followed only if the host got the label, long after the command has given up."""
    engine = ZooKeeper()
    fast = Placed(Rules("beat", require={"disk": "ssd"}), "d1", 3.0)
    here, there, other = Host("a", engine, fast), Host("b", engine, fast), Host("c", engine, fast)
    for host, labels in ((here, {"disk": "ssd"}), (there, {}), (other, {"disk": "ssd"})):
        host.agent.settings = host.agent.settings._replace(labels=labels)
    now, seen = let_run([here, there, other], engine, 100.0, 10.0)
    assert seen[-1] == {"a"}
    here.more = {"orders": (Order("1", "move", "b", BEAT), Order("2", "move", "c", BEAT))}
    now, seen = let_run([here, there, other], engine, now, 3.0)
    assert here.agent.orders.outcomes() == [
        {"id": "1", "done": False, "error": "beat cannot run on b: it has not the label disk = ssd"},
        {"id": "2", "done": True, "error": ""},
    ]
    assert seen[-1] == {"c"} and "/moves/beat@0" not in engine.nodes


def test_a_move_goes_by_the_rules_of_the_present_owner() -> None:
    """They count where this host has other ones; and a host that is away may come back with the label."""
    engine = ZooKeeper()
    owner = Host("a", engine, ONE)
    now, _ = let_run([owner], engine, 100.0, 10.0)
    strange = Host("b", engine, Placed(Rules("beat", require={"disk": "ssd"}), "d2", 3.0))
    strange.more = {"orders": (Order("1", "move", "a", BEAT),)}
    now, _ = let_run([owner, strange], engine, now, 3.0)
    assert strange.agent.orders.outcomes() == [{"id": "1", "done": True, "error": ""}]
    strange.cut = True
    now, _ = let_run([owner, strange], engine, now, 15.0)
    assert "b" not in owner.agent.facts.members()
    owner.more = {"orders": (Order("1", "move", "b", BEAT),)}
    let_run([owner, strange], engine, now, 3.0)
    assert owner.agent.orders.outcomes() == [{"id": "1", "done": True, "error": ""}]
