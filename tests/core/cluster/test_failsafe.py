"""Failsafe: slots are kept while ZooKeeper is away, as long as every other host answers.  By two and three agents."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from supervisor.core.cluster import knowledge, word
from supervisor.core.cluster.agent import Agent
from supervisor.core.cluster.documents import Owner, SlotRecord, dump, slot_record
from supervisor.core.cluster.failsafe import Failsafe
from supervisor.core.cluster.lease import Phase
from supervisor.core.cluster.local import Local, Present, Settings
from supervisor.core.cluster.orders import Order
from supervisor.core.cluster.placement import Candidate, Rules, Slot, place
from supervisor.core.cluster.requests import Answer, Request, Result, Verb, owner_path, slot_path
from tests.core.cluster.simulated_zookeeper import ZooKeeper
from tests.core.cluster.test_agent import BEAT, ONE, Host

SECONDS = 10.0


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowledge, "SETTLE", 0)


class Safe(Host):
    """`deaf`: it does not hear what the other hosts ask."""

    def __init__(self, name: str, engine: ZooKeeper, seconds: float = SECONDS, began: float = 0.0) -> None:
        super().__init__(name, engine)
        settings = Settings(name, contact_interval=1.0, request_timeout=1.0, failsafe=seconds)
        self.agent = Agent(settings, f"mark of {name}", began)
        self.deaf = False

    def tick(self, now: float) -> None:
        """Cut off from ZooKeeper it still hears its daemon."""
        if not self.cut:
            super().tick(now)
            return
        if self.agent._connected:
            self.agent.disconnected()
        if self.speaks:
            self.agent.told(Local(self.services, {BEAT: Present(self.epoch, self.gone)}), now)


class Cluster:
    def __init__(self, *names: str, **seconds: float) -> None:
        self.engine, self.now = ZooKeeper(), 100.0
        self.hosts = [Safe(name, self.engine, seconds.get(name, SECONDS)) for name in names]

    def __getitem__(self, name: str) -> Safe:
        return next(one for one in self.hosts if one.agent.settings.node == name)

    def run(self, seconds: float) -> list[set[str]]:
        """Which hosts run the service, in each tenth of a second."""
        seen, end = [], self.now + seconds
        while self.now < end:
            self.engine.expire(self.now)
            for host in self.hosts:
                host.watches()
                host.tick(self.now)
            for host in self.hosts:
                for name in host.agent.hosts_to_ask(self.now):
                    other = self[name]
                    given = 0.0 if other.deaf else other.agent.promise(host.agent.settings.node, self.now)
                    if given:
                        host.agent.promised(name, self.now, given, self.now)
            running = {host.agent.settings.node for host in self.hosts if host.run(self.now)}
            assert len(running) <= 1, self.now
            seen.append(running)
            self.now += 0.1
        return seen

    def record(self) -> SlotRecord:
        return slot_record(self.engine.nodes[slot_path("beat", 0)].data)

    def problem(self, name: str) -> str:
        return self[name].agent.problems.get("failsafe", "")


def begun(*names: str, **seconds: float) -> Cluster:
    """A runs the service."""
    made = Cluster(*names, **seconds)
    assert made.run(5.0)[-1] == {"a"}
    assert made.record().asks == tuple(names)
    return made


def test_all_hosts_answer_so_the_owner_goes_on_as_long_as_zookeeper_is_away() -> None:
    cluster = begun("a", "b", "c")
    for host in cluster.hosts:
        host.cut = True
    assert all(one == {"a"} for one in cluster.run(60.0))
    kept = "ZooKeeper does not answer: this host keeps its slots as long as all hosts answer"
    assert cluster.problem("a") == kept
    assert cluster.problem("b") == "", "it has nothing to keep"
    assert cluster.problem("a") in word.word(cluster["a"].agent, cluster.now, 0.0, "")["problems"]
    for host in cluster.hosts:
        host.cut = False
    assert len(cluster.run(60.0)[-1]) == 1 and cluster.problem("a") == ""


@pytest.mark.parametrize("why", ["deaf", "off", "evicted"])
def test_one_host_that_does_not_answer_ends_the_lease(why: str) -> None:
    cluster = begun("a", "b", "c", c=0.0) if why == "off" else begun("a", "b", "c")
    cluster["a"].cut = True
    if why == "deaf":
        cluster["c"].deaf = True
    if why == "evicted":
        cluster["c"].more = {"orders": (Order("1", "evict", "a"),)}
    cluster.run(5.0)
    assert "failsafe does not hold, and the leases of this host end: no answer of " in cluster.problem("a")
    assert cluster.run(6.0)[-1] == set()
    assert len(cluster.run(40.0)[-1]) == 1, "it asks no longer, and another host takes over"


def test_a_host_that_zookeeper_has_given_up_goes_on_while_the_others_wait() -> None:
    cluster = begun("a", "b", "c")
    cluster["a"].cut = True
    assert all(one == {"a"} for one in cluster.run(40.0))
    assert owner_path(*BEAT) not in cluster.engine.nodes
    b = cluster["b"].agent
    left = word.word(b, cluster.now, 0.0, "")["nowhere"][0]["reason"]
    assert left.startswith("its last owner may run it without ZooKeeper: b takes it in ")
    cluster["a"].deaf = True
    for host in cluster.hosts[1:]:
        host.deaf = True
    ended = next(n for n, one in enumerate(cluster.run(60.0)) if one == set())
    assert ended <= 10 * SECONDS
    assert len(cluster.run(1.0)[-1]) == 1


def test_a_host_that_came_later_takes_only_what_was_given_back() -> None:
    cluster = begun("a", "b")
    cluster["a"].cut = True
    cluster.run(3.0)
    new = Safe("c", cluster.engine, began=cluster.now - 100.0)
    cluster.hosts.append(new)
    assert all(one == {"a"} for one in cluster.run(30.0)), "it is not asked"
    reason = new.agent.why_nowhere(BEAT, cluster.now)
    assert reason["c"] == "a held the slot before this host came, and may still run it without ZooKeeper"
    assert reason["b"] == ""
    cluster["a"].deaf = cluster["b"].deaf = True
    assert cluster.run(40.0)[-1] == {"b"}
    assert cluster.record().asks == ("a", "b", "c")
    cluster["b"].more = {"orders": (Order("1", "move", "c", BEAT),)}
    assert cluster.run(10.0)[-1] == {"c"}


def test_the_hosts_are_asked_twice_in_the_time_between_two_contacts() -> None:
    cluster = begun("a", "b")
    cluster["a"].cut = True
    cluster.run(4.0)
    a, asked = cluster["a"].agent, []
    ask = a.hosts_to_ask
    a.hosts_to_ask = lambda now: asked.append((now, hosts := ask(now))) or hosts  # type: ignore[method-assign]
    cluster.run(10.0)
    moments = [now for now, hosts in asked if hosts]
    assert all(0.4 < after - before < 0.7 for before, after in pairwise(moments)) and len(moments) >= 15


def test_a_host_that_may_have_been_named_has_to_answer() -> None:
    """The write that names it was carried out; the answer was lost with the connection."""
    cluster = begun("a", "b")
    cluster.hosts.append(Safe("c", cluster.engine, began=cluster.now - 100.0))
    cluster["c"].deaf = True
    a, carry_out = cluster["a"], cluster.engine.carry_out

    def loses(session: int, request: Request, now: float) -> Answer:
        names = request.path == slot_path(*BEAT) and '"c"' in request.data
        if session != a.session or not (names or a.cut):
            return carry_out(session, request, now)
        if not a.cut:
            carry_out(session, request, now)
        a.cut = True
        return Answer(request, Result.UNKNOWN, now)

    cluster.engine.carry_out = loses  # type: ignore[method-assign]
    seen = cluster.run(60.0)
    assert a.cut and cluster.record().asks == ("a", "b", "c")
    assert seen[0] == {"a"} and set() in seen, "its lease ends"
    assert seen[-1] in ({"b"}, {"c"})


def test_where_all_that_were_asked_were_evicted_any_host_takes_the_slot() -> None:
    cluster = begun("a")
    cluster["a"].cut = True
    cluster.hosts = [cluster["a"], Safe("c", cluster.engine, began=0.0)]
    cluster["a"].speaks = False
    cluster.run(20.0)
    cluster.hosts.pop(0)
    assert cluster.run(20.0)[-1] == set()
    cluster["c"].more = {"orders": (Order("1", "evict", "a"),)}
    assert cluster.run(30.0)[-1] == {"c"}


def test_the_record_names_a_host_as_soon_as_it_belongs() -> None:
    cluster = begun("a", "b")
    epoch = cluster.record().epoch
    cluster.hosts.append(Safe("c", cluster.engine))
    cluster.run(2.0)
    assert cluster.record().asks == ("a", "b", "c") and cluster.record().epoch == epoch
    version = cluster.engine.nodes[slot_path("beat", 0)].version
    assert all(one == {"a"} for one in cluster.run(20.0)), "its run goes on"
    assert cluster.engine.nodes[slot_path("beat", 0)].version == version, "at rest nothing is written"
    cluster["b"].more = {"orders": (Order("1", "evict", "c"),)}
    cluster.hosts.pop()
    cluster.run(2.0)
    assert cluster.record().asks == ("a", "b")


def test_a_host_that_was_evicted_belongs_again_when_its_drain_has_ended() -> None:
    cluster = begun("a", "b")
    cluster["a"].more = {"orders": (Order("1", "evict", "b"),)}
    cluster.run(2.0)
    assert "/hosts/b" not in cluster.engine.nodes
    cluster["a"].more = {"orders": (Order("2", "undrain", "b"),)}
    cluster.run(2.0)
    assert "/hosts/b" in cluster.engine.nodes


def test_an_agent_that_begins_is_bound_by_what_the_one_before_may_have_promised() -> None:
    cluster = Cluster("a")
    cluster.hosts = [Safe("a", cluster.engine, began=cluster.now)]
    seen = cluster.run(15.0)
    assert 100 <= next(n for n, one in enumerate(seen) if one) <= 105


def test_a_host_that_has_begun_to_take_a_slot_promises_nothing() -> None:
    cluster = begun("a", "b")
    a, b = cluster["a"].agent, cluster["b"].agent
    assert b.promise("a", cluster.now) == SECONDS
    assert a.promise("b", cluster.now) == SECONDS, "what it holds has begun"
    cluster["a"].cut = True
    cluster["b"].deaf = True
    taken = False
    for _ in range(400):
        cluster.run(0.1)
        if any(one.phase(cluster.now) is Phase.WAIT for one in b.leases(cluster.now)):
            taken = True
            assert b.promise("a", cluster.now) == 0.0
    assert taken and not cluster["b"].gone
    assert b.promise("a", cluster.now) == SECONDS


def test_a_slot_that_was_taken_after_a_promise_is_not_begun_before_its_end() -> None:
    """The request to take it was on its way, and was carried out late."""
    cluster = begun("a", "b")
    cluster["a"].cut = True
    cluster["b"].deaf = True
    while owner_path(*BEAT) in cluster.engine.nodes:
        cluster.run(0.1)
        cluster["b"].agent.failsafe.promise(cluster.now)
    b, promised = cluster["b"].agent, cluster.now
    b.failsafe.promise(promised)
    owner = dump(Owner("b", b.mark))
    cluster.engine.carry_out(b.session, Request(Verb.CREATE_EPHEMERAL, owner_path(*BEAT), owner), cluster.now)
    seen = cluster.run(SECONDS - 0.5)
    assert seen[-1] == set() and cluster.record().node == "a"
    assert cluster.run(10.0)[-1] == {"b"}


def test_only_what_has_begun_is_kept() -> None:
    cluster = begun("a", "b")
    a = cluster["a"].agent
    before = a.leases(cluster.now)[0].kill_at
    for epoch, longer in ((0, False), (cluster["a"].epoch, True)):
        cluster.now += 3.0
        a.told(Local((ONE,), {BEAT: Present(epoch, not epoch)}), cluster.now)
        assert a.hosts_to_ask(cluster.now) == ["b"]
        a.promised("b", cluster.now, SECONDS, cluster.now)
        assert (a.leases(cluster.now)[0].kill_at > before) is longer


def test_a_daemon_that_is_silent_gets_no_longer_lease() -> None:
    cluster = begun("a", "b")
    for host in cluster.hosts:
        host.cut = True
    cluster.run(20.0)
    a = cluster["a"].agent
    before = a.leases(cluster.now)[0].kill_at
    silent = cluster.now + 3.1
    assert a.hosts_to_ask(silent) == []
    a.promised("b", silent, SECONDS, silent)
    assert a.leases(silent)[0].kill_at == before


def test_the_slot_of_a_silent_daemon_is_given_back_when_the_kept_lease_is_over() -> None:
    cluster = begun("a", "b")
    cluster["b"].speaks = True
    cluster["a"].cut = True
    cluster.run(8.0)
    a = cluster["a"].agent
    kept = a.leases(cluster.now)[0].kill_at
    assert kept > cluster.now + 7.0
    cluster["a"].speaks = cluster["a"].cut = False
    cluster["a"].agent.ended(BEAT, cluster["a"].epoch)
    while cluster.record().node == "a" and not cluster.record().clean and cluster.now < 200.0:
        cluster.run(0.1)
    assert cluster.now >= kept - 0.2


def test_a_host_alone_keeps_what_it_has() -> None:
    cluster = begun("a")
    cluster["a"].cut = True
    assert all(one == {"a"} for one in cluster.run(60.0))


def test_a_record_that_is_not_known_to_be_written_keeps_nothing() -> None:
    """An agent that goes on with a session writes the names once itself: a write of the one before may be late."""
    cluster = begun("a", "b")
    a = cluster["a"]
    a.agent.failsafe._asks.clear()
    cluster.now += 3.0
    a.agent._local_at = cluster.now
    assert a.agent.hosts_to_ask(cluster.now) == []
    assert cluster.problem("a").endswith("it is not known who has to answer")


# -- the promises themselves -----------------------------------------------------------------------------------------


def made(*hosts: str, asked: float = 100.0) -> Failsafe:
    safe = Failsafe(10.0, 0.0)
    safe.wrote(BEAT, 7, hosts)
    assert safe.ask(asked, 0.5)
    return safe


@pytest.mark.parametrize(
    ("do", "until"),
    [
        (lambda safe: [safe.promised(one, 100.0, 10.0) for one in "ab"], 109.0),
        (lambda safe: [safe.promised("a", 100.0, 10.0)], -1e9),
        (lambda safe: [safe.promised("a", 100.0, 10.0), safe.promised("b", 100.0, 4.0)], 103.0),
        (lambda safe: [safe.promised(one, 99.0, 10.0) for one in "ab"], -1e9),
        (lambda safe: [safe.promised(one, 5000.0, 10.0) for one in "ab"], -1e9),
    ],
    ids=["all", "one", "the shortest", "not asked", "of another boot"],
)
def test_until_when_a_lease_is_kept(do: Callable[[Failsafe], object], until: float) -> None:
    safe = made("a", "b")
    do(safe)
    safe.keep(BEAT, 7, 105.0, 101.0)
    assert safe.kept(BEAT, 7) == until
    assert safe.kept(BEAT, 8) == -1e9, "of another epoch"


def test_a_lease_that_is_over_stays_over() -> None:
    safe = made("a")
    safe.promised("a", 100.0, 10.0)
    safe.keep(BEAT, 7, 105.0, 105.0)
    assert safe.kept(BEAT, 7) == -1e9


def test_questions_are_apart_and_old_ones_are_forgotten() -> None:
    safe = made("a")
    assert not safe.ask(100.4, 0.5) and safe.ask(100.5, 0.5) and safe.ask(111.0, 0.5)
    safe.promised("a", 100.0, 100.0)
    safe.keep(BEAT, 7, 115.0, 111.0)
    assert safe.kept(BEAT, 7) == -1e9
    safe.begin_again()
    assert safe.asks(BEAT, 7) == frozenset()


def test_hosts_that_may_have_been_named_are_asked_until_another_write_is_done() -> None:
    safe = made("a")
    safe.writes(BEAT, ("a", "b"))
    assert safe.asks(BEAT, 7) == {"a", "b"} and safe.names(BEAT, 7, ("a",))
    safe.wrote(BEAT, 7, ("a", "c"))
    assert safe.asks(BEAT, 7) == {"a", "c"} and safe.asks(BEAT, 8) == frozenset()


def test_only_those_that_may_take_a_slot_get_it() -> None:
    hosts = [Candidate(one, services=frozenset({"beat"})) for one in "abc"]
    slot = Slot("beat", 0)
    assert place([Rules("beat")], hosts, {}, None, {slot: frozenset("cx")}) == {slot: "c"}
    assert place([Rules("beat")], hosts, {}, None, {slot: frozenset("x")}) == {}
    assert place([Rules("beat")], hosts, {}, {slot: "a"}, {slot: frozenset("bc")}) == {slot: "b"}


@pytest.mark.parametrize("asks", ['"a"', "null", "[1]"])
def test_what_is_no_list_of_hosts_names_none(asks: str) -> None:
    assert slot_record(f'{{"epoch":1,"node":"a","clean":false,"asks":{asks}}}').asks == ()
