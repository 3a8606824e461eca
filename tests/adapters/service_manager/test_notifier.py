"""Notifications to the service manager: real datagrams to a double that reads when the test says so."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.service_manager.notifier import ServiceManager, Upstream, upstream
from tests.doubles.fakes import run_until


class Ear:
    """Where the manager listens.  `heard` are the messages so far, `held` the descriptors that came with them."""

    def __init__(self, address: str | bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(address)
        self.heard: list[str] = []
        self.held: list[int] = []

    def listen(self) -> list[str]:
        """Take what is there; the messages since the last time."""
        new: list[str] = []
        while True:
            try:
                message, descriptors, _, _ = socket.recv_fds(self.socket, 4096, 8)
            except BlockingIOError:
                self.heard += new
                return new
            new.append(message.decode())
            self.held += descriptors

    def close(self) -> None:
        self.socket.close()
        for fd in self.held:
            os.close(fd)


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    with closing(EventLoop()) as one:
        yield one


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    with closing(Ear(str(tmp_path / "notify"))) as one:
        yield one


@pytest.fixture
def problems() -> list[str]:
    return []


@pytest.fixture
def manager(loop: EventLoop, ear: Ear, problems: list[str]) -> Iterator[ServiceManager]:
    with closing(ServiceManager(loop, Upstream(ear.socket.getsockname()), problems.append, {})) as one:
        yield one


@pytest.fixture
def pipes() -> Iterator[list[int]]:
    """Sixty descriptors, more than fit into a queue (net.unix.max_dgram_qlen is 10 for most)."""
    made = [fd for _ in range(30) for fd in os.pipe()]
    yield made
    for fd in made:
        os.close(fd)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"NOTIFY_SOCKET": "nonsense"}, None),
        ({"NOTIFY_SOCKET": "/"}, None),
        ({"NOTIFY_SOCKET": "/run/n"}, Upstream("/run/n")),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "1500000"}, Upstream("@n", 1.5)),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}, Upstream("/n", 1.0)),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, Upstream("/n")),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "0"}, Upstream("/n")),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "soon"}, Upstream("/n")),
    ],
)
def test_what_the_environment_says_is_for_nobody_else(environment: dict[str, str], expected: Upstream | None) -> None:
    given = environment | {"PATH": "/bin"}
    assert upstream(given) == expected
    assert given == {"PATH": "/bin"}


def test_a_successor_is_told_the_same() -> None:
    for one in (Upstream("/n"), Upstream("@n", 0.25)):
        assert upstream(dict(one.environment)) == one


def test_the_words(manager: ServiceManager, ear: Ear) -> None:
    manager.ready()
    manager.status("all is well")
    manager.status("all is well")
    manager.alive()
    manager.extend(1.5)
    manager.stopping()
    assert ear.listen() == ["READY=1", "STATUS=all is well", "WATCHDOG=1", "EXTEND_TIMEOUT_USEC=1500000", "STOPPING=1"]


def test_a_reload_says_when(manager: ServiceManager, ear: Ear, loop: EventLoop) -> None:
    before = loop.now()
    manager.reloading()
    (message,) = ear.listen()
    first, second = message.split("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) / 1e6 + 1e-6 <= loop.now() + 1e-6


def test_an_abstract_address(loop: EventLoop, problems: list[str]) -> None:
    name = f"phi-test-{os.getpid()}"
    with closing(Ear(b"\0" + name.encode())) as ear:
        with closing(ServiceManager(loop, Upstream(f"@{name}"), problems.append, {})) as manager:
            manager.ready()
        assert ear.listen() == ["READY=1"]
    assert problems == []


def test_descriptors_are_kept_by_name(manager: ServiceManager, ear: Ear, pipes: list[int]) -> None:
    manager.keep("fifo:web@2", pipes[0])
    manager.keep("fifo:web@2", pipes[0])
    assert ear.listen() == ["FDSTORE=1\nFDPOLL=0\nFDNAME=fifo%3Aweb@2"]
    assert os.path.samestat(os.fstat(ear.held[0]), os.fstat(pipes[0]))


def test_another_pipe_takes_the_place_of_the_first(manager: ServiceManager, ear: Ear, pipes: list[int]) -> None:
    manager.keep("fifo:a", pipes[0])
    manager.keep("fifo:a", pipes[2])
    assert [text.split("\n")[0] for text in ear.listen()] == ["FDSTORE=1", "FDSTOREREMOVE=1", "FDSTORE=1"]
    assert os.path.samestat(os.fstat(ear.held[-1]), os.fstat(pipes[2]))


def test_what_is_gone_is_let_go(manager: ServiceManager, ear: Ear, pipes: list[int]) -> None:
    manager.keep("fifo:a", pipes[0])
    manager.keep("fifo:b", pipes[2])
    manager.keep_only({"fifo:b": 1})
    manager.keep_only({"fifo:b": 1})
    assert ear.listen()[2:] == ["FDSTOREREMOVE=1\nFDNAME=fifo%3Aa"]


def test_what_it_gave_back_it_has_still(loop: EventLoop, ear: Ear, problems: list[str], pipes: list[int]) -> None:
    stored = {"fifo:a": pipes[0], "fifo:b": pipes[2]}
    address = Upstream(ear.socket.getsockname())
    with closing(ServiceManager(loop, address, problems.append, stored)) as manager:
        again = os.dup(pipes[0])
        manager.keep("fifo:a", again)
        os.close(again)
        assert ear.listen() == []
        manager.keep_only({"fifo:a": 0})
        assert ear.listen() == ["FDSTOREREMOVE=1\nFDNAME=fifo%3Ab"]


def test_after_an_upgrade_nothing_is_doubled(loop: EventLoop, ear: Ear, problems: list[str], pipes: list[int]) -> None:
    with closing(ServiceManager(loop, Upstream(ear.socket.getsockname()), problems.append, None)) as manager:
        manager.keep("fifo:a", pipes[0])
    assert [text.split("\n")[0] for text in ear.listen()] == ["FDSTOREREMOVE=1", "FDSTORE=1"]


def test_a_full_queue_costs_only_time(
    manager: ServiceManager, ear: Ear, loop: EventLoop, pipes: list[int], problems: list[str]
) -> None:
    """In order, none twice, a newer message in place of an older; the descriptor may be closed before it is sent."""
    for number, fd in enumerate(pipes):
        again = os.dup(fd)
        manager.keep(f"fifo:{number}", again)
        os.close(again)
    for number in range(1000):
        manager.status(f"number {number}")
        manager.alive()
    manager.ready()
    run_until(loop, lambda: ear.listen() is None or ear.heard[-1:] == ["READY=1"])
    names = [text.split("FDNAME=")[1] for text in ear.heard if text.startswith("FDSTORE=1")]
    assert names == [f"fifo%3A{number}" for number in range(len(pipes))]
    for held, fd in zip(ear.held, pipes, strict=True):
        assert os.path.samestat(os.fstat(held), os.fstat(fd))
    assert ear.heard[-3:] == ["STATUS=number 999", "WATCHDOG=1", "READY=1"]
    assert len(ear.heard) == len(pipes) + 3
    assert problems == []


def test_nobody_listens_and_it_is_said_once(manager: ServiceManager, ear: Ear, problems: list[str]) -> None:
    ear.socket.close()
    manager.ready()
    manager.alive()
    assert len(problems) == 1
    assert "Connection refused" in problems[0]


def test_a_name_that_no_store_takes_is_said(
    manager: ServiceManager, ear: Ear, problems: list[str], pipes: list[int]
) -> None:
    manager.keep("x" * 256, pipes[0])
    assert ear.listen() == []
    assert len(problems) == 1
