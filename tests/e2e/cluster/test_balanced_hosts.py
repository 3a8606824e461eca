"""HAProxy of one host in front of instances on two: real daemons, a real ZooKeeper, a real HAProxy."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.tools.bench.balanced import WEB, Clients
from scripts.tools.bench.ports import free_port, free_ports
from tests.doubles.zookeeper_servers import MISSING, Ensemble
from tests.e2e.cluster.hosts import MARGIN, SESSION, TICK, Host, boottime, figure

pytestmark = pytest.mark.skipif(
    shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin") is None, reason="haproxy is not installed"
)
WISH = 0.3 * SESSION
"""Seconds: cluster.detect_within, as it is by default."""
ADDRESSES = {"a": "127.0.0.1", "b": "127.0.0.2"}


class Balanced(Host):
    """A host with two instances, and a HAProxy that has those of all hosts behind it."""

    def __init__(self, directory: Path, node: str, hosts: str, ports: str) -> None:
        self.listen, self.counts, self.own = free_port(), directory / "counts", ADDRESSES[node]
        service = f"""
[services.web]
command = ["{sys.executable}", "{WEB}", "{{port}}", "{self.counts}/{{replica}}", "{self.own}"]
replicas = 2
ports = "{ports}"
stop_timeout = "3s"
ready = {{ http = "http://{self.own}:{{port}}/healthz", interval = "50ms", timeout = "10s" }}
restart = {{ initial = "10ms" }}
[services.web.balance]
listen = "127.0.0.1:{self.listen}"
server = "{self.own}:{{port}}"
check = "/healthz"
retry = "idempotent"
drain = "20s"
hosts = "all"
"""
        super().__init__(directory, node, service, hosts, f'address = "{self.own}:{free_port()}"')
        self.counts.mkdir()

    def asked(self) -> int:
        """How many requests its instances got."""
        return sum(one.stat().st_size for one in self.counts.iterdir())

    def slots(self) -> dict[str, dict[str, Any]]:
        """The slots of its HAProxy, by instance."""
        (found,) = self.client.get("/v1/balance?service=web")["services"]
        return {slot["instance"]: slot for slot in found["slots"]}

    def serves(self, *instances: str) -> None:
        """Wait until HAProxy has shown exactly these as active."""
        self.wait_for(
            self.slots,
            lambda slots: (
                {n: s["state"] for n, s in slots.items()} == dict.fromkeys(instances, "active")
                and all(slot["status"] is not None for slot in slots.values())
            ),
        )


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Balanced, Balanced]]:
    if MISSING:
        pytest.skip(MISSING)
    folder = tmp_path_factory.mktemp("c")
    first = free_ports(4)
    with Ensemble(folder, tick=TICK) as ensemble:
        made = [
            Balanced(folder / node, node, f"{ensemble.hosts}/balanced", f"{first}-{first + 3}") for node in ADDRESSES
        ]
        try:
            yield made[0], made[1]
        finally:
            for host in made:
                if not host.running:
                    host.start()
                host.stop()


EVERY = ("web@1", "web@2")


@pytest.fixture
def both(two: tuple[Balanced, Balanced]) -> tuple[Balanced, Balanced]:
    """Each HAProxy has the instances of both."""
    for one in two:
        if not one.running:
            one.start()
    a, b = two
    a.serves(*EVERY, *(f"b/{name}" for name in EVERY))
    b.serves(*EVERY, *(f"a/{name}" for name in EVERY))
    return two


@pytest.fixture
def load() -> Iterator[Callable[[int], Clients]]:
    made: list[Clients] = []

    def begin(port: int) -> Clients:
        made.append(Clients(port, 4))
        return made[-1]

    yield begin
    for one in made:
        one.stop()


def test_requests_flow_to_both(both: tuple[Balanced, Balanced], load: Callable[[int], Clients]) -> None:
    a, b = both
    before = b.asked()
    requests = load(a.listen)
    a.wait_for(b.asked, lambda asked: asked > before + 20)
    assert not requests.failed
    shown = a.cli("balance").stdout
    assert "b/web@1" in shown and f"{b.own}:" in shown, shown


def test_an_instance_that_restarts_loses_no_request(
    both: tuple[Balanced, Balanced], load: Callable[[int], Clients]
) -> None:
    """It is withdrawn, and drained in the HAProxy of the other host too, before it is stopped."""
    a, b = both
    requests = load(a.listen)
    for _ in range(3):
        requests.more(30)
        assert b.cli("restart", "web").returncode == 0
    requests.more(30)
    assert not requests.failed
    a.serves(*EVERY, *(f"b/{name}" for name in EVERY))


def test_a_host_that_ends_in_order_loses_no_request(
    both: tuple[Balanced, Balanced], load: Callable[[int], Clients]
) -> None:
    a, b = both
    requests = load(a.listen)
    requests.more(30)
    assert b.cli("down").returncode == 0
    a.serves(*EVERY)
    requests.more(30)
    assert not requests.failed


def test_a_daemon_that_is_killed_changes_nothing(
    both: tuple[Balanced, Balanced], load: Callable[[int], Clients]
) -> None:
    """Its successor takes over the slots of other hosts' instances, and tells those that run here again."""
    a, b = both
    slots = {name: slot["slot"] for name, slot in a.slots().items()}
    requests = load(a.listen)
    assert a.process is not None
    a.process.kill()
    a.wait()
    requests.more(30)
    a.start()
    a.serves(*EVERY, *(f"b/{name}" for name in EVERY))
    b.serves(*EVERY, *(f"a/{name}" for name in EVERY))
    assert {name: slot["slot"] for name, slot in a.slots().items()} == slots
    assert not requests.failed


def test_a_host_that_stands_still_is_out_before_its_session_ends(
    both: tuple[Balanced, Balanced], load: Callable[[int], Clients]
) -> None:
    """All its processes are stopped.  Once it is suspected no request goes to it; it comes back by itself.

    On a busy machine the session may be over before it is looked at.  That shows nothing, and is done once more."""
    assert any(_out_before_the_end(*both, load) for _ in range(5))


def _out_before_the_end(a: Balanced, b: Balanced, load: Callable[[int], Clients]) -> bool:
    a.until(lambda word: word["heard"] == ["b"])
    with b.stopped(*b.all_processes()):
        moment = boottime()
        a.serves(*EVERY)
        figure(f"out of rotation after {boottime() - moment:.2f} s of a wish of {WISH:g} s")
        word, members = a.word(), a.cli("cluster", "members").stdout
        in_time = boottime() - moment < SESSION - MARGIN  # its last contact was before the moment
        if in_time:
            assert word["suspects"] == ["b"] and any(one["node"] == "b" and one["here"] for one in word["members"])
            assert "suspect" in members
        requests = load(a.listen)
        requests.more(200)
        assert not requests.failed
    a.serves(*EVERY, *(f"b/{name}" for name in EVERY))
    a.until(lambda word: word["heard"] == ["b"] and not word["suspects"])
    return in_time


def test_a_host_that_dies_is_out_and_comes_back(both: tuple[Balanced, Balanced]) -> None:
    a, b = both
    b.die()
    a.serves(*EVERY)
