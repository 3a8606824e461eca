"""A service on a socket of the supervisor: every client is answered, even when service or daemon restarts."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.tools.bench.ports import free_port
from tests.e2e.conftest import PATIENCE, Daemon
from tests.e2e.hangs.test_stopped_processes import stands_still

Start = Callable[..., Daemon]
SERVER = """
import os, socket
listening = socket.socket(fileno=3)
answer = b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n%d" % os.getpid()
while True:
    client, _ = listening.accept()
    with client:
        client.recv(4096)
        client.sendall(answer)
"""


def ask(port: int) -> int:
    """The pid of the process that answers.  OSError, ValueError where none does."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        return ask_over(client)


def ask_over(client: socket.socket) -> int:
    """The same over a connection."""
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = b""
    while part := client.recv(4096):
        answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise ValueError(head)
    return int(body)


class Load:
    """Requests at a steady rate, each on a connection of its own, until told to stop."""

    def __init__(self, port: int, rate: float, threads: int = 4) -> None:
        self.answered = 0
        self.failed: list[str] = []
        self.pids: set[int] = set()
        self._port, self._pause = port, threads / rate
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._end.wait(max(0.0, due - time.monotonic())):
            due += self._pause
            try:
                pid = ask(self._port)
            except (OSError, ValueError) as error:
                with self._lock:
                    self.failed.append(repr(error))
            else:
                with self._lock:
                    self.answered += 1
                    self.pids.add(pid)

    def at_least(self, count: int) -> None:
        """Wait until so many more have been answered."""
        wanted, limit = self.answered + count, time.monotonic() + PATIENCE
        while self.answered < wanted and not self._end.wait(0.01):
            assert time.monotonic() < limit, self.failed[:5]

    def end(self) -> float:
        """Stop; how many were asked in a second."""
        self._end.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        return (self.answered + len(self.failed)) / (time.monotonic() - self._began)


@pytest.fixture
def web(daemon: Start, tmp_path: Path) -> tuple[Daemon, int]:
    """A daemon with a web server on its socket, and the port."""
    port = free_port()
    (tmp_path / "server.py").write_text(SERVER)
    one = daemon(
        f'[services.web]\ncommand = ["{sys.executable}", "{tmp_path}/server.py"]\nsockets = ["tcp://127.0.0.1:{port}"]\n'
    )
    one.event("web", "running")
    return one, port


@pytest.fixture
def load() -> Iterator[Callable[[int, float], Load]]:
    made: list[Load] = []

    def make(port: int, rate: float) -> Load:
        made.append(Load(port, rate))
        return made[-1]

    yield make
    for one in made:
        one.end()


def test_an_upgrade_under_load_fails_no_request(web: tuple[Daemon, int], load: Callable[[int, float], Load]) -> None:
    """With `-s` it prints the rate that was held."""
    one, port = web
    requests = load(port, 1200)
    requests.at_least(500)
    for _ in range(3):
        assert one.cli("upgrade").returncode == 0
        requests.at_least(500)
    rate = requests.end()
    print(f"\n{requests.answered} requests, {rate:.0f}/s, over 3 upgrades: {len(requests.failed)} failed")  # noqa: T201
    assert requests.failed == []
    assert requests.pids == {one.status("web")["pid"]}


def test_a_restart_refuses_nobody(web: tuple[Daemon, int], load: Callable[[int, float], Load]) -> None:
    """A client that was accepted before the stop loses its answer; later ones wait for the next server."""
    one, port = web
    requests = load(port, 200)
    requests.at_least(20)
    assert one.cli("restart", "web").returncode == 0
    requests.at_least(20)
    requests.end()
    assert not [text for text in requests.failed if "refused" in text]
    assert len(requests.pids) == 2


def test_a_crash_of_the_daemon_loses_no_socket(web: tuple[Daemon, int]) -> None:
    one, port = web
    pid = ask(port)
    one.signal(signal.SIGKILL)
    one.wait()
    assert ask(port) == pid
    one.start()
    one.event("web", "running", "adopted")
    assert one.cli("signal", "--signal", "STOP", "web").returncode == 0
    stands_still(pid)  # until then it may accept one more
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as early:  # in the queue of the socket
        early.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert one.cli("signal", "--signal", "KILL", "web").returncode == 0
        assert b"200 OK" in early.recv(4096)
    assert ask(port) != pid


def test_what_is_stopped_refuses_and_what_is_started_again_answers(web: tuple[Daemon, int]) -> None:
    one, port = web
    ask(port)
    assert one.cli("stop", "web").returncode == 0
    with pytest.raises(ConnectionRefusedError):
        ask(port)
    assert one.cli("start", "web").returncode == 0
    ask(port)


def test_a_taken_address_is_named_and_tried_again(daemon: Start, tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        port = theirs.getsockname()[1]
        one = daemon(
            f'[services.web]\ncommand = ["{sys.executable}", "{tmp_path}/server.py"]\n'
            f'sockets = ["tcp://127.0.0.1:{port}"]\nrestart.initial = "10ms"\nrestart.max_restarts = 100000\n'
        )
        event = one.event("web", "backoff", "spawn-failed")
        assert event["detail"]["error"] == f"tcp://127.0.0.1:{port}: Address already in use"
    one.event("web", "running")
    ask(port)
