"""What the daemon says to the dead-man process, and in which order: a tree that is known before the daemon is believed
would be killed as soon as it runs."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.core.cluster.bounds import PACKET
from supervisor.core.model.actions import State
from supervisor.core.model.causes import Cause
from supervisor.core.model.cluster_spec import ClusterSpec, PlacementMode, PlacementSpec
from supervisor.core.model.spec import Plan, ServiceSpec, SupervisorSpec
from supervisor.core.services.service_set import ServiceSet
from supervisor.core.text.causes import phrase
from supervisor.daemon.cluster.balanced_hosts import BalancedHosts
from supervisor.daemon.cluster.member import BEAT, DEAD_MAN, UNANSWERED, Cluster
from supervisor.daemon.cluster.view.record import OwnRecord

BEAT_SERVICE = ServiceSpec(name="beat", command=("x",), placement=PlacementSpec(mode=PlacementMode.ONE))


class Parts:
    """A daemon's, on a clock that a test sets."""

    def __init__(self, runtime_dir: Path) -> None:
        self.runtime_dir, self.state_dir, self.id = str(runtime_dir), str(runtime_dir), "i"
        self.moment, self.timers = 1000.0, list[tuple[float, Callable[[], None]]]()
        self.service_set = ServiceSet(Plan(supervisor=SupervisorSpec(), services=(BEAT_SERVICE,)), lambda: 0.5)
        self.killed, self.said, self.reviews = list[str](), list[str](), list[float]()
        tree = SimpleNamespace(kill=lambda: self.killed.append(DEAD_MAN))
        self.processes = SimpleNamespace(by_instance={DEAD_MAN: SimpleNamespace(tree=tree)})
        self.engine = SimpleNamespace(order=lambda _actions: None)
        self._loop = EventLoop()
        self.loop = SimpleNamespace(
            register=self._loop.register, unregister=self._loop.unregister, modify=self._loop.modify,
            call_at=self.call_at, call_soon=self._loop.call_soon,
        )  # fmt: skip

    def now(self) -> float:
        return self.moment

    def call_at(self, when: float, callback: Callable[[], None]) -> SimpleNamespace:
        timer = when, callback
        self.timers.append(timer)
        return SimpleNamespace(cancel=lambda: self.timers.remove(timer) if timer in self.timers else None)

    def say(self, _level: str, text: str) -> None:
        self.said.append(text)

    def turn(self) -> None:
        self._loop.call_soon(lambda: None)
        self._loop.turn()

    def later(self) -> None:
        """The next timer is due."""
        self.moment, callback = self.timers.pop(0)
        callback()


class DeadMan:
    """Listens as the process does."""

    def __init__(self, runtime_dir: Path) -> None:
        path = runtime_dir / "deadman.sock"
        path.unlink(missing_ok=True)
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._door.bind(str(path))
        self._door.listen()
        self.connection: socket.socket | None = None

    def heard(self) -> list[str]:
        if self.connection is None:
            self.connection = self._door.accept()[0]
            self.connection.setblocking(False)
        found = []
        while True:
            try:
                found.append(self.connection.recv(4096).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self._door.close()


def word(believe: float, epoch: int) -> bytes:
    lease = {
        "service": "beat", "slot": 0, "epoch": epoch, "start_at": 0.0, "stop_at": 1e9, "kill_at": 1e9,
        "released": False,
    }  # fmt: skip
    said: dict[str, Any] = {
        "node": "a", "at": 1.0, "believe_s": believe, "leases": [lease] if epoch else [], "elsewhere": [],
        "nowhere": [], "completed": [], "outcomes": [], "hosts": None,
    }  # fmt: skip
    return json.dumps(said).encode()


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parts:
    found = Parts(tmp_path)
    monkeypatch.setattr(OwnRecord, "review", lambda _self: found.reviews.append(found.moment))
    return found


@pytest.fixture
def dead_man(tmp_path: Path) -> Iterator[DeadMan]:
    found = DeadMan(tmp_path)
    yield found
    found.close()


@pytest.fixture
def agent(parts: Parts, dead_man: DeadMan) -> Iterator[Callable[..., None]]:
    """What the agent says reaches the daemon.  `epoch` 0: it holds no slot."""
    cluster = Cluster(parts, ClusterSpec(hosts="h:1", node="a", session_timeout=10.0))  # type: ignore[arg-type]
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.connect(f"{parts.runtime_dir}/cluster.sock")

    def say(believe: float, epoch: int = 7) -> None:
        sock.send(word(believe, epoch))
        for _ in range(3):
            parts.turn()

    yield say
    sock.close()
    cluster.close()


def test_an_agent_of_an_earlier_build_is_followed(parts: Parts, dead_man: DeadMan, tmp_path: Path) -> None:
    """An upgraded daemon goes on with the agent that runs; what that does not tell, leaves leases as they are."""
    cluster = Cluster(parts, ClusterSpec(hosts="h:1", node="a", session_timeout=10.0))  # type: ignore[arg-type]
    dead_man.heard()
    said = json.loads(word(3.0, 7))
    del said["hosts"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.connect(f"{tmp_path}/cluster.sock")
        sock.send(json.dumps(said).encode())
        for _ in range(3):
            parts.turn()
        assert [one.split()[0] for one in dead_man.heard()] == ["beat", "trees", "watch"]
    cluster.close()


def test_the_daemon_is_believed_before_a_tree_is_watched(
    parts: Parts, dead_man: DeadMan, agent: Callable[[float], None]
) -> None:
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    beat, trees = dead_man.heard()
    assert (beat.split()[:2], trees) == (["beat", "9.000"], "trees")
    assert float(beat.split()[2]) <= began, "a dead-man that reads it late believes this daemon no longer"
    agent(0.0)  # no session yet: that is no reason to be believed for no time
    assert [one.split()[0] for one in dead_man.heard()] == ["watch"]
    agent(3.0)
    assert dead_man.heard()[0].startswith("beat 3.000 ")


def test_a_new_dead_man_hears_the_beat_first(
    parts: Parts, dead_man: DeadMan, agent: Callable[[float], None], tmp_path: Path
) -> None:
    agent(9.0)
    dead_man.heard()
    dead_man.close()
    parts.turn()
    after = DeadMan(tmp_path)
    parts.later()
    assert [one.split()[0] for one in after.heard()] == ["beat", "trees", "watch"]
    after.close()


def test_a_lease_gets_no_new_time_by_a_sleep_of_the_host(
    parts: Parts, dead_man: DeadMan, agent: Callable[[float], None], tmp_path: Path
) -> None:
    """CLOCK_BOOTTIME counts meanwhile, CLOCK_MONOTONIC does not."""
    agent(9.0)
    dead_man.heard()
    dead_man.close()
    parts.turn()
    after = DeadMan(tmp_path)
    _, knock = parts.timers.pop(0)
    parts.moment -= 300.0
    knock()
    assert float(after.heard()[-1].split()[3]) == pytest.approx(1e9, abs=1.0)
    after.close()


def test_a_tree_of_an_earlier_daemon_gets_no_new_time(parts: Parts, dead_man: DeadMan, tmp_path: Path) -> None:
    """A host that was cut off and whose daemon crashed would run on beside the next owner."""
    instance = parts.service_set.instances["beat"]
    instance.epoch, instance.state = 7, State.RUNNING
    parts.processes.by_instance["beat"] = SimpleNamespace(tree=None)
    cluster = Cluster(parts, ClusterSpec(hosts="h:1", node="a", session_timeout=10.0))  # type: ignore[arg-type]
    assert dead_man.heard()[2:] == ["watch beat 7 0.000000 SUPERVISOR_LEASE=i:7"]
    cluster.close()


def test_a_dead_man_that_does_not_answer_is_replaced(
    parts: Parts, dead_man: DeadMan, agent: Callable[[float], None]
) -> None:
    dead_man.heard()
    for _ in range(2 * UNANSWERED):
        assert dead_man.connection is not None
        dead_man.connection.send(b"told")
        parts.turn()
        parts.later()
    assert not parts.killed
    for _ in range(UNANSWERED):
        parts.later()
    assert parts.killed == [DEAD_MAN] and parts.said == [
        f"{DEAD_MAN} has not answered {UNANSWERED} times: it is replaced"
    ]
    assert parts.moment == 1000.0 + 3 * UNANSWERED * BEAT


def test_a_tree_that_is_gone_is_forgotten_and_until_then_not_guarded(
    parts: Parts, dead_man: DeadMan, agent: Callable[[float], None]
) -> None:
    """The dead-man kills what appears of it until it is forgotten."""
    agent(9.0)
    assert dead_man.heard()[-1].startswith("watch beat 7 ")
    assert dead_man.connection is not None
    for text in ("watched beat 7", "gone beat 7 killed", "gone beat 7 killed", "gone beat 7 ended"):
        dead_man.connection.send(text.encode())
    parts.turn()
    assert dead_man.heard() == ["forget beat 7"] * 2, "and what has ended is not answered for ever"
    assert parts.said == ["the lease of beat was over: the dead-man process killed it"], "told once"
    gate = parts.service_set.roster.gate
    assert gate is not None and not gate.guarded and gate.killed == {"beat": 7}


def test_a_tree_of_an_earlier_daemon_is_forgotten_unless_it_runs(
    parts: Parts, dead_man: DeadMan, agent: Callable[[float], None]
) -> None:
    agent(9.0)
    dead_man.heard()
    assert dead_man.connection is not None
    dead_man.connection.send(b"watched beat 6")
    parts.turn()
    assert dead_man.heard() == ["forget beat 6"]
    instance = parts.service_set.instances["beat"]
    instance.state, instance.epoch = State.RUNNING, 6
    dead_man.connection.send(b"watched beat 6")
    parts.turn()
    assert dead_man.heard() == []


def test_a_daemon_that_was_stopped_hears_the_dead_man_before_it_starts_anything(
    parts: Parts, dead_man: DeadMan, agent: Callable[[float], None]
) -> None:
    agent(9.0)
    dead_man.heard()
    assert dead_man.connection is not None
    dead_man.connection.send(b"watched beat 7")
    parts.turn()
    gate = parts.service_set.roster.gate
    assert gate is not None and gate.guarded == {("beat", 7)}
    parts.moment += 60.0
    agent(9.0)
    assert not gate.guarded
    assert "trees" in dead_man.heard()
    dead_man.connection.send(b"watched beat 7")
    parts.turn()
    assert gate.guarded == {("beat", 7)}


def test_a_slot_that_comes_back_starts_only_when_its_lease_before_is_forgotten(
    parts: Parts, dead_man: DeadMan, agent: Callable[..., None]
) -> None:
    """The next run may be in the same control group, and was killed at the end of the lease before."""
    agent(9.0)
    dead_man.heard()
    assert dead_man.connection is not None
    dead_man.connection.send(b"watched beat 7")
    parts.turn()
    agent(9.0, 0)
    assert dead_man.heard() == ["forget beat 7"], "at once, although no instance has changed"
    agent(9.0, 9)
    assert [one.split()[:3] for one in dead_man.heard()] == [["forget", "beat", "7"], ["watch", "beat", "9"]]
    dead_man.connection.send(b"watched beat 9")
    parts.turn()
    gate = parts.service_set.roster.gate
    assert gate is not None and gate.guarded == {("beat", 7)}
    dead_man.connection.send(b"gone beat 7 ended")
    parts.turn()
    assert gate.guarded == {("beat", 9)}


def test_a_push_for_which_there_is_no_room_is_refused_and_what_is_left_out_is_told(parts: Parts) -> None:
    """A longer answer would arrive in part, and the agent could read nothing of it."""
    cluster = Cluster(parts, ClusterSpec(hosts="h:1", node="a", session_timeout=10.0))  # type: ignore[arg-type]
    parts.wall_clock = lambda: 1.0  # type: ignore[attr-defined]
    try:
        push: Any = {"text": "t" * 60_000, "max_unavailable": "1", "timeout": 5.0, "undo": False, "takes_back": 0}
        cluster.balanced = SimpleNamespace(share=lambda: {"serial": "s" * 205_000})  # type: ignore[assignment]
        number = cluster.push(push, None)
        outcome = cluster.outcome(number)
        assert outcome is not None and not outcome["done"] and "does not fit in one message" in outcome["error"]
        assert len(cluster._answer()) <= PACKET and json.loads(cluster._answer())["pushes"] == []
        assert sum("is not told everything" in one for one in parts.said) == 1
    finally:
        cluster.close()


def test_a_suspicion_between_hosts_is_an_event_of_the_ledger(parts: Parts) -> None:
    """`events` and the record that outlives the host tell of it, as of what it suspects itself."""
    orders = list[Any]()
    parts.engine = SimpleNamespace(order=orders.extend)
    hosts = BalancedHosts(parts, ClusterSpec(hosts="h:1", node="a", session_timeout=10.0))  # type: ignore[arg-type]
    parts.balancer = None  # type: ignore[attr-defined]
    for suspects in (["b", "c"], ["b"], ["b"], []):
        said: Any = json.loads(word(3.0, 7))
        said |= {"hosts": [], "heard": [], "suspects": suspects, "engine": {"state": "connected"}}
        hosts.hear(said)
    told = [(one.cause, one.detail["host"]) for one in orders]
    assert told == [
        (Cause.HOST_SUSPECTED, "b"), (Cause.HOST_SUSPECTED, "c"), (Cause.HOST_HEARD, "c"), (Cause.HOST_HEARD, "b"),
    ]  # fmt: skip
    assert [phrase(one.cause, one.detail) for one in orders[1:3]] == [
        "host c is under suspicion: its heartbeats fail to come", "host c is under suspicion no more",
    ]  # fmt: skip


def test_what_another_host_takes_leaves_the_summary_of_this_one(parts: Parts, agent: Callable[..., None]) -> None:
    """No instance here changes with it; else the summary calls it missing for ever."""
    agent(9.0, 0)
    before = len(parts.reviews)
    agent(9.0, 0)
    assert before and len(parts.reviews) == before, "each place of a slot is told once"
