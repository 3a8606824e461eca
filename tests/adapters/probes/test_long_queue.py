"""A socket whose queue is long where root makes it, and an ordinary one for everybody else."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.probes import long_queue
from supervisor.adapters.probes.long_queue import LONG, long_socket, queue_length
from supervisor.adapters.probes.notify_socket import NotifySocket
from supervisor.core.model.sdnotify import Message

MANY = 200  # datagrams that one sender may leave unread, whatever the queue


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that queues few."""
    if long_queue._usual() >= LONG:
        pytest.skip("the host queues as many by itself")


@pytest.fixture
def apart(short: None) -> None:
    made: list[socket.socket] = []
    thread = threading.Thread(target=long_queue._make_apart, args=(made,))
    thread.start()
    thread.join()
    if not made:
        pytest.skip("who runs this may not make a network namespace")
    made[0].close()


def sent(receiver: socket.socket, path: Path) -> int:
    """How many datagrams a sender of the host gets rid of without waiting."""
    receiver.bind(str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        sender.connect(str(path))
        for number in range(MANY):
            try:
                sender.send(b"WATCHDOG=1")
            except BlockingIOError:
                return number
    return MANY


def test_root_gets_a_long_queue_and_stays_where_it_is(apart: None, tmp_path: Path) -> None:
    namespace, setting = Path("/proc/self/ns/net").readlink(), long_queue._usual()
    with long_socket() as sock:
        assert queue_length(sock) == LONG
        assert sent(sock, tmp_path / "n") == MANY
    assert Path("/proc/self/ns/net").readlink() == Path("/proc/thread-self/ns/net").readlink() == namespace
    assert long_queue._usual() == setting, "that of the host"


@pytest.mark.parametrize("reason", ["refused", "read-only", "no thread"])
def test_where_that_is_not_possible_it_is_an_ordinary_socket(
    short: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    monkeypatch.setattr(
        ctypes, "CDLL", lambda *_, **__: SimpleNamespace(unshare=lambda _: -1 if reason == "refused" else 0)
    )
    if reason == "read-only":
        monkeypatch.setattr(long_queue, "_SETTING", str(tmp_path / "absent" / "setting"))
    if reason == "no thread":
        monkeypatch.setattr(threading.Thread, "start", no_thread)
    with long_socket() as sock:
        monkeypatch.undo()
        assert queue_length(sock) == long_queue._usual()
        assert sent(sock, tmp_path / "n") == long_queue._usual() + 1


def no_thread(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_host_that_queues_as_many_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_queue, "_usual", lambda: LONG)
    monkeypatch.setattr(long_queue, "_make_apart", None)
    with long_socket() as sock:
        assert queue_length(sock) == LONG


@pytest.mark.parametrize("former", [False, True])
def test_before_a_silence_is_judged_all_that_is_queued_is_read(apart: None, tmp_path: Path, former: bool) -> None:
    """Which is more than one turn reads: the beat that postpones the deadline may be the last one."""
    loop = EventLoop()
    heard: list[Message] = []
    notify = NotifySocket(loop, str(tmp_path / "n"), lambda *told: heard.append(told[2]), print)
    for first in range(0, LONG, MANY):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            sender.connect(notify.path)
            for number in range(first, min(first + MANY, LONG)):
                sender.send(b"STATUS=%d" % number)
    if former:
        Path(notify.path).unlink()
        notify.rebind()
    notify.drain()
    assert [message.status for message in heard] == [str(number) for number in range(LONG)]
    notify.close()
    loop.close()


def test_a_successor_knows_the_queue_that_it_takes_over(apart: None, tmp_path: Path) -> None:
    loop = EventLoop()
    first = NotifySocket(loop, str(tmp_path / "n"), lambda *_: None, print)
    following = NotifySocket(EventLoop(), first.path, lambda *_: None, print, os.dup(first.fileno()))
    assert following._longest == first._longest == 0.1
    first.close()
    loop.close()
