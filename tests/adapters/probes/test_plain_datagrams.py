"""Many datagrams by two system calls; what is long or carries descriptors is left, and nothing is passed over."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.probes import notify_socket
from supervisor.adapters.probes.notify_socket import NotifySocket
from supervisor.adapters.probes.plain_datagrams import SHORT, PlainDatagrams
from supervisor.core.model.sdnotify import Message
from tests.doubles.fakes import run_until

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    receiver = notify_socket._bound(str(tmp_path / "notify"))
    with receiver, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(tmp_path / "notify"))
        yield receiver, sender


def count_calls(plain: PlainDatagrams, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    real = plain._receive

    def receive(*arguments: int | None) -> int:
        calls.append(1)
        return int(real(*arguments))

    monkeypatch.setattr(plain, "_receive", receive)
    return calls


def texts(plain: PlainDatagrams) -> list[bytes]:
    return [bytes(plain.text[begin:end]) for *_, begin, end in plain.take()]


def test_two_system_calls_take_all_that_is_queued(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver, sender = pair
    plain = PlainDatagrams(receiver)
    calls = count_calls(plain, monkeypatch)
    for _ in range(3):
        for _ in range(8):
            sender.send(b"WATCHDOG=1")
        found = plain.take()
        assert {(pid, uid) for pid, uid, *_ in found} == {(os.getpid(), os.getuid())}
        assert len(found) == 8
    assert len(calls) == 6


def test_nothing_queued_is_no_error_and_a_broken_socket_is_one(pair: Pair) -> None:
    plain = PlainDatagrams(pair[0])
    assert plain.take() == [] and plain.left == 0
    plain._fd = -1
    with pytest.raises(OSError, match="Bad file descriptor"):
        plain.take()


def test_what_is_long_or_carries_descriptors_is_left_with_what_follows(pair: Pair) -> None:
    receiver, sender = pair
    plain = PlainDatagrams(receiver)
    sender.send(b"")
    sender.send(b"a" * SHORT)
    sender.send(b"b" * (SHORT + 1))
    sender.send(b"c")
    assert texts(plain) == [b"", b"a" * SHORT] and plain.left
    assert [receiver.recv(200) for _ in range(2)] == [b"b" * (SHORT + 1), b"c"]
    sender.send(b"d")
    socket.send_fds(sender, [b"e"], [receiver.fileno()])
    assert texts(plain) == [b"d"] and plain.left
    receiver.recv(1)
    assert texts(plain) == []


def test_an_empty_datagram_that_was_looked_at_before_is_not_passed_over(tmp_path: Path) -> None:
    """The kernel does not show it again where it looks beyond the first one: what follows would be taken in its place,
    and heard twice."""
    loop = EventLoop()
    heard: list[Message] = []
    notify = NotifySocket(loop, str(tmp_path / "n"), lambda _pid, _uid, message, _at: heard.append(message), print)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(notify.path)
        sender.send(b"STATUS=1")
        socket.send_fds(sender, [b"STATUS=2"], [sender.fileno()])
        for datagram in (b"", b"STATUS=3", b"", b"STATUS=" + b"4" * SHORT, b"", b"STATUS=5"):
            sender.send(datagram)
        run_until(loop, lambda: len(heard) >= 5)
    assert [message.status for message in heard] == ["1", "2", "3", "4" * SHORT, "5"]
    assert notify.meaningless == 3
    notify.close()
    loop.close()


@pytest.mark.parametrize("first", [b"STATUS=1", b""])
def test_an_empty_datagram_is_not_passed_over_where_two_helpers_are_to_take_one(tmp_path: Path, first: bytes) -> None:
    loop = EventLoop()
    heard: list[Message] = []
    notify = NotifySocket(loop, str(tmp_path / "n"), lambda _pid, _uid, message, _at: heard.append(message), print)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(notify.path)
        socket.send_fds(sender, [first], [sender.fileno()])
        if first:
            sender.send(b"")
        notify.read()
        os.kill(notify._sinks[notify._socket]._pid, signal.SIGKILL)
        run_until(loop, lambda: notify.meaningless)
        sender.send(b"STATUS=2")
        run_until(loop, lambda: heard and heard[-1].status == "2")
        socket.send_fds(sender, [b"STATUS=3"], [sender.fileno()])
        sender.send(b"STATUS=4")
        run_until(loop, lambda: heard[-1].status == "4")
    assert [message.status for message in heard if message.status != "1"] == ["2", "3", "4"]
    notify.close()
    loop.close()


def test_where_the_queue_was_filled_twice_the_next_batch_is_shorter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = EventLoop()
    notify = NotifySocket(loop, str(tmp_path / "n"), lambda *_: None, print)
    notify._expect(10)
    assert notify._wait == 0.008, "eleven fit, and 1,250 in a second are expected"
    waits = []
    for count in (20, 21, 20, 19, 5, 4, 2):
        collect(notify, count, monkeypatch)
        waits.append(notify._wait)
    assert waits == [0.004, 0.002, 0.002, 0.002, 0.002, 0.004, 0.008]
    notify.close()
    loop.close()


def test_a_long_queue_is_read_less_often_until_a_batch_is_as_much_as_one_turn_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = EventLoop()
    notify = NotifySocket(loop, str(tmp_path / "n"), lambda *_: None, print)
    notify._expect(512)
    waits = [notify._wait]
    for count in (63, 2, 2, 64, 255, 256, 200, 1):
        collect(notify, count, monkeypatch)
        waits.append(notify._wait)
    assert waits == [0.02, 0.04, 0.08, 0.1, 0.1, 0.1, 0.05, 0.05, 0.02], "a lone one ends the collection"
    notify.close()
    loop.close()


def test_a_process_that_was_just_started_need_not_wait_long_until_its_readiness_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = EventLoop()
    notify = NotifySocket(loop, str(tmp_path / "n"), lambda *_: None, print)
    notify._expect(512)
    for _ in range(3):
        collect(notify, 2, monkeypatch)
    timer = notify._batch_timer
    assert timer is not None and timer.when > loop.now() + 0.05
    notify.hurry()
    assert notify._batch_timer is not None and notify._batch_timer.when <= loop.now() + 0.02
    collect(notify, 2, monkeypatch)
    assert notify._wait == 0.02
    notify._hurried_until = loop.now()
    collect(notify, 2, monkeypatch)
    assert notify._wait == 0.04
    notify.close()
    loop.close()


def collect(notify: NotifySocket, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "_read", lambda _most: count)
    notify._collect()
