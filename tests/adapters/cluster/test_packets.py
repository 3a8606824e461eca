"""Packets over real sockets on a real event loop."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.adapters.cluster.packets import LARGEST, PacketListener, connect
from supervisor.adapters.eventloop.loop import EventLoop


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    found = EventLoop()
    yield found
    found.close()


def turns(loop: EventLoop, until: Callable[[], bool]) -> None:
    while not until():
        loop.call_soon(lambda: None)
        loop.turn()


def client(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(60)
    sock.connect(str(path))
    return sock


def test_messages_go_both_ways(loop: EventLoop, tmp_path: Path) -> None:
    heard: list[bytes] = []
    came: list[int] = []
    door = PacketListener(str(tmp_path / "s"), loop, heard.append, lambda: came.append(1))
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
    assert not door.send(b"x"), "nobody is there"
    with client(tmp_path / "s") as sock:
        turns(loop, lambda: bool(came))
        sock.send(b"a")
        sock.send(b"b" * (LARGEST // 2))
        turns(loop, lambda: len(heard) == 2)
        assert (heard[0], len(heard[1])) == (b"a", LARGEST // 2)
        assert door.send(b"answer")
        assert sock.recv(100) == b"answer"
    turns(loop, lambda: door.connection is None)
    assert not door.send(b"x")
    door.close()
    assert not (tmp_path / "s").exists()


def test_a_newer_connection_takes_the_place_of_the_one_before(loop: EventLoop, tmp_path: Path) -> None:
    heard: list[bytes] = []
    came: list[int] = []
    door = PacketListener(str(tmp_path / "s"), loop, heard.append, lambda: came.append(1))
    with client(tmp_path / "s") as first:
        turns(loop, lambda: len(came) == 1)
        with client(tmp_path / "s") as second:
            turns(loop, lambda: len(came) == 2)
            assert first.recv(10) == b"", "closed"
            second.send(b"x")
            turns(loop, lambda: heard == [b"x"])
            assert door.send(b"y") and second.recv(10) == b"y"
    door.close()


def test_a_client_that_reads_nothing_holds_nothing_up(loop: EventLoop, tmp_path: Path) -> None:
    came: list[int] = []
    door = PacketListener(str(tmp_path / "s"), loop, lambda packet: None, lambda: came.append(1))
    with client(tmp_path / "s"):
        turns(loop, lambda: bool(came))
        while door.send(b"x" * 65536):
            pass
        assert door.connection is None
    door.close()


def test_where_nothing_listens_there_is_no_connection(loop: EventLoop, tmp_path: Path) -> None:
    assert connect(str(tmp_path / "none"), loop, lambda packet: None, lambda: None) is None
    lost: list[int] = []
    heard: list[bytes] = []
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    door.bind(str(tmp_path / "s"))
    door.listen()
    found = connect(str(tmp_path / "s"), loop, heard.append, lambda: lost.append(1))
    assert found is not None
    other, _ = door.accept()
    other.send(b"hello")
    turns(loop, lambda: heard == [b"hello"])
    other.close()
    turns(loop, lambda: lost == [1])
    assert not found.send(b"x")
    door.close()
