"""The adapter against real servers: what each request answers, and what is told of connections and sessions."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from kazoo.protocol.connection import ConnectionDropped

from supervisor.adapters.zookeeper.client import Session, credentials, now
from supervisor.adapters.zookeeper.events import Answered, Changed, Connected, Disconnected, Expired
from supervisor.core.cluster.requests import Request, Result, Verb
from supervisor.errors import OperationFailed
from tests.doubles.zookeeper_servers import MISSING, Ensemble
from tests.doubles.zookeeper_user import User

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
numbers = count()


@pytest.fixture
def user(ensemble: Ensemble) -> Iterator[Callable[..., User]]:
    """Makes users with the same new chroot; all end with the test."""
    users: list[User] = []
    root = f"/test{os.getpid()}-{next(numbers)}"

    def make(**options: object) -> User:
        one = User(f"{ensemble.hosts}{root}", **options)  # type: ignore[arg-type]
        users.append(one)
        return one

    yield make
    for one in users:
        one.zookeeper.close()


def test_requests_answer_what_became_of_them(user: Callable[..., User]) -> None:
    a = user()
    session = a.connected()
    before = now()
    made = a.ask(Request(Verb.CREATE, "/slots/web@0", "one"))
    assert made.result is Result.DONE, "the chroot and the parents are made with it"
    assert before <= made.sent <= now()
    assert a.ask(Request(Verb.CREATE, "/slots/web@0", "two")).result is Result.EXISTS
    owner = Request(Verb.CREATE_EPHEMERAL, "/slots/web@0/owner", "me")
    assert a.ask(owner).result is Result.DONE
    assert a.ask(owner).result is Result.EXISTS, "a second one does not make a second node"
    read = a.ask(Request(Verb.GET, "/slots/web@0/owner"))
    assert read.node is not None and read.node.session == session.number
    assert read.node.data == "me" and read.node.created > 0
    assert a.ask(Request(Verb.CHILDREN, "/slots/web@0")).names == ("owner",)
    assert a.ask(Request(Verb.CHILDREN, "/nothing")).result is Result.NO_NODE
    assert a.ask(Request(Verb.SET, "/slots/web@0", "three", 0)).result is Result.DONE
    assert a.ask(Request(Verb.SET, "/slots/web@0", "four", 0)).result is Result.BAD_VERSION
    assert a.ask(Request(Verb.DELETE, "/slots/web@0/owner", version=0)).result is Result.DONE
    assert a.ask(Request(Verb.DELETE, "/slots/web@0/owner", version=0)).result is Result.NO_NODE
    refused = a.ask(Request(Verb.CREATE_EPHEMERAL, "/no/parent"))
    assert refused.result is Result.NO_NODE


def test_a_delete_is_refused_where_its_guard_has_changed(user: Callable[..., User]) -> None:
    """A node that was deleted and made again has the same version: only the node that stays tells them apart."""
    a = user()
    a.connected()
    a.ask(Request(Verb.CREATE, "/slot"))
    a.ask(Request(Verb.CREATE, "/slot/owner"))
    a.ask(Request(Verb.SET, "/slot", "later", 0))
    late = Request(Verb.DELETE, "/slot/owner", "", 0, "/slot", 0)
    assert a.ask(late).result is Result.BAD_VERSION
    assert a.node("/slot/owner") is not None
    assert a.ask(late._replace(guard_version=1)).result is Result.DONE
    assert a.ask(late._replace(guard_version=1)).result is Result.NO_NODE


def test_a_watch_tells_once_of_a_node_that_comes_changes_and_goes(user: Callable[..., User]) -> None:
    a, b = user(), user()
    a.connected(), b.connected()
    b.ask(Request(Verb.CREATE, "/slots"))
    told = Changed(Verb.GET, "/slots/x")
    for change in (
        Request(Verb.CREATE, "/slots/x", "1"), Request(Verb.SET, "/slots/x", "2"), Request(Verb.DELETE, "/slots/x"),
    ):  # fmt: skip
        a.node("/slots/x")
        a.ask(Request(Verb.CHILDREN, "/slots"))
        seen = len(a.events)
        assert b.ask(change).result is Result.DONE
        while told not in a.events[seen:]:
            a.until(Changed, len(a.events))
        a.ask(Request(Verb.GET, "/slots"))
        assert a.events[seen:].count(told) == 1


def test_a_change_is_told_before_a_later_write_is_answered(user: Callable[..., User]) -> None:
    """By that a host knows that a slot was still its own when it wrote."""
    a, b = user(), user()
    a.connected(), b.connected()
    for path in ("/x", "/y"):
        b.ask(Request(Verb.CREATE, path))
    for number in range(30):
        a.node("/x")
        seen = len(a.events)
        b.ask(Request(Verb.SET, "/x", str(number)))
        a.ask(Request(Verb.SET, "/y"))
        assert Changed(Verb.GET, "/x") in a.events[seen:]


def test_a_new_process_goes_on_with_the_session(user: Callable[..., User], ensemble: Ensemble) -> None:
    a = user()
    session = a.connected()
    a.ask(Request(Verb.CREATE, "/members"))
    a.ask(Request(Verb.CREATE_EPHEMERAL, "/members/a", "first"))
    b = user(session=session)
    assert b.connected().number == session.number
    node = b.node("/members/a")
    assert node is not None and node.session == session.number


def test_the_timeout_is_the_one_that_was_granted(user: Callable[..., User]) -> None:
    assert user(timeout=3600.0).until(Connected).granted == 10.0, "20 ticks of 0.5 s"
    assert user(timeout=0.1).until(Connected).granted == 1.0, "2 ticks"


def test_an_unknown_session_is_a_new_one(user: Callable[..., User]) -> None:
    a = user(session=Session(4711, b"x" * 16))
    assert a.connected().number not in (0, 4711)


def test_a_node_of_other_credentials_is_refused(user: Callable[..., User], tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    own.write_text("phi:secret\n")
    other.write_text("phi:guessed\n")
    a, b, c = user(credentials_file=str(own)), user(credentials_file=str(other)), user()
    a.connected()
    assert a.ask(Request(Verb.CREATE, "/slots/x")).result is Result.DONE
    assert a.node("/slots/x") is not None
    for stranger in (b, c):
        stranger.connected()
        for request in (
            Request(Verb.GET, "/slots/x"), Request(Verb.SET, "/slots/x"), Request(Verb.CHILDREN, "/slots"),
            Request(Verb.CREATE_EPHEMERAL, "/slots/y"), Request(Verb.DELETE, "/slots/x"),
        ):  # fmt: skip
            answer = stranger.ask(request)
            assert answer.result is Result.REFUSED and "ACL" in answer.reason, request


@pytest.mark.parametrize("text", ["", "phi", "phi:", ":secret", "a:b\nc:d"])
def test_a_file_without_credentials_is_refused_with_its_name(text: str, tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text(text)
    with pytest.raises(OperationFailed, match="USER:PASSWORD"):
        credentials(str(file))
    with pytest.raises(OperationFailed, match="No such file"):
        credentials(str(tmp_path / "none"))


def test_a_request_that_is_not_answered_may_still_be_carried_out(tmp_path: Path) -> None:
    """The server stops before it answers.  The connection is made again, and the node is looked for."""
    with Ensemble(tmp_path, tick=0.5) as one:
        a = User(one.hosts, timeout=10.0)
        session = a.connected()
        a.ask(Request(Verb.CREATE, "/slots"))
        one.servers[0].signal(signal.SIGSTOP)
        number = a.zookeeper.send(Request(Verb.CREATE_EPHEMERAL, "/slots/owner", "mark"))
        seen = len(a.events)
        a.zookeeper.drop()
        a.until(Disconnected, seen)
        assert a.answer(number).result is Result.UNKNOWN
        one.servers[0].signal(signal.SIGCONT)
        assert a.connected(seen).number == session.number
        node = a.node("/slots/owner")
        again = a.ask(Request(Verb.CREATE_EPHEMERAL, "/slots/owner", "mark"))
        assert again.result is (Result.EXISTS if node is not None else Result.DONE)
        a.zookeeper.close()


def test_the_end_of_a_session_is_told_after_the_return(tmp_path: Path) -> None:
    with Ensemble(tmp_path, tick=0.2) as one:
        a = User(one.hosts, timeout=4.0)  # as long as a busy machine may need until the other one watches
        first = a.connected()
        a.ask(Request(Verb.CREATE, "/members"))
        a.ask(Request(Verb.CREATE_EPHEMERAL, "/members/a"))
        b = User(one.hosts, timeout=4.0)
        b.connected()
        b.node("/members/a")
        a.zookeeper._client._connection._connect = _cut  # it cannot reach the server
        a.zookeeper.drop()
        while Changed(Verb.GET, "/members/a") not in b.events:
            b.until(Changed, len(b.events))
        assert b.node("/members/a") is None
        assert not [one for one in a.events if isinstance(one, Expired)]
        del a.zookeeper._client._connection._connect
        seen = len(a.events)
        a.until(Expired, 0)
        assert a.connected(seen).number != first.number
        a.zookeeper.close(), b.zookeeper.close()


def _cut(*_: object) -> object:
    raise ConnectionDropped("cut")


def test_a_server_that_hangs_costs_a_request_and_not_the_session(tmp_path: Path) -> None:
    """kazoo alone would stay with it as long as requests are made, and wait for the session's length to connect."""
    with Ensemble(tmp_path, 3, tick=0.5) as three:
        a = User(three.hosts, timeout=8.0)
        session = a.connected()
        a.ask(Request(Verb.CREATE, "/slots"))
        port = a.zookeeper._client._connection._socket.getpeername()[1]
        served = next(one for one in three.servers if one.port == port)
        served.signal(signal.SIGSTOP)
        began = now()
        number = a.zookeeper.send(Request(Verb.SET, "/slots", "x"))
        seen = len(a.events)
        a.zookeeper.drop()
        assert a.answer(number).result is Result.UNKNOWN
        assert a.connected(seen).number == session.number
        while a.ask(Request(Verb.SET, "/slots", "y")).result is not Result.DONE:
            a.until(Connected, len(a.events))
        assert now() - began < 60.0
        assert not [one for one in a.events if isinstance(one, Expired)]
        served.signal(signal.SIGCONT)
        a.zookeeper.close()


def test_answers_are_events_of_their_number(user: Callable[..., User]) -> None:
    a = user()
    a.connected()
    first, second = a.zookeeper.send(Request(Verb.GET, "/")), a.zookeeper.send(Request(Verb.GET, "/none"))
    a.answer(second)
    assert [one.number for one in a.events if isinstance(one, Answered)] == [first, second]
