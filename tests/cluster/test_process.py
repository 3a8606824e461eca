"""The agent as a process: what it tells its daemon and the dead-man, and what is left in ZooKeeper when it ends."""

from __future__ import annotations

import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from scripts.tools.bench.ports import free_ports
from supervisor.core.cluster.requests import Request, Verb
from supervisor.core.cluster.version_documents import digest_of, dump_record, dump_text
from supervisor.core.cluster.versions import Record, State, Version
from tests.cluster.host import Host
from tests.doubles.zookeeper_servers import MISSING, Ensemble
from tests.doubles.zookeeper_user import User

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
numbers = count()
OWNER, SLOT = "/slots/job@0/owner", "/slots/job@0"


@pytest.fixture
def cluster(ensemble: Ensemble, tmp_path: Path) -> Iterator[Callable[..., Host]]:
    """Makes hosts of one cluster."""
    made: list[Host] = []
    root = f"{ensemble.hosts}/process{os.getpid()}-{next(numbers)}"

    def host(node: str = "a", **options: object) -> Host:
        one = Host(tmp_path / str(len(made)), root, node, **options)  # type: ignore[arg-type]
        made.append(one)
        return one

    yield host
    for one in made:
        one.close()


@pytest.fixture
def person(cluster: Callable[..., Host]) -> Iterator[Callable[[Host], User]]:
    """Looks into the cluster of a host."""
    users: list[User] = []

    def look(host: Host) -> User:
        users.append(User(host.spec.hosts))
        users[-1].connected()
        return users[-1]

    yield look
    for one in users:
        one.zookeeper.close()


def test_a_lease_is_told_to_the_daemon_and_renewed_at_the_dead_man(
    cluster: Callable[..., Host], person: Callable[[Host], User]
) -> None:
    a = cluster()
    epoch = a.run()
    first = a.lease()
    assert first is not None and first["epoch"] == epoch and not first["released"]
    a.until(lambda: (a.lease() or {})["kill_at"] > first["kill_at"] + 0.5)
    a.until(lambda: any(one.startswith(f"renew job@1 {epoch} ") for one in a.renewed))
    node = person(a).node(OWNER)
    assert node is not None and node.created == epoch
    word = a.words[-1]
    assert word["engine"]["state"] == "connected" and word["engine"]["granted"] == 4.0
    assert word["believe_s"] == 3.0
    assert [one["node"] for one in word["members"]] == ["a"] and word["members"][0]["slots"] == ["job"]


def test_its_memory(cluster: Callable[..., Host]) -> None:
    """At most 30 MiB, shared pages of libraries included."""
    a = cluster()
    a.run()
    assert a.process is not None
    lines = Path(f"/proc/{a.process.pid}/smaps_rollup").read_text().splitlines()
    resident, own = (
        sum(int(line.split()[1]) for line in lines if line.startswith(begins)) / 1024
        for begins in ("Rss:", ("Private_", "SwapPss"))
    )
    sys.stdout.write(f"agent: {resident:.1f} MiB resident, {own:.1f} MiB of its own\n")
    assert resident < 30.0


def test_the_next_agent_goes_on_with_the_session_and_its_slots(cluster: Callable[..., Host]) -> None:
    a = cluster()
    epoch = a.run()
    file = a.folder / "cluster-session.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for ending in (signal.SIGKILL, signal.SIGTERM):
        while not _held_by_the_next(a, ending):
            a.present[0] = epoch, True
            epoch = a.run()
        assert a.run() == epoch


def _held_by_the_next(a: Host, ending: signal.Signals) -> bool:
    """Each word of the next agent says that the slot is held.

    On a busy machine the lease may be over before it speaks.  That shows nothing, and is done once more."""
    held = a.lease()
    assert held is not None
    a.stop(ending)
    said = len(a.words)
    a.start()
    a.until(lambda: len(a.words) > said + 3)
    for word in a.words[said:]:
        if word["at"] >= held["stop_at"]:
            return False
        assert [lease["epoch"] for lease in word["leases"]] == [held["epoch"]], "no word says that it holds nothing"
        [held] = word["leases"]
        assert not held["released"]
    return True


def test_an_agent_that_ends_gives_back_what_is_gone_and_ends_its_session(
    cluster: Callable[..., Host], person: Callable[[Host], User]
) -> None:
    a = cluster()
    epoch = a.run()
    user = person(a)
    a.wanted, a.present[0] = False, (epoch, True)
    a.tell()
    assert a.stop() == 0
    assert user.node(OWNER) is None and user.node("/members/a") is None
    record = user.node(SLOT)
    assert record is not None and '"clean":true' in record.data
    assert not (a.folder / "cluster-session.json").exists()


def test_a_slot_is_kept_until_its_instance_is_gone(
    cluster: Callable[..., Host], person: Callable[[Host], User]
) -> None:
    a = cluster()
    epoch = a.run()
    b = cluster("b")
    b.until(lambda: b.words and b.words[-1]["elsewhere"], a)
    user = person(a)
    user.ask(Request(Verb.CREATE, "/drains/a"))
    a.until(lambda: (a.lease() or {}).get("released"), b)
    said = len(a.words)
    a.until(lambda: len(a.words) > said + 5, b)
    assert user.node(OWNER) is not None and b.lease() is None
    a.present[0] = epoch, True
    a.tell()
    b.until(lambda: b.lease() is not None, a)
    lease = b.lease()
    assert lease is not None and lease["epoch"] > epoch
    assert lease["start_at"] <= b.words[-1]["at"], "an orderly end needs no waiting"


def test_away_servers_renew_nothing_and_are_told(tmp_path: Path) -> None:
    with Ensemble(tmp_path / "zk", tick=0.5) as one, Host(tmp_path, one.hosts) as a:
        a.run()
        one.servers[0].signal(signal.SIGSTOP)
        stopped = time.clock_gettime(time.CLOCK_BOOTTIME)
        a.until(lambda: a.words[-1]["engine"]["state"] == "away")
        a.until(lambda: a.words[-1]["at"] > stopped + 4.5)
        assert all(lease["kill_at"] <= stopped + 3.0 for word in a.words for lease in word["leases"])
        one.servers[0].signal(signal.SIGCONT)
        a.until(lambda: a.words[-1]["engine"]["state"] == "connected")


def test_failsafe_prolongs_leases_as_long_as_the_other_host_answers(tmp_path: Path) -> None:
    session = 6.0
    first = free_ports(2)
    at = [("127.0.0.1", port) for port in (first, first + 1)]
    with (
        Ensemble(tmp_path / "zk", tick=0.5) as one,
        Host(tmp_path, one.hosts, session=session, failsafe_at=at[0]) as a,
        Host(tmp_path, one.hosts, "b", session=session, failsafe_at=at[1]) as b,
    ):
        a.until(lambda: a.words and [one["here"] for one in a.words[-1]["members"]] == [True, True], b)
        a.until(lambda: a.lease() or b.lease(), b)
        owner, other = (a, b) if a.lease() else (b, a)
        owner.until(lambda: owner.lease() is not None, other)
        lease = owner.lease()
        assert lease is not None
        owner.present[0] = lease["epoch"], False
        owner.tell()
        said = len(owner.words)
        owner.until(lambda: len(owner.words) > said + 5, other)
        one.servers[0].signal(signal.SIGSTOP)
        stopped = time.clock_gettime(time.CLOCK_BOOTTIME)
        owner.until(lambda: (kept := owner.lease()) and kept["kill_at"] > stopped + session, other)
        assert "this host keeps its slots as long as all hosts answer" in str(owner.words[-1]["problems"])
        assert float(owner.renewed[-1].split()[3]) > stopped + session - 1.0
        assert other.process is not None
        other.process.send_signal(signal.SIGSTOP)
        owner.until(lambda: f"no answer of {other.node}" in str(owner.words[-1]["problems"]))
        one.servers[0].signal(signal.SIGCONT)
        owner.until(lambda: owner.words[-1]["engine"]["state"] == "connected")


def test_no_server_at_the_start_is_told(tmp_path: Path) -> None:
    with Host(tmp_path, "127.0.0.1:1") as a:
        a.until(lambda: len(a.words) > 3)
        word = a.words[-1]
        assert word["engine"]["state"] == "away" and "refused" in word["engine"]["reason"].lower()
        assert word["nowhere"] == [{"service": "job", "slot": 0, "reason": "ZooKeeper has not answered yet"}]
        assert a.stop() == 0


def test_a_silent_daemon_loses_its_slots_when_the_dead_man_says_that_nothing_is_left(
    cluster: Callable[..., Host], person: Callable[[Host], User]
) -> None:
    a = cluster()
    epoch = a.run()
    user = person(a)
    a.answers = False
    said = len(a.words)
    a.until(lambda: len(a.words) > said + 6)
    assert user.node(OWNER) is not None
    a.dead_man(f"gone job@1 {epoch} killed")
    a.until(lambda: a.lease() is None and user.node(OWNER) is None)


def test_a_name_that_another_host_bears_is_a_problem_and_takes_nothing(cluster: Callable[..., Host]) -> None:
    a = cluster()
    a.run()
    other = cluster()
    other.until(lambda: other.words and other.words[-1]["problems"], a)
    assert "another host bears the name a" in other.words[-1]["problems"][0]
    assert other.words[-1]["leases"] == [] and a.words[-1]["problems"] == []
    assert "another host bears the name a" in other.words[-1]["nowhere"][0]["reason"]


def outcome(host: Host, *others: Host) -> dict[str, object]:
    host.tell()
    wanted = host.orders[-1]["id"]

    def told() -> list[dict[str, object]]:
        return [one for one in host.words[-1]["outcomes"] if one["id"] == wanted]

    host.until(told, *others)
    return told()[0]


def test_orders_are_carried_out_once_and_their_outcome_is_told(
    cluster: Callable[..., Host], person: Callable[[Host], User]
) -> None:
    a, b = cluster(), None
    epoch = a.run()
    b = cluster("b")
    b.status, b.incidents = {"health": "good"}, {"stories": ["exit 3"]}
    b.until(lambda: b.words and {m["node"] for m in b.words[-1]["members"]} == {"a", "b"}, a)
    user = person(a)
    a.until(lambda: {m["node"] for m in a.words[-1]["members"]} == {"a", "b"}, b)
    a.orders = [{"id": "1", "verb": "move", "node": "c", "service": "job", "slot": 0}]
    assert "no host c has ever belonged" in str(outcome(a, b)["error"])
    a.orders = [{"id": "2", "verb": "move", "node": "b", "service": "job", "slot": 7}]
    assert outcome(a, b)["error"] == "no such slot"
    a.orders = [{"id": "3", "verb": "move", "node": "b", "service": "job", "slot": 0}]
    assert outcome(a, b)["done"]
    a.until(lambda: (a.lease() or {}).get("released"), b)
    a.present[0] = epoch, True
    b.until(lambda: b.lease() is not None, a)
    b.until(lambda: user.node("/moves/job@0") is None, a)
    a.orders = [{"id": "4", "verb": "drain", "node": "b"}]
    assert outcome(a, b)["done"] and user.node("/drains/b") is not None
    a.orders = [{"id": "5", "verb": "undrain", "node": "b"}]
    assert outcome(a, b)["done"] and user.node("/drains/b") is None
    b.until(lambda: user.node("/incidents/b") is not None, a)
    a.orders = [{"id": "6", "verb": "record", "node": "b"}]
    read = dict[str, Any](outcome(a, b)["record"])  # type: ignore[call-overload]
    assert read.pop("age_s") < 5.0 and read == {"summary": {"health": "good"}, "record": {"stories": ["exit 3"]}}
    a.orders = [{"id": "7", "verb": "record", "node": "z"}]
    assert "no host z" in str(outcome(a, b)["error"])


def test_an_evicted_host_loses_its_slots_and_the_next_owner_waits_for_its_leases(cluster: Callable[..., Host]) -> None:
    a = cluster()
    epoch = a.run()
    b = cluster("b")
    b.until(lambda: b.words and b.words[-1]["elsewhere"], a)
    assert a.process is not None
    a.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, a.process.pid, os.WSTOPPED)  # until then its threads may give the slot back in order
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    b.orders = [{"id": "1", "verb": "evict", "node": "a"}]
    assert outcome(b)["done"]
    b.until(lambda: b.lease() is not None)
    lease = b.lease()
    assert lease is not None and lease["epoch"] > epoch
    assert lease["start_at"] - before > 4.0, "the longest lease that the evicted host may still have"
    assert [one["node"] for one in b.words[-1]["members"]] == ["b"]
    a.process.send_signal(signal.SIGCONT)
    a.until(lambda: a.lease() is None, b)


def test_an_agent_whose_daemon_says_nothing_does_not_keep_the_session(
    cluster: Callable[..., Host], person: Callable[[Host], User]
) -> None:
    """The one before died with the daemon: its slots would be nobody's for as long as this agent lives."""
    a = cluster()
    a.run()
    a.stop(signal.SIGKILL)
    a.answers = False
    a.start()
    a.until(lambda: a.process is not None and a.process.poll() is not None)
    assert a.process is not None and a.process.returncode == 1
    looks = person(a)
    a.until(lambda: looks.node(OWNER) is None)


def test_a_host_that_does_not_run_the_pushed_version_takes_no_slot(
    cluster: Callable[..., Host], person: Callable[[Host], User]
) -> None:
    """Before it has heard of the version, and until its daemon says that it runs."""
    a = cluster()
    user = person(a)
    in_force = Version(1, digest_of("x"), state=State.IN_FORCE)
    a.stop()
    user.ask(Request(Verb.DELETE, OWNER))
    user.ask(Request(Verb.CREATE, "/config/1", dump_text("x", "m")))
    user.ask(Request(Verb.CREATE, "/config/current", dump_record(Record(1, 1, history=(in_force,)))))
    runs = {"number": 0, "digest": "", "seq": 0, "health": "ready", "reason": "", "differs": False}
    a.pushed = {**runs, "wants": [1, in_force.digest]}
    a.words.clear()
    a.start()
    a.until(lambda: a.words and a.words[-1].get("pushed", {}).get("text") == "x")
    member = "it does not run version 1 of the configuration: it changes to it"
    a.until(lambda: [one["reason"] for one in a.words[-1]["members"]] == [member])
    assert not any(word["leases"] for word in a.words)
    a.pushed = {**runs, "number": 1, "digest": in_force.digest, "wants": None}
    a.until(lambda: a.lease() is not None)
    a.until(lambda: user.node("/applied/a") is not None and "text" not in a.words[-1]["pushed"])
    a.until(lambda: a.words[-1]["pushed"]["consistency"] == 1.0)
