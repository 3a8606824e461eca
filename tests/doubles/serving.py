"""A real server on a real event loop in a thread of its own, for tests that are its clients."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.http.messages import Handler
from supervisor.adapters.http.server import HttpServer

PATIENCE = 60.0


class Served:
    """`path` is the Unix socket, `port` the TCP one; `problems` what the server complained of."""

    def __init__(self, loop: EventLoop, server: HttpServer, path: str, port: int, problems: list[str]) -> None:
        self.loop = loop
        self.server = server
        self.path = path
        self.port = port
        self.problems = problems

    def call(self, function: Callable[[], Any]) -> Any:
        """Run `function` in the loop; its result."""
        done = threading.Event()
        result: list[Any] = []

        def run() -> None:
            result.append(function())
            done.set()

        self.loop.call_from_thread(run)
        assert done.wait(PATIENCE), "the loop does not turn"
        return result[0]

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(PATIENCE)
        sock.connect(self.path)
        return sock

    def connect_tcp(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE, (source, 0))

    def settle(self) -> None:
        """Return when the loop has turned a few times."""
        for _ in range(4):
            self.call(lambda: None)


@contextmanager
def serving(
    make: Callable[[EventLoop], Handler], path: str, group: int | None = None, **guards: Any
) -> Iterator[Served]:
    """Serve what `make` makes on the Unix socket `path`, also to `group`, and on a TCP port, with `guards`."""
    loop = EventLoop()
    problems: list[str] = []
    loop.on_error = lambda error: problems.append(repr(error))
    server = HttpServer(loop, make(loop), problems.append)
    server.listen_unix(path, group=group)
    port = server.listen_tcp("127.0.0.1", 0, **guards)
    thread = threading.Thread(target=loop.run, daemon=True)
    thread.start()
    served = Served(loop, server, path, port, problems)
    try:
        yield served
    finally:

        def end() -> None:
            server.close()
            loop.stop()

        loop.call_from_thread(end)
        thread.join(PATIENCE)
        assert not thread.is_alive()
        loop.close()


def read_all(sock: socket.socket) -> bytes:
    """Until the other side hangs up."""
    out = b""
    while True:
        try:
            data = sock.recv(65536)
        except ConnectionResetError:
            return out
        if not data:
            return out
        out += data


def read_answer(sock: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """One answer with a content-length."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(1)
        assert more, f"the connection ended: {data!r}"
        data += more
    lines = data.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
    body = b""
    while len(body) < int(headers.get("content-length", 0)):
        body += sock.recv(int(headers["content-length"]) - len(body))
    return int(lines[0].split()[1]), headers, body
