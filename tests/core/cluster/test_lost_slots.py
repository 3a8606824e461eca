"""A slot that is taken from its host while the session lives (`cluster evict`): its lease ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.cluster.agent import Agent
from supervisor.core.cluster.local import Local, Placed, Present, Settings
from supervisor.core.cluster.placement import Rules, Slot
from supervisor.core.cluster.requests import WRITES, Answer, Request, Result, Verb, owner_path
from tests.core.cluster.simulated_zookeeper import ZooKeeper

BEAT, NIGHT = Slot("beat", 0), Slot("night", 0)
SERVICES = Placed(Rules("beat"), "d1", 3.0), Placed(Rules("night"), "d1", 3.0)


class Owner:
    """An agent that holds both slots.  Its requests are answered, or not, as a test says."""

    def __init__(self) -> None:
        self.engine, self.now = ZooKeeper(), 100.0
        self.agent = Agent(Settings("a", contact_interval=1.0, request_timeout=1.0), "mark")
        self.session = self.engine.connect(0, self.now)
        self.agent.connected(self.session, self.engine.granted)
        while not self.kills():
            self.now += 1.0
            self.speak()
            self.ask()

    def speak(self) -> None:
        self.agent.told(Local(SERVICES, dict.fromkeys((BEAT, NIGHT), Present(0, gone=True))), self.now)

    def ask(self, *, reads: bool = True) -> list[Request]:
        """What it asks; `reads` False: the answer of a read is lost, and the connection is made again."""
        found = []
        while (request := self.agent.next_request(self.now)) is not None:
            found.append(request)
            answer = self.engine.carry_out(self.session, request, self.now)
            if not reads and request.verb not in WRITES:
                self.agent.answered(Answer(request, Result.UNKNOWN, self.now), self.now)
                self.connect_again()
                break
            self.hear()
            self.agent.answered(answer, self.now)
            self.hear()
        return found

    def hear(self) -> None:
        """A server tells a change before it answers a later write."""
        for _, verb, path in self.engine.fired:
            self.agent.changed(verb, path)
        self.engine.fired.clear()

    def connect_again(self) -> None:
        self.agent.disconnected()
        self.engine.watches.clear()
        self.engine.fired.clear()
        self.agent.connected(self.session, self.engine.granted)

    def evict(self) -> None:
        self.engine.carry_out(self.session, Request(Verb.DELETE, owner_path(*BEAT)), self.now)

    def epoch(self) -> int:
        return self.engine.nodes[owner_path(*BEAT)].created

    def kills(self) -> dict[str, float]:
        """Until when each slot is leased."""
        return {one.service: one.kill_at for one in self.agent.leases(self.now)}


def test_a_host_that_writes_and_cannot_read_goes_on_with_no_lease() -> None:
    a = Owner()
    before, epoch = a.kills(), a.epoch()
    a.agent.disconnected()
    a.evict()
    a.connect_again()
    for _ in range(20):
        a.now += 0.5
        a.speak()
        assert a.ask(reads=False)[0].verb is Verb.SET
        assert a.agent.contact is not None and a.agent.contact.sent == a.now, "its session lives"
        assert a.kills() == before
    a.ask()
    assert a.kills()["night"] == a.now + a.engine.granted - 1.0
    assert epoch not in {one.epoch for one in a.agent.leases(a.now)}


def test_a_write_that_is_answered_after_the_change_was_told_does_not_count() -> None:
    a = Owner()
    before = a.kills()
    a.now += 1.1
    a.speak()
    a.evict()
    write = a.agent.next_request(a.now)
    assert write is not None and write.verb in WRITES
    a.hear()
    a.agent.answered(a.engine.carry_out(a.session, write, a.now), a.now)
    assert a.kills()["beat"] == before["beat"]
    assert a.kills()["night"] == a.now + a.engine.granted - 1.0


def test_what_a_host_holds_is_read_first_on_a_new_connection() -> None:
    """With a slow network the rest takes longer than a lease."""
    a = Owner()
    a.connect_again()
    paths = [one.path for one in a.ask()]
    assert set(paths[1:3]) == {owner_path(*BEAT), owner_path(*NIGHT)}
    assert a.kills()["beat"] == a.now + a.engine.granted - 1.0


def test_a_server_that_grants_less_at_a_new_connection_shortens_the_lease() -> None:
    a = Owner()
    before = a.kills()["beat"]
    a.agent.disconnected()
    a.agent.connected(a.session, a.engine.granted - 4.0)
    assert a.kills()["beat"] == before - 4.0
    a.agent.connected(a.session, a.engine.granted + 4.0)
    assert a.kills()["beat"] == before


def test_the_next_agent_of_a_session_has_no_lease_before_it_has_read_what_it_holds() -> None:
    a = Owner()
    new = Agent(a.agent.settings, "mark")
    new.connected(a.session, a.engine.granted)
    new.told(Local(SERVICES), a.now)
    owner = Request(Verb.GET, owner_path(*BEAT))
    while (request := new.next_request(a.now)) != owner:
        assert request is not None
        new.answered(a.engine.carry_out(a.session, request, a.now), a.now)
    new.changed(owner.verb, owner.path)
    new.answered(a.engine.carry_out(a.session, owner, a.now), a.now)
    assert "beat" not in {one.service for one in new.leases(a.now)}
    while (request := new.next_request(a.now)) is not None:
        new.answered(a.engine.carry_out(a.session, request, a.now), a.now)
    assert "beat" in {one.service for one in new.leases(a.now)}


@given(st.lists(st.sampled_from(["answered", "reads lost", "connected again", "evicted", "told", "late"]), max_size=40))
def test_no_lease_goes_on_after_the_slot_was_taken(happens: list[str]) -> None:
    """The next owner counts the longest lease from the moment in which the slot was taken."""
    a = Owner()
    epoch = a.epoch()
    taken: float | None = None
    for what in happens:
        a.now += 0.7
        a.speak()
        match what:
            case "answered":
                a.ask()
            case "reads lost":
                a.ask(reads=False)
            case "connected again":
                a.connect_again()
            case "evicted" if taken is None:
                taken = a.now
                a.evict()
            case "told":
                a.hear()
            case "late" if (request := a.agent.next_request(a.now)) is not None:
                a.now += 0.6
                answer = a.engine.carry_out(a.session, request, a.now)
                a.hear()
                a.agent.answered(answer._replace(sent=a.now - 0.6), a.now)
        for one in a.agent.leases(a.now):
            if taken is not None and one.epoch == epoch:
                assert one.kill_at <= taken + a.engine.granted - 1.0
