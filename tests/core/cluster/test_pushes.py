"""Members that push, follow and advance a configuration on a simulated ZooKeeper, whatever is lost on the way."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.cluster import push_word
from supervisor.core.cluster import version_documents as documents
from supervisor.core.cluster.pushes import GONE, Push, Pushes, There, _Course, untrusted
from supervisor.core.cluster.requests import MEMBERS, Answer, Node, Request, Result, Verb
from supervisor.core.cluster.version_documents import APPLIED, CURRENT, LARGEST, digest_of, text_path
from supervisor.core.cluster.versions import Health, Phase, Record, Report, State, Turn, Version, begin
from tests.core.cluster.simulated_zookeeper import ZooKeeper

BAD = "bad"


class Machine:
    """A host: its part in the cluster, and a daemon that applies what it is told, a step at a time."""

    def __init__(self, world: World, node: str) -> None:
        self.world, self.node = world, node
        self.alive, self.connected = True, False
        self.session = 0
        self.runs: tuple[int, str] = (0, "")
        self.text = ""
        self.seq, self.health = 0, Health.READY
        self.orders: list[Push] = []
        self.begin()

    def begin(self) -> None:
        """A new agent, with a session of its own."""
        self.pushes = Pushes(self.node)
        self.out: Request | None = None
        self.connect()

    def connect(self) -> None:
        engine = self.world.engine
        self.session = engine.connect(self.session, self.world.now)
        self.pushes.connected()
        self.connected, self.out = True, None
        if f"{MEMBERS}/{self.node}" not in engine.nodes:
            engine.carry_out(self.session, Request(Verb.CREATE_EPHEMERAL, f"{MEMBERS}/{self.node}"), self.world.now)

    def hear(self) -> None:
        """Daemon and agent talk: the daemon begins what it is told, and ends what it has begun."""
        word = self.pushes.word(self.world.there())
        wants = None
        if word is not None:
            turn = word["turn"]
            if (turn["number"], turn["digest"]) != self.runs:
                if turn["number"] == 0 or ("text" in word and digest_of(word["text"]) == turn["digest"]):
                    self.runs, self.text = (turn["number"], turn["digest"]), word.get("text", "")
                    self.seq, self.health = turn["seq"], Health.CHANGING
                else:
                    wants = turn["number"], turn["digest"]
            else:
                self.seq = turn["seq"]
                if self.health is Health.CHANGING:
                    self.health = Health.FAILED if f"{BAD} {self.node}" in self.text else Health.READY
        reason = "web is not ready" if self.health is Health.FAILED else ""
        text = self.text if word is not None and word.get("keep") else None
        self.pushes.told(Report(*self.runs, self.seq, self.health, reason), wants, self.orders, None, text)

    def ask(self) -> None:
        if self.out is None and self.connected:
            self.out = self.pushes.next_request(self.world.there(), self.world.now)

    def answer(self, lost: bool = False, done: bool = True) -> None:
        """The request on its way is answered, or lost: then it is carried out or not."""
        if self.out is None:
            return
        request, self.out = self.out, None
        if done or not lost:
            found = self.world.engine.carry_out(self.session, request, self.world.now)
        if lost:
            self.pushes.answered(Answer(request, Result.UNKNOWN, self.world.now), self.world.now)
        else:
            self.pushes.answered(found, self.world.now)

    def die(self) -> None:
        self.alive = self.connected = False
        self.pushes.disconnected()
        self.world.engine.sessions[self.session].heard = -1e9
        self.world.engine.expire(self.world.now)

    def come_back(self) -> None:
        self.alive, self.session = True, 0
        self.begin()

    @property
    def outcome(self) -> dict[str, Any]:
        return dict(self.pushes.outcomes()[0])


class World:
    def __init__(self, names: str = "abc") -> None:
        self.now = 1000.0
        self.pushed = 0
        self.engine = ZooKeeper(granted=1e9)
        self.engine.nodes[MEMBERS] = Node("", 0, 0)
        self.names = names
        self.machines = {name: Machine(self, name) for name in names}

    def __getitem__(self, name: str) -> Machine:
        return self.machines[name]

    def there(self) -> There:
        nodes = self.engine.nodes
        members = {n: nodes[f"{MEMBERS}/{n}"].created for n in self.names if f"{MEMBERS}/{n}" in nodes}
        return There(members, frozenset(self.names))

    def fire(self) -> None:
        fired, self.engine.fired = self.engine.fired, []
        for session, verb, path in fired:
            for one in self.machines.values():
                if one.session == session and one.connected:
                    one.pushes.changed(verb, path)

    def turn(self, seconds: float = 0.1) -> None:
        self.now += seconds
        for one in self.machines.values():
            if one.alive:
                one.hear()
                one.ask()
                one.answer()
        self.fire()

    def turns(self, number: int = 200, seconds: float = 0.1) -> None:
        for _ in range(number):
            self.turn(seconds)

    @property
    def record(self) -> Record:
        found = documents.record(self.engine.nodes[CURRENT].data)
        assert found is not None
        return found

    def push(self, text: str, name: str = "a", **more: Any) -> Machine:
        machine = self[name]
        self.pushed += 1
        number = str(self.pushed)
        machine.orders = [Push(number, text, "root", 5.0, f"{name}{number}{text}", **more)]
        return machine


def test_a_push_reaches_all_hosts_and_an_undo_brings_the_text_before() -> None:
    world = World()
    world.turns(20)
    assert CURRENT not in world.engine.nodes and not any(p.startswith("/applied/") for p in world.engine.nodes)
    pusher = world.push("one")
    world.turns()
    assert pusher.outcome == {"id": "1", "done": True, "error": "", "number": 1}
    assert {one.text for one in world.machines.values()} == {"one"}
    world.push("two", "b")
    world.turns()
    assert {one.runs for one in world.machines.values()} == {(2, digest_of("two"))}
    world.push("", "c", undo=True)
    world.turns()
    assert {(one.runs[0], one.text) for one in world.machines.values()} == {(3, "one")}
    last = world.record.history[-1]
    assert (last.origin, last.state, last.by, last.host) == (1, State.IN_FORCE, "root", "c")
    word = world["b"].pushes.word(world.there())
    assert word is not None and word["consistency"] == 1.0 and word["in_force"] == 3
    assert [one["number"] for one in word["history"]] == [1, 2, 3]
    assert [one["health"] for one in word["hosts"]] == ["ready"] * 3


def test_a_bad_version_is_taken_back_everywhere() -> None:
    world = World()
    world.push("one")
    world.turns()
    world.push(f"{BAD} b")
    world.turns()
    assert {one.text for one in world.machines.values()} == {"one"}
    failed = world.record.history[-1]
    assert (failed.state, failed.failed_on, failed.reason) == (State.ROLLED_BACK, "b", "web is not ready")
    assert all(one.pushes.behind() == "" for one in world.machines.values())


def test_the_first_version_goes_back_to_each_hosts_own_file() -> None:
    world = World()
    world.push(f"{BAD} a")
    world.turns()
    assert {one.runs for one in world.machines.values()} == {(0, "")}
    assert world.record.in_force == 0


def test_a_push_in_progress_refuses_another_and_says_whose_it_is() -> None:
    world = World()
    slow, hear = world["c"], world["c"].hear
    world.push("one")
    world.turns(8)
    slow.hear = lambda: None  # type: ignore[method-assign]
    assert world.record.phase is Phase.ROLLING
    for undo in (False, True):
        refused = world.push("two", "b", undo=undo)
        world.turns(20)
        error = str(refused.outcome["error"])
        assert error.startswith("version 1, pushed by root on a, is being rolled out; told so far: "), error
        refused.orders = []
    slow.hear = hear  # type: ignore[method-assign]
    world.turns()
    assert world.record.in_force == 1


def test_two_pushes_at_a_time() -> None:
    """Their texts have nodes of their own, and one record begins."""
    world = World()
    world.turns(20)
    one, other = world.push("one"), world.push("other", "b")
    world.turns()
    outcomes = sorted([one.outcome, other.outcome], key=lambda outcome: bool(outcome["done"]))
    assert not outcomes[0]["done"] and "is being rolled out" in str(outcomes[0]["error"])
    texts = [path for path in world.engine.nodes if path.startswith("/config/") and path != CURRENT]
    assert texts == [text_path(world.record.number)] or len(texts) == 2


def test_a_push_whose_text_is_stored_when_another_one_begins() -> None:
    """It is refused while that lasts, and takes the next number when it has ended."""
    pushes = Pushes("a")
    course = _Course(Push("1", "text", "root", 0.0, "m"), number=2, text="text", stored=True)
    ended = Record(number=2, history=(Version(2, "d", state=State.ROLLED_BACK),))
    assert pushes._pushed(course, ended) == Request(Verb.CREATE, text_path(3), documents.dump_text("text", "m"))
    assert (course.number, course.stored, course.outcome) == (3, False, None)
    assert pushes._pushed(course, replace(ended, phase=Phase.ROLLING)) is None
    assert course.outcome is not None and "is being rolled out" in course.outcome["error"]
    other = _Course(Push("2", "text", "root", 0.0, "m"), number=2, text="text", stored=True)
    pushes._courses = {"2": other}
    pushes._text_answered(Request(Verb.GET, text_path(1)), Result.DONE, Node(documents.dump_text("x", "y"), 0, 1))
    assert (other.number, other.stored) == (2, True), "the daemon lacks another version"
    pushes.answered(Answer(Request(Verb.GET, CURRENT), Result.DONE, 0.0), 0.0)
    assert pushes.turn() is None, "nobody has asked for that"


def test_what_is_not_pushed() -> None:
    world = World()
    for order, error in (
        ({"text": "x" * (LARGEST + 1)}, f"the file has {LARGEST + 1} bytes; at most {LARGEST} can be pushed"),
        ({"text": "", "undo": True}, "nothing was pushed yet"),
    ):
        pusher = world.push(**order)
        world.turns(20)
        assert pusher.outcome == {"id": pusher.orders[0].id, "done": False, "error": error}
    world.push("one")
    world.turns()
    pusher = world.push("", undo=True)
    world.turns(20)
    assert pusher.outcome["error"] == "no version was in force before the present one"
    pusher = world.push("one", "b")
    world.turns(20)
    assert pusher.outcome["done"] and pusher.outcome["number"] == 1 and world.record.number == 1


def test_an_undo_of_a_text_that_is_gone() -> None:
    world = World()
    for text in ("one", "two"):
        world.push(text)
        world.turns()
    del world.engine.nodes[text_path(1)]
    pusher = world.push("", "b", undo=True)
    world.turns(20)
    assert pusher.outcome["error"] == "version 1 is no longer in ZooKeeper"


def test_a_pusher_that_dies_leaves_a_push_that_goes_on() -> None:
    world = World()
    world.push("one")
    while CURRENT not in world.engine.nodes:
        world.turn()
    world["a"].die()
    world.turns()
    assert world.record.in_force == 1 or world.record.history[-1].state is State.ROLLED_BACK
    assert world["b"].runs == world["c"].runs == (world.record.in_force, world.record.digest(world.record.in_force))
    world["a"].come_back()
    assert world["a"].pushes.behind() == "the configuration in force has not been read yet"
    world.turns(20)
    assert {one.runs for one in world.machines.values()} == {world["b"].runs}


def test_a_host_that_goes_in_its_change_turns_all_back() -> None:
    world = World()
    world.push("one")
    while CURRENT not in world.engine.nodes or not world.record.turns:
        world.turn()
    (host,) = world.record.turns
    world[host].die()
    world.turns(int(GONE / 0.1) - 5)
    assert world.record.phase is Phase.ROLLING
    world.turns()
    failed = world.record.history[-1]
    assert (failed.state, failed.failed_on, failed.reason) == (
        State.ROLLED_BACK, host, "it went away while it changed",
    )  # fmt: skip


def test_a_host_that_is_silent_turns_all_back_in_time() -> None:
    world = World()
    world["b"].hear = lambda: None  # type: ignore[method-assign]
    world.push("one", timeout=20.0)
    world.turns()
    assert world.record.phase is Phase.ROLLING
    world.turns(600)
    assert world.record.history[-1].reason == "it was not ready after 20 s" and world.record.phase is Phase.SETTLED


def test_texts_of_which_the_record_knows_nothing_are_removed() -> None:
    world = World("a")
    world.engine.nodes[text_path(1)] = Node(documents.dump_text("lost", "other"), 0, 1)
    world.engine.nodes["/config"] = Node("", 0, 1)
    world.push("one")
    world.turns()
    assert world.record.number == 2 and world["a"].text == "one"
    assert text_path(1) not in world.engine.nodes and text_path(2) in world.engine.nodes


def test_a_host_that_does_not_run_its_version_says_why_it_takes_nothing() -> None:
    world = World()
    world.push(f"one {BAD} c")
    world["c"].die()
    world.turns()
    assert world.record.in_force == 1
    world["c"].come_back()
    world.turns(10)
    assert world["c"].pushes.behind().startswith("it does not run version 1 of the configuration: ")
    world.turns(20)
    assert world["c"].pushes.behind() == "it does not run version 1 of the configuration: web is not ready"
    word = world["a"].pushes.word(world.there())
    assert word is not None and word["consistency"] == pytest.approx(2 / 3, abs=1e-3)


def test_a_host_in_its_turn_takes_nothing_while_it_has_the_plan_of_a_version_that_is_over() -> None:
    """It was away while version 2 came into force.  Its turn for version 3 comes, and the plan is read anew later."""
    world = World()
    for text in ("one", "two"):
        world.push(text)
        world.turns()
    pushes, changing = world["c"].pushes, Report(3, digest_of("three"), 9, Health.CHANGING)
    rolling = begin(world.record, Version(3, changing.digest), "1", 5.0)
    told = replace(rolling, turns={"c": Turn(3, rolling.seq)})
    pushes._record_read(Node(documents.dump_record(told), 9, 1), world.now)
    runs = {"number": 3, "digest": changing.digest, "seq": 9, "health": "changing", "reason": "", "differs": False}
    for number, text in (2, "two"), (3, "three"):
        push_word.hear(pushes, {"pushed": {**runs, "wants": None, "plan": [number, digest_of(text)]}})
        assert pushes.behind() == ""
    push_word.hear(pushes, {"pushed": {**runs, "wants": None}})  # an earlier build
    assert pushes.behind() == ""
    push_word.hear(pushes, {"pushed": {**runs, "wants": None, "plan": [1, digest_of("one")]}})
    assert pushes.behind() == "it does not run version 3 of the configuration: it changes to it"


def test_what_cannot_be_read_is_told_and_left() -> None:
    world = World("a")
    world.engine.nodes["/config"] = Node("", 0, 1)
    world.engine.nodes[CURRENT] = Node("garbage", 0, 1)
    world.turns(20)
    pushes = world["a"].pushes
    assert pushes.word(world.there()) is None and pushes.turn() is None
    assert "another version of the supervisor" in pushes.behind()
    for text in ("", "[]", "{}", '{"number": "1"}', '{"turns": []}'):
        assert documents.record(text) is None and documents.report(text) is None
        assert documents.text_and_mark(text) == ("", "")
    text = documents.dump_record(Record(max_unavailable="x"))
    assert documents.record(text) is None
    assert documents.record(documents.dump_record(Record(max_unavailable="25%"))) == Record(max_unavailable="25%")
    report = Report(1, "d", 2, Health.FAILED, "why", True)
    assert documents.report(documents.dump_report(report)) == report


def test_what_zookeeper_refuses_is_told_and_tried_again() -> None:
    world = World("a")
    one = world.push("one")
    one.hear()
    one.ask()
    assert one.out is not None
    request, one.out = one.out, None
    one.pushes.answered(Answer(request, Result.REFUSED, 0.0, reason="no"), world.now)
    assert one.outcome == {"id": "1", "done": False, "error": "create /config: no"}
    one.ask()
    assert one.out is None
    world.now += 6.0
    one.ask()
    assert one.out is not None


def test_a_report_that_a_person_removes_or_spoils_is_written_again() -> None:
    world = World()
    world.push("one")
    world.turns()
    world.engine.nodes["/applied/b"] = Node("garbage", 0, 1)
    world["a"].connect()
    world["b"].connect()
    world.turns(20)
    assert documents.report(world.engine.nodes["/applied/b"].data) is not None
    del world.engine.nodes["/applied/b"]
    for one in world.machines.values():
        one.connect()
    world.turns(20)
    assert "/applied/b" in world.engine.nodes


def test_a_daemons_words() -> None:
    pushes = Pushes("a")
    push_word.hear(pushes, {})
    runs = {"number": 1, "digest": "d", "seq": 2, "health": "ready", "reason": "", "differs": True, "wants": [2, "e"]}
    push = {
        "id": "7", "text": "t", "by": "root", "at": 1.0, "mark": "m", "max_unavailable": "1", "timeout": 5.0,
        "undo": False,
    }  # fmt: skip
    push_word.hear(pushes, {"pushed": runs, "pushes": [push]})
    push_word.hear(pushes, {"pushed": runs | {"wants": None}})
    with pytest.raises(ValueError, match="well"):
        push_word.hear(pushes, {"pushed": runs | {"health": "well"}})


@pytest.mark.parametrize(
    ("hosts", "proof", "trusted"),
    [
        ("127.0.0.1:2181,localhost,[::1]:2181/phi", "", True),
        ("127.0.0.1:2181,10.0.0.1:2181", "", False),
        ("127.0.0.1.example.org", "", False),
        ("10.0.0.1:2181/phi", "/etc/zk", True),
    ],
)
def test_a_host_runs_nothing_that_any_client_could_have_written(hosts: str, proof: str, trusted: bool) -> None:
    why = untrusted(hosts, "", proof)
    assert (why == "") is trusted
    pushes = Pushes("a", why)
    pushes.connected()
    pushes.told(Report(0), None, [Push("1", "x", "root", 0.0, "m")])
    assert pushes.behind() == ("" if why else "the configuration in force has not been read yet")
    there = There({"a": 1}, frozenset("a"))
    if why:
        assert pushes.next_request(there, 0.0) is None and pushes.word(there) is None
        assert pushes.outcomes() == [{"id": "1", "done": False, "error": why}]


def test_a_host_whose_name_another_one_bears_tells_nothing_in_that_name() -> None:
    """Both would write the same node again and again, and a push would take the word of one for that of the other."""
    world = World("ab")
    world.push("one")
    world.turns()
    one = world["a"].pushes
    there = world.there()
    assert not there.doubled
    one.told(Report(7, "x"), None, [])
    assert one.next_request(there._replace(doubled=True), world.now) is None
    request = one.next_request(there, world.now)
    assert request is not None and (request.verb, request.path) == (Verb.SET, f"{APPLIED}/a")


def test_a_daemon_of_an_earlier_build_runs_its_own_file() -> None:
    world = World("ab")
    one = world["b"]
    one.hear = lambda: None  # type: ignore[method-assign]
    world.turns(20)
    assert one.pushes.behind() == ""
    world["b"].die()
    world.push("one")
    world.turns()
    one.come_back()
    world.turns(20)
    assert one.pushes.behind() == "its daemon is too old for the configuration that was pushed"


VERBS = st.sampled_from(["turn", "turn", "turn", "lose", "lose undone", "die", "back", "cut", "push", "undo", "hear"])


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_whatever_is_lost_all_hosts_end_on_one_version(data: st.DataObject) -> None:
    """Requests without an answer, sessions that end, agents that begin anew, pushes of several persons."""
    world = World()
    for verb, name in data.draw(st.lists(st.tuples(VERBS, st.sampled_from("abc")), max_size=80)):
        one = world[name]
        if verb == "turn":
            world.turn()
        elif verb == "push" and one.alive:
            world.push(data.draw(st.sampled_from(["one", "two", f"{BAD} {name}"])), name)
        elif verb == "undo" and one.alive:
            world.push("", name, undo=True)
        elif verb == "die" and one.alive:
            one.die()
        elif verb == "back" and not one.alive:
            one.come_back()
        elif verb == "cut" and one.alive:
            one.pushes.disconnected()
            one.connect()
        elif verb.startswith("lose") and one.alive:
            one.ask()
            one.answer(lost=True, done=verb == "lose")
            one.pushes.disconnected()  # a request without an answer costs the connection
            one.connect()
        elif verb == "hear" and one.alive:
            one.hear()
    for one in world.machines.values():
        if not one.alive:
            one.come_back()
        one.orders = []
    world.turns(400)
    if CURRENT not in world.engine.nodes:
        return
    record = world.record
    assert record.phase is Phase.SETTLED
    assert {one.runs for one in world.machines.values()} == {(record.in_force, record.digest(record.in_force))}
    assert [one.number for one in record.history if one.state is State.IN_FORCE] == [record.in_force] * bool(
        record.in_force
    )
    assert json.loads(world.engine.nodes[CURRENT].data)["number"] == record.number


@pytest.mark.parametrize("carried_out", [True, False])
def test_each_request_may_remain_without_an_answer_once(carried_out: bool) -> None:
    """Here the connection outlives it.  All is settled long before the time of a step is over."""
    world, unanswered = World(), set[tuple[str, Request | None]]()

    def loses(one: Machine) -> None:
        answer = one.answer

        def answers(lost: bool = False, done: bool = True) -> None:
            first = one.out is not None and (one.node, one.out) not in unanswered
            unanswered.add((one.node, one.out))
            answer(first, carried_out or not first)

        one.answer = answers  # type: ignore[method-assign]

    for one in world.machines.values():
        loses(one)
    world.turns()
    world.push("one")
    world.turns(400)
    assert {one.text for one in world.machines.values()} == {"one"} and world.record.phase is Phase.SETTLED
    world.push("two", "b")
    world.turns(400)
    assert {one.text for one in world.machines.values()} == {"two"} and world.record.phase is Phase.SETTLED


def counted(machine: Machine) -> list[Request]:
    """What this machine asks ZooKeeper from now on."""
    asked: list[Request] = []
    ask = machine.ask

    def counts() -> None:
        before = machine.out
        ask()
        if machine.out is not None and machine.out is not before:
            asked.append(machine.out)

    machine.ask = counts  # type: ignore[method-assign]
    return asked


@pytest.mark.parametrize("text", [None, "garbage", documents.dump_text("other", "m"), documents.dump_text("", "m")])
def test_a_text_that_is_not_the_records_stops_no_push_and_is_not_asked_for_without_end(text: str | None) -> None:
    """Here of the member that leads: it goes on to lead, and the push comes back in time."""
    world = World()
    world.turns(20)
    asked = counted(world["a"])
    world.push("one", "b", timeout=20.0)
    while CURRENT not in world.engine.nodes:
        world.turn()
    del world.engine.nodes[text_path(1)]
    if text is not None:
        world.engine.nodes[text_path(1)] = Node(text, 0, 1)
    world.turns(100)
    word = world["a"].pushes.word(world.there())
    assert (
        word is not None and word["problem"] == "the text of version 1 in ZooKeeper cannot be read, or is another one"
    )
    world.turns(500)
    assert world.record.phase is Phase.SETTLED and world.record.history[-1].reason == "it was not ready after 20 s"
    assert sum(one.path == text_path(1) for one in asked) < 10
    word = world["a"].pushes.word(world.there())
    assert word is not None and word["problem"] == "", "it does not need it any more"


def test_a_read_that_zookeeper_refuses_is_tried_again_and_holds_up_nothing_else() -> None:
    world = World("ab")
    world.turns(20)
    one = world["a"]
    one.connect()
    refuse = True
    answer = one.answer

    def answers(lost: bool = False, done: bool = True) -> None:
        read = one.out is not None and one.out.verb is Verb.GET
        if refuse and read and one.out is not None and one.out.path in (CURRENT, text_path(1)):
            request, one.out = one.out, None
            one.pushes.answered(Answer(request, Result.REFUSED, 0.0, reason="NoAuth"), world.now)
            return
        answer(lost, done)

    one.answer = answers  # type: ignore[method-assign]
    world.turns(20)
    assert one.pushes.unread
    refuse = False
    world.turns(60)
    assert one.pushes.behind() == "" and not one.pushes.unread
    refuse = True
    world.push("one", "b")
    world.turns(100)
    refuse = False
    world.turns(200)
    assert world.record.in_force == 1 and one.text == "one"


@pytest.mark.parametrize("gone", [["/applied"], ["/config"], ["/applied", "/config"]])
def test_directories_that_a_person_removes_are_made_again(gone: list[str]) -> None:
    world = World("ab")
    world.turns(20)
    asked = counted(world["a"])
    for path in gone:
        del world.engine.nodes[path]
    world.push("one")
    world.turns(100)
    assert {one.text for one in world.machines.values()} == {"one"} and world.record.number == 1
    assert len(asked) < 60


def test_where_directories_cannot_be_made_there_is_a_pause() -> None:
    """Not even the root of the cluster's nodes is there."""
    pushes, asked = Pushes("a"), 0
    pushes.connected()
    pushes.told(Report(0), None, [Push("1", "x", "root", 0.0, "m")])
    there = There({"a": 1}, frozenset("a"))
    for tick in range(1000):
        request = pushes.next_request(there, tick / 10)
        if request is not None:
            asked += 1
            pushes.answered(Answer(request, Result.NO_NODE, 0.0), tick / 10)
    assert asked < 150


def test_a_report_that_a_person_empties_is_written_once() -> None:
    world = World("ab")
    world.push("one")
    world.turns()
    world["b"].die()
    world.engine.nodes["/applied/b"] = Node("", 0, 1)
    world["b"].come_back()
    asked = counted(world["b"])
    world.turns(100)
    assert documents.report(world.engine.nodes["/applied/b"].data) is not None and len(asked) < 20


def test_an_undo_whose_record_is_lost_pushes_nothing() -> None:
    """An empty text would stop every service."""
    pushes = Pushes("a")
    course = _Course(Push("1", "", "root", 0.0, "m", undo=True), number=4)
    assert pushes._pushed(course, Record()) is None
    assert course.outcome is not None and course.outcome["error"] == "nothing was pushed yet"


def test_names_of_texts_that_are_no_numbers_are_left() -> None:
    pushes = Pushes("a")
    pushes._listed("/config", ("9" * 5000, "current", "12", "\u0663"))
    assert pushes._prune == [12]


def test_an_order_that_no_record_can_hold_is_refused() -> None:
    for more in ({"timeout": float("nan")}, {"max_unavailable": "9" * 5000}):
        world = World("ab")
        pusher = world.push("one", **more)
        world.turns()
        assert pusher.outcome == {"id": "1", "done": False, "error": "the order has numbers that make no sense"}
        assert CURRENT not in world.engine.nodes


def test_where_the_record_is_lost_each_host_keeps_what_it_runs() -> None:
    """Else all would go to their own files at one time, whatever `max_unavailable` says."""
    world = World()
    world.push("one")
    world.turns()
    world["a"].orders = []
    del world.engine.nodes[CURRENT]
    for one in world.machines.values():
        one.connect()
    world["c"].begin()  # a new agent, which reads before its daemon speaks
    world.turns(50)
    assert {one.runs for one in world.machines.values()} == {(1, digest_of("one"))}
    word = world["b"].pushes.word(world.there())
    assert word is not None and word["problem"].startswith("ZooKeeper has lost which version is in force: ")
    assert all(one.pushes.behind() == "" for one in world.machines.values())
    world.push("two", "b")
    world.turns()
    assert {one.text for one in world.machines.values()} == {"two"} and world.record.in_force == 2
    world.push("", "b", undo=True)
    world.turns()
    assert {one.text for one in world.machines.values()} == {"one"}
    word = world["b"].pushes.word(world.there())
    assert word is not None and word["problem"] == ""


def test_no_word_of_versions_before_the_daemon_has_spoken() -> None:
    pushes, there = Pushes("a"), There({"a": 1}, frozenset("a"))
    pushes._record_read(None, 0.0)
    assert pushes.word(there) is None and pushes.behind() == ""
    pushes.told(Report(3, "d"), None, ())
    word = pushes.word(there)
    assert word is not None and word["turn"] == {"number": 3, "digest": "d", "seq": 0}
