"""Agents against a simulated ZooKeeper."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from supervisor.core.cluster import knowledge, word
from supervisor.core.cluster.agent import Agent
from supervisor.core.cluster.documents import Member, dump, owner, slot_record
from supervisor.core.cluster.lease import Phase
from supervisor.core.cluster.local import Local, Placed, Present, Settings
from supervisor.core.cluster.orders import Order
from supervisor.core.cluster.placement import Rules, Slot
from supervisor.core.cluster.requests import (
    DRAINS,
    INCIDENTS,
    MEMBERS,
    MOVES,
    STATUS,
    Answer,
    Node,
    Request,
    Result,
    Verb,
    owner_path,
    slot_path,
)
from tests.core.cluster.simulated_zookeeper import ZooKeeper

ONE = Placed(Rules("beat"), "d1", 3.0)
BEAT = Slot("beat", 0)


class Host:
    """An agent with a connection that answers at once, and a daemon that does what the leases say."""

    def __init__(self, name: str, engine: ZooKeeper, *services: Placed) -> None:
        self.engine, self.services = engine, services or (ONE,)
        self.agent = Agent(Settings(name, contact_interval=1.0, request_timeout=1.0), f"mark of {name}")
        self.session, self.epoch, self.gone = 0, 0, True
        self.cut, self.speaks, self.completed = False, True, False
        self.more: dict[str, Any] = {}
        self.requests = 0

    def tick(self, now: float) -> None:
        agent, engine = self.agent, self.engine
        if self.cut:
            if self.session and engine.sessions[self.session].heard + 7.0 < now and agent._connected:
                agent.disconnected()
            return
        if not agent._connected:
            session = engine.connect(self.session, now)
            self.session = session
            agent.connected(session, engine.granted)
        if self.speaks:
            present = {BEAT: Present(self.epoch, self.gone, self.completed)}
            agent.told(Local(self.services, present, **self.more), now)
        for _ in range(60):
            request = agent.next_request(now)
            if request is None:
                break
            self.requests += 1
            agent.answered(engine.carry_out(self.session, request, now), now)
            self.watches()

    def watches(self) -> None:
        for fired in [one for one in self.engine.fired if one[0] == self.session]:
            self.engine.fired.remove(fired)
            self.agent.changed(fired[1], fired[2])

    def run(self, now: float) -> bool:
        """The daemon: start, stop and kill by the leases.  Whether something runs."""
        leases = {one.service: one for one in self.agent.leases(now)}
        mine = leases.get("beat")
        phase = mine.phase(now) if mine else Phase.KILL
        if self.gone and phase is Phase.RUN and mine:
            self.gone, self.epoch = False, mine.epoch
        elif not self.gone and (mine is None or mine.epoch != self.epoch or phase in (Phase.STOP, Phase.KILL)):
            self.gone = True
        return not self.gone


@pytest.fixture(autouse=True)
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that begins waits for no other host, but for tests marked so."""
    if "gathers" not in request.node.name:
        monkeypatch.setattr(knowledge, "SETTLE", 0)


def hosts(engine: ZooKeeper, *names: str) -> list[Host]:
    return [Host(name, engine) for name in names]


def let_run(all_hosts: list[Host], engine: ZooKeeper, begin: float, seconds: float) -> tuple[float, list[set[str]]]:
    now, seen = begin, []
    while now < begin + seconds:
        engine.expire(now)
        for host in all_hosts:
            host.watches()
            host.tick(now)
        running = {host.agent.settings.node for host in all_hosts if host.run(now)}
        assert len(running) <= 1, now
        seen.append(running)
        now += 0.1
    return now, seen


def test_one_host_takes_the_slot_and_keeps_it() -> None:
    engine = ZooKeeper()
    three = hosts(engine, "a", "b", "c")
    now, seen = let_run(three, engine, 100.0, 5.0)
    assert seen[-1] == {"a"} and seen.index({"a"}) < 5
    now, seen = let_run(three, engine, now, 60.0)
    assert all(one == {"a"} for one in seen)


def test_at_rest_a_host_writes_once_a_second_and_reads_nothing() -> None:
    engine = ZooKeeper()
    three = hosts(engine, "a", "b", "c")
    now, _ = let_run(three, engine, 100.0, 5.0)
    before, writes = [host.requests for host in three], engine.zxid
    let_run(three, engine, now, 60.0)
    assert all(host.requests - n <= 61 for host, n in zip(three, before, strict=True))
    assert engine.zxid - writes <= 3 * 61


def test_a_host_that_is_cut_off_stops_and_another_takes_over() -> None:
    engine = ZooKeeper()
    three = hosts(engine, "a", "b", "c")
    now, _ = let_run(three, engine, 100.0, 5.0)
    first = three[0].epoch
    three[0].cut = True
    _, seen = let_run(three, engine, now, 20.0)
    assert seen[0] == {"a"} and {"b"} in seen
    assert three[1].epoch > first
    taken = 0.1 * seen.index({"b"})
    assert 10.0 < taken < 13.0, "the session's 10 s and a tick"


def test_a_drained_host_gives_back_at_once() -> None:
    engine = ZooKeeper()
    three = hosts(engine, "a", "b", "c")
    now, _ = let_run(three, engine, 100.0, 5.0)
    engine.carry_out(three[2].session, Request(Verb.CREATE, f"{DRAINS}/a", "{}"), now)
    now, seen = let_run(three, engine, now, 3.0)
    assert seen[-1] == {"b"}
    assert seen.count(set()) <= 3, "an orderly handover needs no waiting"


def test_an_order_moves_the_slot() -> None:
    engine = ZooKeeper()
    three = hosts(engine, "a", "b", "c")
    now, _ = let_run(three, engine, 100.0, 5.0)
    engine.carry_out(three[2].session, Request(Verb.CREATE, f"{MOVES}/beat@0", '{"node": "c"}'), now)
    now, seen = let_run(three, engine, now, 3.0)
    assert seen[-1] == {"c"}


def test_an_order_that_was_followed_is_over() -> None:
    engine = ZooKeeper()
    three = hosts(engine, "a", "b", "c")
    now, _ = let_run(three, engine, 100.0, 5.0)
    engine.carry_out(three[2].session, Request(Verb.CREATE, f"{MOVES}/beat@0", '{"node": "c"}'), now)
    now, _ = let_run(three, engine, now, 3.0)
    assert f"{MOVES}/beat@0" not in engine.nodes
    engine.carry_out(three[0].session, Request(Verb.CREATE, f"{DRAINS}/c", "{}"), now)
    now, seen = let_run(three, engine, now, 3.0)
    assert seen[-1] == {"a"}
    engine.carry_out(three[0].session, Request(Verb.DELETE, f"{DRAINS}/c"), now)
    now, seen = let_run(three, engine, now, 3.0)
    assert seen[-1] == {"a"}, "an order is followed once"


# -- one agent, request by request -----------------------------------------------------------------------------------


def alone(engine: ZooKeeper | None = None, *services: Placed) -> tuple[Host, ZooKeeper, float]:
    """A host that holds its slot."""
    engine = engine or ZooKeeper()
    host = Host("a", engine, *services)
    now, _ = let_run([host], engine, 100.0, 3.0)
    return host, engine, now


def asked(host: Host, now: float) -> list[Request]:
    """What the agent asks until it has nothing more to ask."""
    found = []
    while (request := host.agent.next_request(now)) is not None:
        found.append(request)
        host.agent.answered(host.engine.carry_out(host.session, request, now), now)
        host.watches()
    return found


def refuse(host: Host, now: float, result: Result, verb: Verb, path: str) -> Request:
    """Answer all, and this one so."""
    while True:
        request = host.agent.next_request(now)
        assert request is not None
        if (request.verb, request.path) == (verb, path):
            host.agent.answered(Answer(request, result, now, reason="an ACL"), now)
            return request
        host.agent.answered(host.engine.carry_out(host.session, request, now), now)
        host.watches()


def test_only_an_answered_write_is_contact() -> None:
    """One server alone answers a read, also when the others have given it up and end the session."""
    host, _, now = alone()
    now += 1.1
    asked(host, now)
    before = host.agent.contact
    host.agent.changed(Verb.GET, slot_path(*BEAT))
    host.agent.changed(Verb.CHILDREN, MEMBERS)
    now += 0.5
    assert {one.verb for one in asked(host, now)} == {Verb.GET, Verb.CHILDREN}
    assert host.agent.contact == before
    now += 0.6
    assert asked(host, now) == [Request(Verb.SET, f"{STATUS}/a", "{}")]
    assert host.agent.contact is not None and host.agent.contact.sent == now


def test_the_first_request_of_a_connection_is_a_write() -> None:
    """What is read after it is not older than what an earlier agent or an earlier request has done."""
    host, engine, now = alone()
    host.agent.disconnected()
    host.agent.connected(host.session, engine.granted)
    requests = asked(host, now)
    assert requests[0].verb is Verb.SET and requests[0].path == f"{STATUS}/a"
    assert all(one.verb in (Verb.GET, Verb.CHILDREN) for one in requests[1:])


def test_a_failed_write_that_a_majority_has_judged_is_contact_and_an_unknown_one_is_not() -> None:
    host, _, now = alone()
    before = host.agent.contact
    for result, counts in ((Result.UNKNOWN, False), (Result.REFUSED, False), (Result.NO_NODE, True)):
        now += 10.0
        refuse(host, now, result, Verb.SET, f"{STATUS}/a")
        assert (host.agent.contact != before) is counts, result


def test_a_refused_node_is_told_and_not_asked_for_at_once() -> None:
    host, _, now = alone()
    now += 2.0
    refuse(host, now, Result.REFUSED, Verb.SET, f"{STATUS}/a")
    assert host.agent.refused() == "set /status/a: an ACL"
    assert f"{STATUS}/a" not in [one.path for one in asked(host, now + 4.5)]
    host.agent.told(Local(host.services, {BEAT: Present(host.epoch, host.gone)}), now + 5.0)
    asked(host, now + 4.75)
    assert asked(host, now + 6.0)[0].path == f"{STATUS}/a"
    assert host.agent.refused() == ""


def test_an_epoch_whose_owner_vanished_before_it_was_confirmed_is_no_lease() -> None:
    """An earlier request to delete the owner's node, which was given up, was carried out."""
    engine = ZooKeeper()
    host = Host("a", engine)
    host.session = engine.connect(0, 100.0)
    host.agent.connected(host.session, engine.granted)
    host.agent.told(Local(host.services), 100.0)
    while True:
        request = host.agent.next_request(100.0)
        assert request is not None
        if request.verb is Verb.SET and request.path == slot_path(*BEAT):
            break
        host.agent.answered(engine.carry_out(host.session, request, 100.0), 100.0)
        host.watches()
    engine.carry_out(host.session, Request(Verb.DELETE, owner_path(*BEAT)), 100.0)
    engine.fired.clear()
    host.agent.answered(engine.carry_out(host.session, request, 100.0), 100.0)
    assert host.agent.leases(100.0) == []
    asked(host, 100.0)
    leases = host.agent.leases(100.0)
    assert [one.epoch for one in leases] == [engine.nodes[owner_path(*BEAT)].created]
    assert leases[0].epoch > json.loads(request.data)["epoch"]


def test_a_late_delete_does_not_take_the_slot_from_the_next_owner() -> None:
    host, engine, now = alone()
    host.more = {"able": True}
    engine.carry_out(host.session, Request(Verb.CREATE, f"{DRAINS}/a", "{}"), now)
    late = None
    for _ in range(100):
        host.watches()
        request = host.agent.next_request(now)
        if request is None:
            host.run(now)
            host.agent.told(Local(host.services, {BEAT: Present(host.epoch, host.gone)}), now)
            continue
        if request.verb is Verb.DELETE:
            late = request
            break
        host.agent.answered(engine.carry_out(host.session, request, now), now)
    assert late is not None and late.guard == slot_path(*BEAT)
    engine.carry_out(host.session, Request(Verb.DELETE, owner_path(*BEAT)), now)
    other = Host("b", engine)
    let_run([other], engine, now, 3.0)
    assert other.epoch > host.epoch
    assert engine.carry_out(host.session, late, now + 3.0).result is Result.BAD_VERSION


def test_a_slot_that_was_said_to_be_clean_is_given_back_also_when_it_is_wanted_again() -> None:
    host, engine, now = alone()
    record = json.loads(engine.nodes[slot_path(*BEAT)].data)
    host.gone = True
    engine.carry_out(host.session, Request(Verb.SET, slot_path(*BEAT), json.dumps({**record, "clean": True})), now)
    host.watches()
    host.agent.told(Local(host.services, {BEAT: Present(host.epoch, True)}), now)
    asked(host, now)
    assert [one.epoch for one in host.agent.leases(now)] != [record["epoch"]]


def test_the_next_agent_of_a_session_goes_on_with_what_runs() -> None:
    host, engine, now = alone()
    new = Host("a", engine)
    new.session, new.epoch, new.gone = host.session, host.epoch, False
    new.tick(now)
    assert new.agent.knows
    assert [(one.epoch, one.start_at) for one in new.agent.leases(now)] == [(host.epoch, now)]


def test_the_next_agent_of_a_session_waits_where_nothing_runs_yet() -> None:
    """How long its predecessor had to wait is not known: so it waits as long as any."""
    host, engine, now = alone()
    new = Host("a", engine)
    new.session = host.session
    new.tick(now)
    assert [one.start_at for one in new.agent.leases(now)] == [now + engine.tick + engine.granted]


def test_an_epoch_that_would_not_grow_is_not_used_and_is_told() -> None:
    """ZooKeeper has lost its data, but this host remembers its last epoch."""
    engine = ZooKeeper()
    host = Host("a", engine)
    host.epoch = 10**6
    now, seen = let_run([host], engine, 100.0, 5.0)
    assert seen[-1] == set() and host.agent.leases(now) == []
    assert "ZooKeeper has lost its data" in "".join(host.agent.problems.values())
    assert engine.zxid < 40, "it is not tried again at once"


def test_a_name_that_another_session_bears_takes_nothing_and_is_told() -> None:
    host, engine, now = alone()
    other = Host("a", engine)
    now, _ = let_run([host, other], engine, now, 5.0)
    assert not other.agent.problems, "it may be the node of an earlier session"
    now, _ = let_run([host, other], engine, now, 12.0)
    assert ["another host bears the name a" in one for one in other.agent.problems.values()] == [True]
    assert "bears the name" in other.agent.obstacle(now) and not other.agent.holds()
    (told,) = word.word(other.agent, now, 90.0, "")["nowhere"]
    assert told["service"] == "beat" and "bears the name" in told["reason"], "what waits for the slot is told why"
    engine.sessions[host.session].heard = -100.0
    host.cut = True
    let_run([host, other], engine, now, 5.0)
    assert not other.agent.problems


def test_a_contact_that_is_due_and_cannot_be_made_is_not_waited_for() -> None:
    """The agent woke up a thousand times a second while ZooKeeper was away."""
    host, _, _ = alone()
    contact = host.agent.contact
    assert contact is not None
    due = contact.sent + host.agent.settings.contact_interval
    assert host.agent.contact_due(due - 0.01) == due
    assert host.agent.contact_due(due) is None
    assert Host("b", ZooKeeper()).agent.contact_due(100.0) is None, "there was none yet"


def test_what_a_daemon_lacks_for_a_moment_moves_nothing() -> None:
    engine = ZooKeeper()
    two = hosts(engine, "a", "b")
    now, _ = let_run(two, engine, 100.0, 5.0)
    two[0].more = {"able": False, "reason": "no dead-man"}
    now, seen = let_run(two, engine, now, 2.0)
    assert seen[-1] == {"a"} and two[0].agent.obstacle(now) == "no dead-man"
    now, seen = let_run(two, engine, now, 5.0)
    assert seen[-1] == {"b"}


def test_a_silent_daemon_keeps_its_slot_until_the_dead_man_says_that_nothing_is_left() -> None:
    engine = ZooKeeper()
    two = hosts(engine, "a", "b")
    now, _ = let_run(two, engine, 100.0, 5.0)
    two[0].speaks = False
    now, _ = let_run(two, engine, now, 10.0)
    assert two[0].agent.obstacle(now) == "its daemon does not answer"
    assert engine.nodes[owner_path(*BEAT)].session == two[0].session
    two[0].agent.ended(BEAT, two[0].epoch + 1)
    two[0].agent.ended(BEAT, two[0].epoch)
    two[0].gone = True
    now, seen = let_run(two, engine, now, 3.0)
    assert seen[-1] == {"b"}


def test_an_agent_that_ends_takes_nothing_and_waits_for_what_it_gives_back() -> None:
    host, engine, now = alone()
    assert host.agent.settled(now) and host.agent.holds()
    host.agent.ending = True
    assert host.agent.obstacle(now) == "its agent ends"
    host.services = (replace(ONE, wanted=False),)
    host.agent.told(Local(host.services, {BEAT: Present(host.epoch, gone=False)}), now)
    assert not host.agent.settled(now)
    now, _ = let_run([host], engine, now, 2.0)
    assert host.agent.settled(now) and not host.agent.holds()
    assert Agent(Settings("x"), "m").settled(now)


def test_what_a_host_tells_is_written_where_others_find_it_and_not_too_often() -> None:
    host, engine, now = alone()
    host.more = {"status": '{"ready":1}', "incidents": "[1]"}
    now, _ = let_run([host], engine, now, 2.0)
    assert engine.nodes[f"{STATUS}/a"].data == '{"ready":1}' and engine.nodes[f"{INCIDENTS}/a"].data == "[1]"
    before = engine.nodes[f"{INCIDENTS}/a"].version
    for number in range(50):
        host.more = {"incidents": f"[{number}]"}
        now, _ = let_run([host], engine, now, 0.1)
    assert 3 <= engine.nodes[f"{INCIDENTS}/a"].version - before <= 6


def test_directories_and_own_nodes_that_a_person_removes_come_back() -> None:
    host, engine, now = alone()
    for path in (DRAINS, f"{STATUS}/a"):
        engine.carry_out(host.session, Request(Verb.DELETE, path), now)
    host.agent.changed(Verb.CHILDREN, DRAINS)
    now, _ = let_run([host], engine, now, 3.0)
    assert {DRAINS, f"{STATUS}/a"} <= engine.nodes.keys()


def test_a_read_that_failed_is_repeated() -> None:
    host, _, now = alone()
    host.agent.changed(Verb.GET, slot_path(*BEAT))
    request = refuse(host, now, Result.UNKNOWN, Verb.GET, slot_path(*BEAT))
    assert request in asked(host, now)
    host.agent.answered(Answer(request, Result.DONE, now), now)  # late: it is not awaited any more
    assert host.agent.leases(now)


def test_a_change_that_is_told_before_the_answer_is_not_missed() -> None:
    host, engine, now = alone()
    engine.nodes[f"{MEMBERS}/b"] = Node('{"node":"b","labels":{"x":"1"}}', 0, 1)
    host.agent.changed(Verb.CHILDREN, MEMBERS)
    while True:
        request = host.agent.next_request(now)
        assert request is not None
        if request.path == f"{MEMBERS}/b":
            break
        host.agent.answered(engine.carry_out(host.session, request, now), now)
    host.agent.changed(Verb.GET, request.path)
    host.agent.changed(Verb.GET, "/not/of/interest")
    host.agent.answered(engine.carry_out(host.session, request, now), now)
    assert asked(host, now) == [request]


ONCE = replace(ONE, completes=True)


def test_a_oneshot_that_completed_runs_on_no_other_host() -> None:
    engine = ZooKeeper()
    two = [Host("a", engine, ONCE), Host("b", engine, ONCE)]
    now, _ = let_run(two, engine, 100.0, 3.0)
    two[0].gone = two[0].completed = True
    two[0].run = lambda now: False  # type: ignore[method-assign]
    now, seen = let_run(two, engine, now, 5.0)
    assert seen[-1] == set() and [one.agent.done() for one in two] == [{"beat"}] * 2
    two[1].services = (replace(ONCE, digest="d2"),)
    two[0].cut = True
    now, seen = let_run(two, engine, now, 20.0)
    assert seen[-1] == {"b"}, "with new rules it is another one"


@pytest.mark.parametrize("session", [0, 99])
def test_a_session_that_expired_begins_again(session: int) -> None:
    host, engine, now = alone()
    assert host.agent.leases(now)
    host.agent.expired()
    assert not host.agent.leases(now) and host.agent.contact is None
    assert host.agent.next_request(now) is None and host.agent.settled(now)
    host.session = session
    engine.sessions[1].heard = -100.0
    now, seen = let_run([host], engine, now, 20.0)
    assert seen[-1] == {"a"}


def test_too_short_a_granted_session_is_an_obstacle() -> None:
    engine = ZooKeeper(granted=4.0)
    host = Host("a", engine)
    now, seen = let_run([host], engine, 100.0, 5.0)
    assert seen[-1] == set() and "a session of 4 s is too short" in host.agent.obstacle(now)
    host.cut = True
    assert host.agent.obstacle(now + 10.0) == "ZooKeeper does not answer"


def drain(host: Host, now: float) -> None:
    host.engine.carry_out(host.session, Request(Verb.CREATE, f"{DRAINS}/{host.agent.settings.node}", "{}"), now)
    host.watches()


def test_gone_counts_only_if_it_was_said_after_the_release_was_heard() -> None:
    """A service that crashed is gone too, and its daemon may be about to start it again."""
    host, _, now = alone()
    gone = {BEAT: Present(host.epoch, gone=True)}
    drain(host, now)
    host.agent.told(Local(host.services, gone, heard=now - 1.0), now)
    asked(host, now)
    now += 0.1
    assert [one.released for one in host.agent.leases(now)] == [True]
    host.agent.told(Local(host.services, gone, heard=now - 0.5), now)
    asked(host, now)
    assert host.agent.holds()
    host.agent.told(Local(host.services, gone, heard=now), now)
    asked(host, now)
    assert not host.agent.holds()


def test_an_epoch_that_is_being_given_back_is_not_used_again() -> None:
    """The drain ends while the answer is on its way, and the answer may be lost."""
    host, engine, now = alone()
    drain(host, now)
    asked(host, now)
    host.agent.leases(now)
    host.agent.told(Local(host.services, {BEAT: Present(host.epoch, gone=True)}), now)
    refuse(host, now, Result.UNKNOWN, Verb.SET, slot_path(*BEAT))
    engine.carry_out(host.session, Request(Verb.DELETE, f"{DRAINS}/a"), now)
    host.watches()
    while (request := host.agent.next_request(now)) is None or request.verb is not Verb.SET:
        assert request is not None
        host.agent.answered(engine.carry_out(host.session, request, now), now)
    assert [(one.epoch, one.released) for one in host.agent.leases(now)] == [(host.epoch, True)]
    host.agent.disconnected()
    now, seen = let_run([host], engine, now, 3.0)
    assert seen[-1] == {"a"} and engine.nodes[owner_path(*BEAT)].created > json.loads(request.data)["epoch"]


def test_a_silent_daemon_gets_no_longer_leases() -> None:
    """It hears what was sent meanwhile when it wakes, and must not start anything under a slot that was given back."""
    host, engine, now = alone()
    host.gone, host.speaks = True, False
    host.agent.told(Local(host.services, {BEAT: Present(host.epoch, gone=True)}), now)
    last = now + engine.granted
    kills = []
    while now < 125.0:
        now, _ = let_run([host], engine, now, 0.1)
        kills += [one.kill_at for one in host.agent.leases(now)]
        if now < max(kills):
            assert host.agent.holds()
    assert max(kills) < last + 4.0 and not host.agent.holds()


def test_the_agent_registers_and_asks_nothing_more_before_its_daemon_has_spoken() -> None:
    host = Host("a", ZooKeeper())
    host.session = host.engine.connect(0, 100.0)
    host.agent.connected(host.session, 10.0)
    assert {one.path for one in asked(host, 100.0)} >= {MEMBERS}
    host.agent.connected(host.session, 8.0)
    assert host.agent.contact is not None and host.agent.contact.granted == 8.0
    assert host.agent.obstacle(100.0) == "its daemon does not answer" and not host.agent.knows
    host.agent.expired()
    host.agent.told(Local(host.services), 100.0)
    host.agent.connected(99, 10.0)
    assert host.agent.leases(100.0) == []
    host.agent.connected(99, 8.0)
    asked_now = host.agent.next_request(100.0)
    assert asked_now is not None and not host.agent.knows


def test_a_drain_before_the_first_epoch_is_written_gives_the_slot_back() -> None:
    host = Host("a", ZooKeeper())
    host.session = host.engine.connect(0, 100.0)
    host.agent.connected(host.session, 10.0)
    host.agent.told(Local(host.services), 100.0)
    while (request := host.agent.next_request(100.0)) is not None:
        host.agent.answered(host.engine.carry_out(host.session, request, 100.0), 100.0)
        if request.verb is Verb.CREATE_EPHEMERAL and request.path == owner_path(*BEAT):
            drain(host, 100.0)
    assert owner_path(*BEAT) not in host.engine.nodes
    assert json.loads(host.engine.nodes[slot_path(*BEAT)].data or "{}") == {}


def test_a_slot_that_was_just_taken_is_given_back_where_a_host_with_the_last_owners_rules_has_come() -> None:
    """A request that was given up may take it long after it was decided on."""
    first, engine, now = alone()
    engine.sessions[first.session].heard = now - 60.0
    engine.expire(now)
    other = Host("b", engine, replace(ONE, digest="d2"))
    other.session = engine.connect(0, now)
    other.agent.connected(other.session, engine.granted)
    other.agent.told(Local(other.services), now)
    text = dump(Member("a", services={"beat": "d1"}))
    requests = []
    while (request := other.agent.next_request(now)) is not None:
        requests.append((request.verb, request.path))
        other.agent.answered(engine.carry_out(other.session, request, now), now)
        if requests[-1] == (Verb.CREATE_EPHEMERAL, owner_path(*BEAT)):
            back = engine.connect(0, now)
            engine.carry_out(back, Request(Verb.CREATE_EPHEMERAL, f"{MEMBERS}/a", text), now)
        other.watches()
    assert requests.count((Verb.DELETE, owner_path(*BEAT))) == 1 and owner_path(*BEAT) not in engine.nodes
    assert slot_record(engine.nodes[slot_path(*BEAT)].data).epoch == first.epoch


WEB = Placed(Rules("web", 4), "d1", 3.0)


def holders(engine: ZooKeeper) -> Counter[str]:
    taken = [node.data for path, node in engine.nodes.items() if path.endswith("/owner")]
    return Counter(owner(text).node for text in taken)


def test_a_cluster_that_begins_gathers_its_hosts_so_that_each_takes_its_share() -> None:
    engine = ZooKeeper()
    two = [Host("a", engine, WEB), Host("b", engine, WEB)]
    now, _ = let_run(two[:1], engine, 100.0, 3.0)
    assert not holders(engine) and two[0].agent.gathers(now)
    now, _ = let_run(two, engine, now, 4.0)
    assert holders(engine) == {"a": 2, "b": 2}
    assert not two[1].agent.gathers(now), "another host holds something already"


def test_a_host_that_gathers_alone_takes_all_in_the_end() -> None:
    engine = ZooKeeper()
    one = [Host("a", engine, WEB)]
    now, _ = let_run(one, engine, 100.0, 4.8)
    assert not holders(engine)
    now, _ = let_run(one, engine, now, 1.0)
    assert holders(engine) == {"a": 4}
    one[0].cut = True
    now, _ = let_run(one, engine, now, 15.0)
    assert not holders(engine)
    one[0].cut = False
    let_run(one, engine, now, 0.5)
    assert holders(engine) == {"a": 4}, "all that have ever belonged are there"


def test_a_cluster_that_begins_again_gathers_those_that_are_known() -> None:
    engine = ZooKeeper()
    two = [Host("a", engine, WEB), Host("b", engine, WEB)]
    now, _ = let_run(two, engine, 100.0, 8.0)
    for host in two:
        host.cut = True
    now, _ = let_run(two, engine, now, 15.0)
    two[0].cut = False
    now, _ = let_run(two, engine, now, 2.0)
    assert not holders(engine) and two[0].agent.gathers(now)
    two[1].cut = False
    let_run(two, engine, now, 1.0)
    assert holders(engine) == {"a": 2, "b": 2}


def test_a_persons_order_is_carried_out_by_the_agent() -> None:
    engine = ZooKeeper()
    two = hosts(engine, "a", "b")
    now, _ = let_run(two, engine, 100.0, 3.0)
    two[0].more = {"orders": (Order("1", "record", "a"), Order("2", "drain", "a"))}
    now, seen = let_run(two, engine, now, 3.0)
    assert seen[-1] == {"b"}
    assert [(one["id"], one["done"]) for one in two[0].agent.orders.outcomes()] == [("1", True), ("2", True)]
    assert f"{STATUS}/a" not in two[0].agent.facts.nodes, "it is not watched"


def test_slots_are_taken_slowly_where_they_are_lost_again_and_again() -> None:
    host, engine, now = alone()
    taken = set()
    for _ in range(300):
        engine.carry_out(host.session, Request(Verb.DELETE, owner_path(*BEAT)), now)
        now, _ = let_run([host], engine, now, 0.1)
        taken.add(engine.nodes[owner_path(*BEAT)].created if owner_path(*BEAT) in engine.nodes else 0)
    assert 60 < len(taken) < 80, "11 at once, then 2 a second"


@pytest.mark.parametrize(("epoch", "verb", "path"), [
    (0, Verb.CREATE, slot_path(*BEAT)), (0, Verb.SET, slot_path(*BEAT)), (10**6, Verb.DELETE, owner_path(*BEAT)),
])  # fmt: skip
def test_a_refused_node_does_not_hinder_the_rest(epoch: int, verb: Verb, path: str) -> None:
    host = Host("a", ZooKeeper())
    host.session = host.engine.connect(0, 100.0)
    host.agent.connected(host.session, 10.0)
    host.agent.told(Local(host.services, {BEAT: Present(epoch, gone=True)}), 100.0)
    refuse(host, 100.0, Result.REFUSED, verb, path)
    asked(host, 100.0)
    assert f"{MEMBERS}/a" in host.engine.nodes and not host.agent.leases(100.0)
    assert host.agent.refused()


def test_a_host_that_could_not_register_takes_nothing() -> None:
    host = Host("a", ZooKeeper())
    host.session = host.engine.connect(0, 100.0)
    host.engine.nodes[MEMBERS] = Node("", 0, 1)
    host.engine.nodes[f"{MEMBERS}/a"] = Node('{"node":"a"}', 0, 2, 77)
    _, seen = let_run([host], host.engine, 100.0, 3.0)
    assert seen[-1] == set() and not host.agent.holds()


def test_a_host_to_which_everything_is_refused_has_no_lease_and_says_why() -> None:
    host = Host("a", ZooKeeper())
    host.agent.connected(1, 10.0)
    host.agent.told(Local(host.services), 100.0)
    while (request := host.agent.next_request(100.0)) is not None:
        host.agent.answered(Answer(request, Result.REFUSED, 100.0, reason="an ACL"), 100.0)
    assert host.agent.refused() and host.agent.leases(100.0) == []
    assert host.agent.obstacle(100.0) == "ZooKeeper has not answered yet"


def test_with_a_new_session_zookeeper_does_not_answer_which_has_answered_before() -> None:
    (host,) = hosts(ZooKeeper(), "a")
    now, _ = let_run([host], host.engine, 100.0, 3.0)
    assert host.agent.contact is not None
    host.agent.connected(99, now)
    assert host.agent.contact is None and host.agent.obstacle(now) == "ZooKeeper does not answer"


def test_after_a_loss_of_data_a_host_waits_for_what_the_record_no_longer_tells() -> None:
    """The owner's lease runs on, and the empty record calls its end a clean one."""
    engine = ZooKeeper()
    three = hosts(engine, "a", "b", "c")
    now, _ = let_run(three, engine, 100.0, 5.0)
    three[0].cut = True
    first = three[0].epoch
    for host in three:
        engine.sessions[host.session].over = True
    engine.nodes.clear()
    engine.watches.clear()
    engine.zxid += 1 << 32
    for host in three[1:]:
        host.agent.expired()
    now, seen = let_run(three, engine, now, 20.0)
    assert seen[0] == {"a"} and seen[-1] == {"b"}
    assert three[1].epoch > first
    assert 0.1 * seen.index({"b"}) > 10.0, "the longest lease"


def test_a_host_that_gives_back_before_its_wait_is_over_does_not_call_the_end_before_it_a_clean_one() -> None:
    """It has started nothing, but what an evicted owner ran may not have ended."""
    engine = ZooKeeper()
    three = hosts(engine, "a", "b", "c")
    now, _ = let_run(three, engine, 100.0, 5.0)
    three[0].cut = True
    record = slot_record(engine.nodes[slot_path(*BEAT)].data)
    person = engine.connect(0, now)
    engine.carry_out(person, Request(Verb.CREATE, f"{DRAINS}/a", "{}"), now)
    engine.carry_out(person, Request(Verb.SET, slot_path(*BEAT), dump(record._replace(evicted=True))), now)
    engine.carry_out(person, Request(Verb.DELETE, owner_path(*BEAT)), now)
    now, _ = let_run(three, engine, now, 2.0)
    assert owner(engine.nodes[owner_path(*BEAT)].data).node == "b"
    engine.carry_out(person, Request(Verb.CREATE, f"{DRAINS}/b", "{}"), now)
    now, seen = let_run(three, engine, now, 20.0)
    assert seen[0] == {"a"} and seen[-1] == {"c"}
    assert 0.1 * seen.index({"c"}) > 10.0


def test_an_agent_knows_the_cluster_only_when_nothing_is_left_to_read() -> None:
    host = Host("a", ZooKeeper())
    agent, engine = host.agent, host.engine
    host.session = engine.connect(0, 1.0)
    agent.connected(host.session, engine.granted)
    agent.told(Local(host.services, {BEAT: Present(0, True, False)}), 1.0)
    steps = 0
    while not agent.knows:
        request = agent.next_request(1.0)
        assert request is not None
        agent.answered(engine.carry_out(host.session, request, 1.0), 1.0)
        host.watches()
        steps += 1
    assert steps > 5 and not agent._stale
