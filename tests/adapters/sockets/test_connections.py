"""What the kernel tells of a listening socket: that a connection came, how many are open, and its queue."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.sockets.arrivals import Arrivals
from supervisor.adapters.sockets.connections import Queue, open_connections, queues

PATIENCE = 60.0
KINDS = ["tcp4", "every-address", "tcp6", "path", "abstract"]


@pytest.fixture(params=KINDS)
def listening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    inet = {"tcp4": "127.0.0.1", "every-address": "0.0.0.0", "tcp6": "::1"}
    if host := inet.get(request.param):
        one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        one.bind((host, 0))
    else:
        one = socket.socket(socket.AF_UNIX)
        one.bind(f"{tmp_path}/a.sock" if request.param == "path" else f"\0test-{os.getpid()}")
    with one:
        one.listen(2)
        yield one


def connected(listening: socket.socket) -> socket.socket:
    client = socket.socket(listening.family)
    client.settimeout(PATIENCE)
    name = listening.getsockname()
    client.connect(("127.0.0.1", name[1]) if name[0] == "0.0.0.0" else name)
    return client


def test_what_is_open(listening: socket.socket) -> None:
    assert open_connections(listening) == 0
    with connected(listening) as one, connected(listening) as other:
        assert open_connections(listening) == 2, "in the queue, too"
        accepted, _ = listening.accept()
        with accepted:
            assert open_connections(listening) == 2
            one.shutdown(socket.SHUT_WR)
            assert open_connections(listening) == 2, "it may still be answered"
        assert open_connections(listening) == 1
        listening.accept()[0].close()
        assert other.recv(1) == b""
    assert open_connections(listening) == 0


def test_a_port_at_another_address_is_another_socket() -> None:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        one.listen()
        other.bind(("127.0.0.2", one.getsockname()[1]))
        other.listen()
        with connected(one):
            assert (open_connections(one), open_connections(other)) == (1, 0)


def test_the_queue(listening: socket.socket) -> None:
    tcp = listening.family != socket.AF_UNIX
    assert queues({"a": listening}) == {"a": Queue(0, 2, 0 if tcp else None)}
    with connected(listening), connected(listening), connected(listening):
        assert queues({"a": listening}) == {"a": Queue(3, 2, 0 if tcp else None)}
        if tcp:
            with socket.socket(listening.family) as refused:
                refused.setblocking(False)
                name = listening.getsockname()
                refused.connect_ex(("127.0.0.1", name[1]) if name[0] == "0.0.0.0" else name)
                found = queues({"a": listening})["a"]
                assert found.waiting == 3
                assert found.overflows
    with socket.socket() as closed:
        closed.close()
        assert queues({"a": listening, "closed": closed}).keys() == {"a"}


ACCEPTS = """
import socket
listening = socket.socket(fileno=0)
while True:
    client, _ = listening.accept()
    client.sendall(b"x")
    client.close()
"""


def test_a_connection_is_heard_though_another_process_has_accepted_it(listening: socket.socket) -> None:
    """epoll would not tell: by the time it looks, the queue is empty again."""
    loop = EventLoop()
    heard: list[int] = []
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    arrivals = Arrivals(loop, heard.append)
    child = subprocess.Popen([sys.executable, "-c", ACCEPTS], stdin=listening.fileno())
    try:
        with connected(listening) as client:  # the process accepts
            assert client.recv(1) == b"x"
        for n in range(1, 21):
            arrivals.listen(listening.fileno())
            for _ in range(3):  # it is told once
                with connected(listening) as client:
                    assert client.recv(1) == b"x"
            limit = loop.call_at(loop.now() + PATIENCE, lambda: pytest.fail("not heard"))
            while len(heard) < n:
                loop.turn()
            limit.cancel()
        assert heard == [listening.fileno()] * 20
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask, "children inherit it"
        arrivals.listen(listening.fileno())
        arrivals.ignore([listening.fileno()])
        with connected(listening) as client:
            assert client.recv(1) == b"x"
        loop.call_soon(lambda: None)
        loop.turn()
        assert len(heard) == 20
    finally:
        child.kill()
        child.wait()
        loop.close()
