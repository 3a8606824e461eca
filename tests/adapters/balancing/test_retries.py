"""What HAProxy sends again, with the file that we write: the real program between a client and two servers."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from scripts.tools.bench.ports import free_port
from supervisor.adapters.balancing import files
from supervisor.core.balancing.haproxy_config import BUFFER, Backend, text
from supervisor.core.balancing.slots import Slot, SlotState
from supervisor.core.model.spec import BalanceSpec

HAPROXY = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
PATIENCE = 60.0
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")


class Server:
    """Answers a request with its body's length, and what it expected; or, where it is `dying`, closes the connection as
    soon as something of a request has come."""

    def __init__(self, *, dying: bool) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.requests = 0
        self._dying = dying
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self.socket.accept()[0],), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), closing(connection), connection.makefile("rb") as incoming:
            while incoming.readline():
                self.requests += 1
                if self._dying:
                    return
                headers = dict(iter(lambda: incoming.readline().lower().strip().partition(b": ")[::2], (b"", b"")))
                expected = b"expect" in headers
                connection.sendall(CONTINUE if expected else b"")
                body = incoming.read(int(headers.get(b"content-length", b"0")))
                told = b"%d %s" % (len(body), b"expected" if expected else b"plain")
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(told), told))


Put = Callable[[int], bytes]


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    made = [Server(dying=True), Server(dying=False)]
    yield made
    for one in made:
        one.socket.close()


@pytest.fixture
def put(servers: list[Server], tmp_path: Path) -> Iterator[Put]:
    """A client of HAProxy, which sends the requests to both in turn."""
    port = free_port()
    balance = BalanceSpec(listen=("127.0.0.1", port), algorithm="roundrobin", retry="idempotent")
    slots = [Slot(n, SlotState.ACTIVE, f"web@{n}", 1, one.address) for n, one in enumerate(servers, 1)]
    place = files.place(str(tmp_path), "haproxy")
    files.write(place, text(place, [Backend("web", balance, slots)]))

    def ask(size: int) -> bytes:
        """The head, and after the go-ahead a body of this size."""
        with closing(socket.create_connection(("127.0.0.1", port), PATIENCE)) as client, suppress(ConnectionError):
            client.sendall(b"PUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n" % size)
            if client.recv(len(CONTINUE), socket.MSG_WAITALL) == CONTINUE:
                client.sendall(b"x" * size)
                with client.makefile("rb") as answer:
                    head = list(iter(answer.readline, b"\r\n"))
                    return answer.read(int(head[1].partition(b":")[2]))
        return b""

    process = subprocess.Popen([str(HAPROXY), "-db", "-f", place.file])
    try:
        while process.poll() is None:
            with suppress(ConnectionError), closing(socket.create_connection(("127.0.0.1", port), PATIENCE)):
                break
        yield ask
    finally:
        process.kill()
        process.wait()


def test_a_body_that_comes_after_its_head_is_sent_again(put: Put, servers: list[Server]) -> None:
    """HAProxy gives the go-ahead, so that it has the whole request before it chooses a server."""
    assert [put(size) for size in (1, 1000, BUFFER - 1024) for _ in range(2)] == [
        b"%d plain" % size for size in (1, 1, 1000, 1000, BUFFER - 1024, BUFFER - 1024)
    ]
    assert servers[0].requests


def test_a_body_that_it_cannot_keep_is_passed_on_as_it_comes(put: Put) -> None:
    assert {put(BUFFER + 1), put(BUFFER + 1)} == {b"", b"%d expected" % (BUFFER + 1)}
