"""A service stores descriptors with the daemon, and its next process gets them: over its own death and the daemon's."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE, Daemon, wait_gone

Start = Callable[..., Daemon]
PROGRAM = """
import array, os, socket, sys

def notify(text, *descriptors):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendmsg([text.encode()], rights, 0, os.environ["NOTIFY_SOCKET"])

names = os.environ.get("LISTEN_FDNAMES", "").split(":") if "LISTEN_FDS" in os.environ else []
given = {name: number for number, name in enumerate(names, 3)}
assert len(names) == int(os.environ.get("LISTEN_FDS", "0"))
assert not names or os.environ["LISTEN_PID"] == str(os.getpid())
"""
COUNTER = (
    PROGRAM
    + """
assert os.environ["FDSTORE"] == "3"
if "door" in given:
    door = socket.socket(fileno=given["door"])
    state = given["state"]
else:
    door = socket.create_server(("127.0.0.1", 0))
    state = os.memfd_create("state")
    notify("FDSTORE=1\\nFDNAME=door", door.fileno())
    notify("FDSTORE=1\\nFDNAME=state", state)
    notify("FDSTORE=1\\nFDNAME=door", door.fileno())
notify("READY=1\\nSTATUS=" + str(door.getsockname()[1]))
while True:
    client, _ = door.accept()
    seen = os.lseek(state, 0, os.SEEK_END) + 1
    os.write(state, b".")
    client.sendall(f"{seen} {os.getpid()} {' '.join(names)}".encode())
    client.close()
"""
)


def ask(port: int) -> tuple[int, int, str]:
    """How many have asked, the pid of the process that answers, and the names of what it was given."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        answer = b""
        while part := client.recv(4096):
            answer += part
    seen, pid, names = (*answer.decode().split(" ", 2), "")[:3]
    return int(seen), int(pid), names


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_gone(pid)


def written(tmp_path: Path, text: str, name: str = "service.py") -> str:
    (tmp_path / name).write_text(text)
    return f'["{sys.executable}", "{tmp_path / name}"]'


@pytest.fixture
def counter(daemon: Start, tmp_path: Path) -> Iterator[tuple[Daemon, int]]:
    d = daemon(f"""
        [services.counter]
        command = {written(tmp_path, COUNTER)}
        ready = {{ notify = true }}
        fd_store = 3
        restart = {{ initial = "0ms", max_restarts = 100 }}
    """)
    d.event("counter", "running", "ready")
    yield d, int(d.status("counter")["status"])


def test_what_is_stored_outlives_the_service_and_the_daemon(counter: tuple[Daemon, int]) -> None:
    d, port = counter
    seen, first, names = ask(port)
    assert (seen, names) == (1, "")
    assert d.status("counter")["stored"] == ["door", "state"]
    kill(first)
    seen, second, names = ask(port)
    assert second != first and (seen, names) == (2, "door state")
    d.event("counter", "running", "ready")

    d.signal(signal.SIGKILL)
    d.wait()
    d.start()
    assert d.status("counter")["stored"] == ["door", "state"]
    kill(second)
    seen, third, names = ask(port)
    assert third != second and (seen, names) == (3, "door state")
    assert "for its next process it has stored descriptors: door, state" in d.cli("why", "counter").stdout

    d.signal(signal.SIGKILL)
    d.wait()
    kill(third)  # no daemon and no process of the service: the queue waits all the same
    d.start()
    seen, fourth, names = ask(port)
    assert (seen, names) == (4, "door state") and fourth != third


def test_it_outlives_an_upgrade_and_ends_with_an_ordered_stop(counter: tuple[Daemon, int]) -> None:
    d, port = counter
    _, first, _ = ask(port)
    assert d.cli("upgrade").returncode == 0
    assert d.status("counter")["stored"] == ["door", "state"]
    kill(first)
    seen, second, names = ask(port)
    assert second != first and (seen, names) == (2, "door state")
    keeper = Path(d.client.status()["supervisor"]["runtime_dir"]) / "stored.sock"
    assert keeper.exists()
    assert d.cli("stop", "counter").returncode == 0
    assert "stored" not in d.status("counter") and not keeper.exists()
    with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.recv(1)  # what waits in the queue is reset when the socket is closed
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    assert d.cli("start", "counter").returncode == 0
    fresh = int(d.status("counter")["status"])
    assert ask(fresh)[0] == 1, "its state began anew"


STORES_AT_THE_END = (
    PROGRAM
    + """
if given:
    print(os.environ["LISTEN_FDNAMES"], os.pread(given["stored"], 99, 0).decode(), flush=True)
    notify("READY=1")
    import signal
    signal.pause()
memory = os.memfd_create("last words")
os.write(memory, b"what the last run knew")
notify("FDSTORE=1", memory)
os.kill(os.getpid(), 9)
"""
)


def test_what_is_stored_right_before_the_end_is_there_at_once(daemon: Start, tmp_path: Path) -> None:
    d = daemon(f"""
        [services.web]
        command = {written(tmp_path, STORES_AT_THE_END)}
        ready = {{ notify = true }}
        fd_store = 1
        restart = {{ initial = "0ms" }}
    """)
    assert d.event("web", "running", "ready")["incarnation"] == 2
    assert "stored what the last run knew" in d.cli("logs", "web").stdout


STORES_MANY_AT_THE_END = (
    PROGRAM
    + """
if given:
    notify("READY=1\\nSTATUS=" + str(len(names)))
    import signal
    signal.pause()
for _ in range(20):
    notify("FDSTORE=1", os.memfd_create("state"))
os.kill(os.getpid(), 9)
"""
)


def test_all_that_is_stored_right_before_the_end_is_kept(daemon: Start, tmp_path: Path) -> None:
    d = daemon(f"""
        [services.web]
        command = {written(tmp_path, STORES_MANY_AT_THE_END)}
        ready = {{ notify = true }}
        fd_store = 20
        restart = {{ initial = "0ms" }}
    """)
    assert d.event("web", "running", "ready")["incarnation"] == 2
    assert d.status("web")["stored"] == ["stored"] * 20


STORES_NOTHING = (
    PROGRAM
    + """
notify("READY=1")
notify("FDSTORE=1")
notify("FDSTORE=1\\nFDNAME=" + "x" * 200)
import signal
signal.pause()
"""
)


def test_a_message_that_stores_nothing_holds_up_no_start(daemon: Start, tmp_path: Path) -> None:
    d = daemon(f"""
        [services.web]
        command = {written(tmp_path, STORES_NOTHING)}
        ready = {{ notify = true }}
        fd_store = 1
        restart = {{ initial = "0ms" }}
    """)
    d.event("web", "running", "ready")
    assert d.cli("restart", "web").returncode == 0
    assert "stored" not in d.status("web")
    runtime_dir = Path(d.client.status()["supervisor"]["runtime_dir"])
    assert not (runtime_dir / "stored.sock").exists(), "a keeper runs for nothing"


ONE_TOO_MANY = (
    PROGRAM
    + """
def memory(name):
    return os.memfd_create(name)

notify("FDSTORE=1\\nFDNAME=a", memory("a"), memory("b"), memory("c"))
notify("FDSTORE=1\\nFDNAME=b", memory("d"))
notify("FDSTOREREMOVE=1\\nFDNAME=a")
notify("FDSTORE=1\\nFDNAME=later", memory("e"))
notify("READY=1")
import signal
signal.pause()
"""
)


def test_there_is_a_limit_and_names_are_removed(daemon: Start, tmp_path: Path) -> None:
    d = daemon(f"""
        [services.web]
        command = {written(tmp_path, ONE_TOO_MANY)}
        ready = {{ notify = true }}
        fd_store = 2
        [services.none]
        command = {written(tmp_path, ONE_TOO_MANY, "none.py")}
        ready = {{ notify = true }}
    """)
    d.problem("web: 1 of the descriptors that it stores had to be closed (beyond fd_store = 2")
    assert d.cli("wait", "web", "none").returncode == 0
    assert d.status("web")["stored"] == ["later"]
    assert "stored" not in d.status("none")
