"""Listening sockets: opened, kept, fetched from a process that has them, and closed."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.tools.bench.ports import free_port
from supervisor.adapters.sockets.listeners import ListeningSockets
from supervisor.core.model.spec import ServiceSpec, SocketSpec
from supervisor.errors import OperationFailed

Make = Callable[..., ListeningSockets]


@pytest.fixture
def sockets() -> Iterator[Make]:
    """`sockets(inherited)` makes one set; all are closed afterwards."""
    made: list[ListeningSockets] = []

    def make(inherited: dict[str, int] | None = None) -> ListeningSockets:
        made.append(ListeningSockets(inherited or {}))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(params=["tcp4", "tcp6", "path", "abstract"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    kinds = {
        "tcp4": f"tcp://127.0.0.1:{free_port()}",
        "tcp6": f"tcp://[::1]:{free_port()}",
        "path": f"unix:{tmp_path}/app.sock",
        "abstract": f"unix:@test-{os.getpid()}-{tmp_path.name}",
    }
    return kinds[request.param]


def spec(*urls: str, **keys: object) -> ServiceSpec:
    return ServiceSpec(name="web", command=("x",), sockets=tuple(SocketSpec(url=u, **keys) for u in urls))  # type: ignore[arg-type]


def connect(url: str) -> socket.socket:
    """A client's end.  OSError where no process listens."""
    kind, _, rest = url.partition(":")
    if kind == "unix":
        one = socket.socket(socket.AF_UNIX)
        one.connect(rest.replace("@", "\0", 1))
        return one
    host, _, port = rest.removeprefix("//").rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)))


def test_who_connects_waits_until_somebody_accepts(sockets: Make, url: str) -> None:
    ours = sockets()
    (fd,) = ours.open(spec(url))
    assert ours.open(spec(url)) == [fd]
    assert not os.get_inheritable(fd)
    with connect(url) as client:
        client.sendall(b"hello")
        with socket.socket(fileno=os.dup(fd)) as listening:
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.recv(5) == b"hello"
    ours.close()
    with pytest.raises(OSError, match=r"refused|No such file"):
        connect(url)


def test_a_successor_gets_it_by_descriptor(sockets: Make, url: str) -> None:
    (fd,) = sockets().open(spec(url))
    heir = sockets({url: os.dup(fd)})
    assert list(heir.descriptors()) == [url]
    with connect(url):
        assert heir.open(spec(url)) == list(heir.descriptors().values())


def test_what_was_kept_and_is_no_socket_is_not_taken(sockets: Make) -> None:
    read, write = os.pipe()
    assert sockets({"tcp://127.0.0.1:1": read}).descriptors() == {}
    os.close(read)
    os.close(write)


def test_an_adopted_process_has_it_still(sockets: Make, url: str) -> None:
    lost = sockets()
    (fd,) = lost.open(spec(url))
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[fd])
    pidfd = os.pidfd_open(child.pid)
    try:
        os.close(lost._open.pop(url).detach())  # as a crash does: nothing is unlinked
        heir = sockets()
        heir.adopt(spec(url, "tcp://127.0.0.1:1"), child.pid, pidfd)
        assert list(heir.descriptors()) == [url]
        with connect(url) as client, socket.socket(fileno=os.dup(heir.open(spec(url))[0])) as listening:
            listening.accept()[0].close()
            assert client.recv(1) == b""
    finally:
        os.close(pidfd)
        child.communicate(b"\n", timeout=20)


def test_what_a_dead_process_left_is_replaced_and_what_is_used_is_not(sockets: Make, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
        with pytest.raises(OperationFailed, match=f"unix:{path}: Address already in use"):
            sockets().open(spec(f"unix:{path}"))
    sockets().open(spec(f"unix:{path}"))
    connect(f"unix:{path}").close()


def test_a_file_in_its_place_is_left_alone(sockets: Make, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    path.write_text("mine")
    with pytest.raises(OperationFailed, match="there is a file that is not a socket"):
        sockets().open(spec(f"unix:{path}"))
    assert path.read_text() == "mine"


def test_a_removed_path_is_made_again(sockets: Make, tmp_path: Path) -> None:
    ours, url = sockets(), f"unix:{tmp_path}/app.sock"
    ours.open(spec(url))
    (tmp_path / "app.sock").unlink()
    ours.open(spec(url))
    connect(url).close()


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_the_mode_is_as_asked_from_the_first_moment(sockets: Make, tmp_path: Path, mode: int) -> None:
    sockets().open(spec(f"unix:{tmp_path}/app.sock", mode=mode))
    assert (tmp_path / "app.sock").stat().st_mode & 0o7777 == mode


def test_an_address_that_is_taken_is_named(sockets: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        url = f"tcp://127.0.0.1:{theirs.getsockname()[1]}"
        with pytest.raises(OperationFailed, match=f"{url}: Address already in use"):
            sockets().open(spec(url))


def test_each_instance_has_its_own_socket_at_a_shared_address(sockets: Make) -> None:
    """What waits in the queue of one is reset when that one is closed, and others are answered."""
    address = f"tcp://127.0.0.1:{free_port()}"
    ours, urls = sockets(), [f"{address}#1", f"{address}#2"]
    one, other = (ours.open(spec(url, reuseport=True))[0] for url in urls)
    with socket.socket(fileno=os.dup(one)) as first, socket.socket(fileno=os.dup(other)) as second:
        clients = [connect(address) for _ in range(64)]
        first.setblocking(False)
        second.setblocking(False)
        at_second = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                second.accept()[0].close()
                at_second += 1
    assert 0 < at_second < 64, "the kernel spreads them"
    ours.keep_only({urls[1]})
    reset = 0
    for client in clients:
        with client, contextlib.suppress(ConnectionResetError):
            reset += 1
            assert client.recv(1) == b""
            reset -= 1
    assert reset == 64 - at_second
    with connect(address):
        assert list(ours.descriptors()) == [urls[1]]


def test_two_that_do_not_share_the_address_refuse_each_other(sockets: Make) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    ours = sockets()
    ours.open(spec(f"{address}#1", reuseport=True))
    with pytest.raises(OperationFailed, match=f"^{address}: Address already in use"):
        ours.open(spec(address))


def test_an_adopted_instance_has_its_own_socket_still(sockets: Make) -> None:
    url = f"tcp://127.0.0.1:{free_port()}#2"
    lost = sockets()
    (fd,) = lost.open(spec(url, reuseport=True))
    heir = sockets()
    pidfd = os.pidfd_open(os.getpid())
    try:
        heir.adopt(spec(url, reuseport=True), os.getpid(), pidfd)
    finally:
        os.close(pidfd)
    assert list(heir.descriptors()) == [url]
    assert os.fstat(heir.descriptors()[url]).st_ino == os.fstat(fd).st_ino
