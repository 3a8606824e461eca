"""HAProxy's program, files and sockets: the real program where it is installed."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.adapters.balancing import files
from supervisor.adapters.balancing.exchange import Exchange
from supervisor.adapters.balancing.program import usable
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.core.balancing.haproxy_config import Backend, Place, text
from supervisor.core.balancing.slots import Slot, SlotState
from supervisor.core.model.spec import BalanceSpec
from supervisor.errors import OperationFailed
from tests.doubles.fakes import run_until

HAPROXY = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
installed = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
BALANCE = BalanceSpec(listen=("127.0.0.1", 8000))


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop()
    yield loop
    loop.close()


# -- the file ---------------------------------------------------------------------------------------------------------


@installed
@pytest.mark.parametrize(
    "balance",
    [
        BALANCE,
        replace(BALANCE, algorithm="roundrobin", check="/healthz?x=1", sticky="cookie", retry="idempotent"),
        replace(BALANCE, algorithm="hdr(host)", sticky="source", max_connections=3, drain=0.0),
        replace(BALANCE, algorithm="source", mode="tcp", sticky="source"),
        replace(BALANCE, listen=("::1", 8000), algorithm="random(3)"),
    ],
)
def test_the_real_program_takes_the_file(tmp_path: Path, balance: BalanceSpec) -> None:
    place = files.place(str(tmp_path), 'ha "proxy" $x #1')
    slots = [Slot(1, SlotState.ACTIVE, "web@1", 1, "127.0.0.1:18101"), Slot(2, SlotState.DRAINING), Slot(3)]
    other = replace(balance, listen=("127.0.0.1", 8001))
    files.write(place, text(place, [Backend("web", balance, slots), Backend("api.v2-x_1", other, slots)]))
    result = subprocess.run([str(HAPROXY), "-c", "-f", place.file], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr


@installed
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_haproxy_accepts_a_certificate(tmp_path: Path) -> None:
    key, chain, both = (str(tmp_path / name) for name in ("key", "chain", "both"))
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", key, "-out", chain], check=True, capture_output=True)
    Path(both).write_text(Path(chain).read_text() + Path(key).read_text())
    place = files.place(str(tmp_path), "haproxy")
    files.write(place, text(place, [Backend("web", replace(BALANCE, certificate=both), [Slot(1)])]))
    result = subprocess.run([str(HAPROXY), "-c", "-f", place.file], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_only_its_owner_can_read_the_file(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "haproxy"))
    files.write(place, "one\n")
    files.write(place, "two\n")
    assert Path(place.file).read_text() == "two\n"
    assert stat.S_IMODE(Path(place.file).stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(place.directory).stat().st_mode) == 0o700
    assert {one.name for one in Path(place.directory).iterdir()} == {"empty", "haproxy.cfg"}


def test_a_file_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "haproxy"))
    files.write(place, "one\n")
    Path(f"{place.file}.new").mkdir()
    with pytest.raises(OSError):
        files.write(place, "two\n")
    assert Path(place.file).read_text() == "one\n"


def test_an_address_in_use_is_reported() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        assert files.taken(address) == f"{address}: Address already in use"
    assert files.taken(address) == ""
    assert files.taken("[2001:db8::1]:80") != ""


# -- the program ------------------------------------------------------------------------------------------------------


@installed
def test_the_installed_program_is_new_enough() -> None:
    assert usable({"PATH": "/nowhere"}) == HAPROXY


def test_another_program_is_not_taken_for_haproxy(tmp_path: Path) -> None:
    program = tmp_path / "haproxy"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    with pytest.raises(OperationFailed, match="is not HAProxy: its -v prints hello"):
        usable({"PATH": str(tmp_path)})


# -- the sockets ------------------------------------------------------------------------------------------------------


class Answering:
    """A server on a Unix socket that takes one question and then does `then(connection)`."""

    def __init__(self, path: Path, then: Callable[[socket.socket], None]) -> None:
        self.path, self._then = str(path), then
        self.asked = b""
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(self.path)
        self._listening.listen()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection, self._listening:
            while part := connection.recv(65536):
                self.asked += part
            self._then(connection)


def answer(loop: EventLoop, path: str, question: str = "show info", timeout: float = 20.0) -> str | None:
    found: list[str | None] = []
    Exchange(loop, path, question, found.append, timeout=timeout)
    assert found == []
    run_until(loop, lambda: bool(found))
    return found[0]


def test_a_long_question_and_a_long_answer(loop: EventLoop, tmp_path: Path) -> None:
    server = Answering(tmp_path / "s", lambda connection: connection.sendall(b"x" * 300_000))
    question = "q" * 500_000
    assert answer(loop, server.path, question) == "x" * 300_000
    assert server.asked.decode() == question + "\n"


def test_no_answer_in_time(loop: EventLoop, tmp_path: Path) -> None:
    end = threading.Event()

    def wait(_: socket.socket) -> None:
        end.wait()

    server = Answering(tmp_path / "s", wait)
    assert answer(loop, server.path, timeout=0.01) is None
    end.set()
    server.thread.join()


def test_a_socket_on_which_nothing_listens(loop: EventLoop, tmp_path: Path) -> None:
    assert answer(loop, str(tmp_path / "none")) is None


def test_an_answer_without_end(loop: EventLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.adapters.balancing.exchange.MOST", 1000)
    server = Answering(tmp_path / "s", lambda connection: connection.sendall(b"x" * 5000))
    assert answer(loop, server.path) is None
