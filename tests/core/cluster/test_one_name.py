"""Two hosts of one name: the one that came later changes nothing, and says so."""

from __future__ import annotations

from typing import Any

from supervisor.core.cluster import word
from supervisor.core.cluster.agent import Agent
from supervisor.core.cluster.orders import Order
from supervisor.core.cluster.requests import DRAINS, Node, Request, Verb
from tests.core.cluster.simulated_zookeeper import ZooKeeper
from tests.core.cluster.test_agent import BEAT, ONE, Host, at_once, let_run
from tests.core.cluster.test_pushes import World

__all__ = ["at_once"]

FIRST: dict[str, Any] = {"status": '{"of":"first"}', "incidents": '{"of":"first"}'}
SECOND: dict[str, Any] = {"status": '{"of":"second"}', "incidents": '{"of":"second"}'}


def two_of_one_name(seconds: float = 20.0) -> tuple[ZooKeeper, Host, Host, float]:
    engine = ZooKeeper()
    first, second = Host("a", engine), Host("a", engine)
    second.agent.mark = "mark of the second"
    first.agent = Agent(first.agent.settings._replace(address="10.0.0.1:9"), "mark of the first")
    first.more, second.more = FIRST, SECOND
    now, _ = let_run([first], engine, 100.0, 5.0)
    now, _ = let_run([first, second], engine, now, seconds)
    return engine, first, second, now


def kept(engine: ZooKeeper) -> dict[str, str]:
    return {path: node.data for path, node in engine.nodes.items() if not path.startswith("/slots")}


def test_the_later_one_writes_nothing_under_the_name() -> None:
    """Else other hosts are shown now the one, now the other, and learn of failures that the host never had."""
    engine, first, second, now = two_of_one_name()
    before = kept(engine)
    assert before["/status/a"] == before["/incidents/a"] == '{"of":"first"}' and "10.0.0.1:9" in before["/hosts/a"]
    first.more = {**FIRST, "status": '{"of":"first","run":2}'}
    second.more = {**SECOND, "incidents": '{"of":"second","run":2}'}
    let_run([first, second], engine, now, 5.0)
    assert kept(engine) == {**before, "/status/a": '{"of":"first","run":2}'}
    assert "another host bears the name a (session 1, 10.0.0.1:9)" in second.agent.doubled()
    assert not first.agent.doubled() and first.agent.leases(now) and not second.agent.leases(now)


def test_its_session_lives_all_the_same_and_it_becomes_the_member_when_the_first_one_is_gone() -> None:
    engine, first, second, now = two_of_one_name()
    assert not second.agent.away(now) and not engine.sessions[second.session].over
    first.cut = True
    now, seen = let_run([first, second], engine, now, 20.0)
    assert not second.agent.doubled() and second.agent.leases(now) and seen[-1] == {"a"}
    assert kept(engine)["/status/a"] == kept(engine)["/incidents/a"] == '{"of":"second"}'


def test_it_tells_of_each_slot_why_it_is_not_here() -> None:
    """One that the first one holds is not here for the name; one that nobody holds has the reasons of the hosts."""
    engine, first, second, now = two_of_one_name()
    (held,) = word.word(second.agent, now, 90.0, "")["nowhere"]
    assert held["reason"] == second.agent.doubled() != ""
    engine.carry_out(first.session, Request(Verb.CREATE, f"{DRAINS}/a"), now)
    now, _ = let_run([first, second], engine, now, 10.0)
    (free,) = word.word(second.agent, now, 90.0, "")["nowhere"]
    assert free["reason"] == "a: it is drained" and second.agent.doubled()


def test_a_status_is_written_as_soon_as_the_name_is_ones_own_and_not_before_the_daemon_has_spoken() -> None:
    engine = ZooKeeper()
    host = Host("a", engine)
    host.speaks = False
    let_run([host], engine, 100.0, 3.0)
    assert "/status/a" not in engine.nodes and not host.agent.away(103.0)
    host.speaks, host.more = True, FIRST
    let_run([host], engine, 103.0, 0.1)
    assert kept(engine)["/status/a"] == '{"of":"first"}'


def test_persons_can_read_there_and_order_nothing() -> None:
    """An `evict a` that is typed there would take the other host out."""
    engine, first, second, now = two_of_one_name(1.0)
    orders = (Order("1", "evict", "a"), Order("2", "summary", "a"), Order("3", "move", "a", BEAT))
    second.more = {**SECOND, "orders": orders}
    now, _ = let_run([first, second], engine, now, 1.0)
    assert [one["id"] for one in second.agent.orders.outcomes()] == ["2"], "the name may still become its own"
    assert second.agent.orders.outcomes()[0]["record"]["summary"] == {"of": "first"}
    now, _ = let_run([first, second], engine, now, 20.0)
    told = {one["id"]: one for one in second.agent.orders.outcomes()}
    assert all("another host bears the name a" in told[number]["error"] for number in ("1", "3"))
    assert "/drains/a" not in engine.nodes and "/moves/beat@0" not in engine.nodes
    assert engine.nodes["/members/a"].session == first.session


def test_it_neither_pushes_nor_leads_a_push() -> None:
    world = World("ab")
    world.turns(20)
    there = world.there()
    doubled = there._replace(doubled=True)
    order = world.push("one", "a")
    order.hear()
    for _ in range(20):
        request = order.pushes.next_request(doubled, world.now)
        assert request is None or request.verb in (Verb.GET, Verb.CHILDREN), request
        if request is not None:
            order.pushes.answered(world.engine.carry_out(order.session, request, world.now), world.now)
    assert order.pushes.outcomes() == []
    assert order.pushes.next_request(doubled._replace(why="another host bears the name a"), world.now) is None
    assert order.outcome == {"id": "1", "done": False, "error": "another host bears the name a"}
    world.push("two", "b")
    while not any(path.startswith("/config/current") for path in world.engine.nodes):
        world.turn()
    world.fire()
    for _ in range(20):
        request = order.pushes.next_request(doubled, world.now)
        assert request is None or request.verb in (Verb.GET, Verb.CHILDREN), request
        if request is not None:
            order.pushes.answered(world.engine.carry_out(order.session, request, world.now), world.now)


def test_a_slot_is_made_and_taken_by_a_member_alone() -> None:
    engine = ZooKeeper()
    for path in ("/members", "/hosts", "/slots", "/moves", "/drains", "/status", "/incidents"):
        engine.nodes[path] = Node("", 0, 1)
    engine.sessions[engine.connect(0, 100.0)].granted = 1e9
    engine.carry_out(1, Request(Verb.CREATE_EPHEMERAL, "/members/a", '{"node": "a"}'), 100.0)
    host = Host("a", engine, ONE)
    let_run([host], engine, 100.0, 5.0)
    assert "/slots/beat@0" not in engine.nodes
    engine.nodes["/slots/beat@0"] = Node("", 0, 2)
    host.agent.changed(Verb.GET, "/slots/beat@0")
    let_run([host], engine, 105.0, 5.0)
    assert "/slots/beat@0/owner" not in engine.nodes


def test_a_summary_for_which_there_was_no_room_leaves_the_one_before() -> None:
    engine = ZooKeeper()
    host = Host("a", engine)
    host.more = FIRST
    now, _ = let_run([host], engine, 100.0, 3.0)
    host.more = {"status": "", "incidents": ""}
    version = engine.nodes["/status/a"].version
    let_run([host], engine, now, 3.0)
    node = engine.nodes["/status/a"]
    assert node.data == FIRST["status"] and node.version > version, "the contact goes on"
    assert engine.nodes["/incidents/a"].data == FIRST["incidents"]
