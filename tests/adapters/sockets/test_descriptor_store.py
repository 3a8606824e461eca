"""The store of descriptors, with a real keeper: what is stored, over the end of a daemon and of the keeper."""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.sockets import descriptor_store
from supervisor.adapters.sockets.descriptor_store import DescriptorStore
from tests.doubles.fakes import run_until


class House:
    """A store, the loop that serves it, and what it complained about."""

    def __init__(self, path: Path) -> None:
        self.loop = EventLoop()
        self.path = str(path / "stored.sock")
        self.problems: list[str] = []
        self.keepers: list[int] = []
        """Their processes, in the order of their starts."""
        self.store = self.another()

    def another(self) -> DescriptorStore:
        return DescriptorStore(self.loop, self.path, self.problems.append)

    def put(self, instance: str, name: str, *descriptors: int, watched: bool = True) -> None:
        self.store.expect(instance)
        self.store.add(instance, name, [os.dup(fd) for fd in descriptors], watched=watched)

    def names(self, instance: str = "web") -> list[str]:
        return [one.name for one in self.store.of(instance)]

    def die(self) -> None:
        """The daemon dies; the next one takes over."""
        self.store.close()
        self.store = self.another()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    made = House(tmp_path)
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        process = popen(*arguments, **options)
        made.keepers.append(process.pid)
        return process

    monkeypatch.setattr(subprocess, "Popen", start)
    yield made
    made.store.keep_only(())
    made.store.close()
    made.loop.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


Pair = tuple[socket.socket, socket.socket]


def is_closed(other: socket.socket) -> bool:
    """Wait until no descriptor of its peer is left anywhere."""
    other.settimeout(30)
    return other.recv(1) == b""


def test_what_is_stored_is_given_in_its_order(house: House, pair: Pair) -> None:
    memory = os.memfd_create("state")
    house.put("web", "conn", pair[0].fileno())
    house.put("web", "state", memory)
    house.put("db", "conn", pair[1].fileno())
    assert house.names() == ["conn", "state"] and house.names("db") == ["conn"]
    os.write(memory, b"kept")
    os.close(memory)
    assert os.pread(house.store.of("web")[1].fd, 9, 0) == b"kept"


def test_a_later_daemon_gets_all_of_it(house: House, pair: Pair) -> None:
    house.put("web", "a name", pair[0].fileno(), watched=False)
    house.put("web@2", "conn", pair[1].fileno())
    pair[0].close()
    house.die()
    assert house.names() == ["a name"] and house.names("web@2") == ["conn"]
    one, other = house.store.of("web")[0], house.store.of("web@2")[0]
    assert (one.watched, other.watched) == (False, True)
    assert not os.get_inheritable(one.fd) and not os.get_inheritable(other.fd)
    os.write(one.fd, b"over the death")
    assert pair[1].recv(99) == b"over the death"
    house.put("web", "next", pair[1].fileno())
    house.die()
    assert house.names() == ["a name", "next"]
    assert house.problems == []


def test_nothing_is_there_while_nothing_is_stored(house: House, pair: Pair) -> None:
    assert not Path(house.path).exists()
    house.put("web", "conn", pair[0].fileno())
    keeper = os.pidfd_open(house.keepers[-1])
    house.store.remove("web", "conn")
    assert select.select([keeper], [], [], 30.0)[0], "the keeper ends"
    os.close(keeper)
    assert not Path(house.path).exists()


def test_removed_by_name_and_by_instance(house: House, pair: Pair) -> None:
    reader, writer = os.pipe()
    house.put("web", "conn", pair[0].fileno())
    house.put("web", "pipe", reader)
    house.put("db", "conn", writer)
    os.close(reader)
    os.close(writer)
    house.store.remove("web", "conn")
    assert house.names() == ["pipe"]
    house.store.keep_only({"web"})
    assert house.names("db") == [] and house.names() == ["pipe"]
    pair[0].close()
    assert is_closed(pair[1])
    house.die()
    assert house.names() == ["pipe"]


def test_a_socket_that_is_stored_already_is_left_out(house: House, pair: Pair) -> None:
    reader, writer = os.pipe()
    house.put("web", "conn", pair[0].fileno(), pair[0].fileno())
    house.put("web", "again", pair[0].fileno(), pair[1].fileno())
    house.put("web", "pipe", reader, writer, reader)
    os.close(reader)
    os.close(writer)
    assert house.names() == ["conn", "again", "pipe", "pipe"]


def test_what_hangs_up_is_dropped_unless_it_is_not_watched(house: House, pair: Pair) -> None:
    with socket.socketpair()[0] as kept:
        house.put("web", "kept", kept.fileno(), watched=False)
    house.put("web", "conn", pair[0].fileno())
    house.put("web", "memory", memory := os.memfd_create("state"))
    os.close(memory)
    pair[0].close()
    pair[1].close()
    run_until(house.loop, lambda: house.names() == ["kept", "memory"])


def test_another_keeper_takes_over_from_one_that_was_killed(house: House, pair: Pair) -> None:
    house.put("web", "conn", pair[0].fileno())
    killed = house.keepers[-1]
    os.kill(killed, signal.SIGKILL)
    os.waitpid(killed, 0)
    run_until(house.loop, lambda: len(house.keepers) == 2)
    house.die()
    assert house.names() == ["conn"]


def test_a_keeper_whose_path_was_removed_is_replaced(house: House, pair: Pair) -> None:
    house.store.rebind()
    house.put("web", "conn", pair[0].fileno())
    house.store.rebind()
    former = os.pidfd_open(house.keepers[-1])
    Path(house.path).unlink()
    house.store.rebind()
    assert Path(house.path).exists()
    os.waitid(os.P_PIDFD, former, os.WEXITED)  # the former one has nothing left to keep
    os.close(former)
    house.die()
    assert house.names() == ["conn"]


def test_a_stopped_keeper_gets_the_orders_when_it_goes_on(
    house: House, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptor_store, "AGAIN_AFTER", 0.01)
    house.put("web", "first", pair[0].fileno())
    keeper = house.keepers[-1]
    os.kill(keeper, signal.SIGSTOP)
    try:
        sockets = [socket.socketpair() for _ in range(300)]
        for one, _ in sockets:
            house.put("web", "more", one.fileno())
        house.store.remove("web", "first")
        assert house.names() == ["more"] * 300
    finally:
        os.kill(keeper, signal.SIGCONT)
    run_until(house.loop, lambda: not house.store._queue)
    house.die()
    assert house.names() == ["more"] * 300
    keeper_ends = os.pidfd_open(house.keepers[-1])
    house.store.keep_only(())
    house.store.close()
    os.waitid(os.P_PIDFD, keeper_ends, os.WEXITED)  # it closes all and ends
    os.close(keeper_ends)
    for pair_ in sockets:
        for one in pair_:
            one.close()


def test_a_start_waits_for_what_is_on_its_way(house: House, pair: Pair) -> None:
    called: list[str] = []
    assert not house.store.when_settled("web", lambda: called.append("too early"))
    house.store.expect("web")
    assert house.store.when_settled("web", lambda: called.append("web"))
    assert not house.store.when_settled("db", lambda: called.append("db"))
    house.store.add("web", "conn", [os.dup(pair[0].fileno())], watched=True)
    assert called == ["web"] and not house.store.when_settled("web", lambda: None)


def test_the_keeper_ends_where_all_that_it_was_started_for_were_refused(house: House) -> None:
    house.store.expect("web")
    keeper_ends = os.pidfd_open(house.keepers[-1])
    house.store.add("web", "conn", [], watched=True)
    assert not Path(house.path).exists()
    os.waitid(os.P_PIDFD, keeper_ends, os.WEXITED)
    os.close(keeper_ends)


def test_a_keeper_that_cannot_be_started_is_told(house: House, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    house.put("web", "conn", pair[0].fileno())
    monkeypatch.setattr(subprocess, "Popen", refuse)
    keeper = house.keepers[-1]
    os.kill(keeper, signal.SIGKILL)
    os.waitpid(keeper, 0)
    run_until(house.loop, lambda: bool(house.problems))
    assert house.names() == ["conn"]
    assert house.problems == ["stored descriptors would be lost if this daemon died: Cannot allocate memory"]
    house.store.remove("web", "conn")
    pair[0].close()
    assert is_closed(pair[1])
    with pytest.raises(OSError, match="Cannot allocate"):
        house.store.expect("web")


def refuse(*_: object, **__: object) -> None:
    raise OSError(12, "Cannot allocate memory")


def test_a_keeper_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptor_store, "ANSWER_WITHIN", 0.01)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as mute:
        mute.bind(str(tmp_path / "stored.sock"))
        mute.listen()
        house = House(tmp_path)
    assert house.store.empty and house.problems == ["descriptors that services have stored may be lost: timed out"]
    house.loop.close()


def test_what_had_to_be_closed_is_told_once(house: House) -> None:
    house.store.refused("web", 0, 1)
    assert house.problems == []
    for _ in range(2):
        house.store.refused("web", 2, 1)
    assert house.problems == [
        "web: 2 of the descriptors that it stores had to be closed "
        "(beyond fd_store = 1, or a file on a file system that may not answer)"
    ]


def test_a_descriptor_whose_close_blocks_does_not_block_the_loop(house: House) -> None:
    """A connection that lingers: its last close waits for the peer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        lingering = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
    lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    lingering.setblocking(False)
    with peer:
        try:
            while True:
                lingering.send(b"x" * 65536)  # what the peer does not read keeps it lingering
        except BlockingIOError:
            pass
        house.put("web", "conn", lingering.fileno())
        lingering.close()
        del lingering
        gc.collect()
        house.store.remove("web", "conn")  # a close on the loop would take an hour
        assert house.names() == []
