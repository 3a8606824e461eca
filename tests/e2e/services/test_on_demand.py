"""Services that start on demand, and replicas with a socket each at one address, by the real command."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.tools.bench.ports import free_port
from tests.e2e.conftest import PATIENCE, Daemon
from tests.e2e.services.test_sockets import SERVER, ask, ask_over

Start = Callable[..., Daemon]
DORMANT = ("stopped", "up", True, True)


def service(tmp_path: Path, query: str, *, program: str = SERVER, more: str = "") -> tuple[str, int]:
    """The configuration of `web` with a socket, and its port."""
    port = free_port()
    (tmp_path / "server.py").write_text(program)
    command = f'command = ["{sys.executable}", "-S", "{tmp_path}/server.py"]'
    return f'[services.web]\n{command}\nsockets = ["tcp://127.0.0.1:{port}?{query}"]\n{more}\n', port


def standing(one: Daemon) -> tuple[object, ...]:
    row = one.status("web")
    return row["state"], row["goal"], row["ready"], row["on_demand"]


def test_the_first_connection_starts_it_and_it_is_stopped_when_idle(daemon: Start, tmp_path: Path) -> None:
    front = "[services.front]\ncommand = 'sleep 1000'\ndepends_on = ['web']\n"
    toml, port = service(tmp_path, "start=demand&idle=1s", more=front)
    one = daemon(toml)
    one.event("web", "stopped", "on-demand")
    one.event("front", "running")
    assert standing(one) == DORMANT
    shown = one.cli("status")
    assert shown.returncode == 0
    assert "on demand" in shown.stdout
    assert "waits for a connection" in shown.stdout
    pids = set()
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:  # open: it is not idle
            one.event("web", "starting", "connection")
            one.event("web", "running")
            seen = time.monotonic()
            pids.add(ask_over(client))
        one.event("web", "stopping", "idle")
        assert time.monotonic() - seen >= 1.0
        one.event("web", "stopped", "idle")
        assert standing(one) == DORMANT
    assert len(pids) == 2
    assert "on demand: it waits for a connection" in one.cli("why", "web").stdout
    report = one.cli("report", "--json").stdout
    assert '"failures": 0' in report


def test_a_stop_holds_and_by_name_it_is_started_at_once(daemon: Start, tmp_path: Path) -> None:
    toml, port = service(tmp_path, "start=demand")
    one = daemon(toml)
    one.event("web", "stopped", "on-demand")
    assert one.cli("stop", "web").returncode == 0
    with pytest.raises(ConnectionRefusedError):
        ask(port)
    assert one.cli("start", "web").returncode == 0
    assert ask(port) == one.status("web")["pid"]


def test_one_that_cannot_start_does_not_spin_while_a_connection_waits(daemon: Start, tmp_path: Path) -> None:
    more = "restart.initial = '50ms'\nrestart.max_restarts = 2\nrestart.cooldown = '1h'"
    toml, port = service(tmp_path, "start=demand", program="raise SystemExit(3)", more=more)
    one = daemon(toml)
    one.event("web", "stopped", "on-demand")
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        one.event("web", "failed", "exited")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert one.status("web")["incarnation"] == 3
    with pytest.raises(ConnectionRefusedError):  # as with any open breaker
        ask(port)


@pytest.mark.parametrize("how", ["upgrade", "crash", "down"])
def test_the_next_daemon_waits_for_the_connection(daemon: Start, tmp_path: Path, how: str) -> None:
    toml, port = service(tmp_path, "start=demand&idle=1s")
    one = daemon(toml)
    one.event("web", "stopped", "on-demand")
    if how == "upgrade":
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE):
            one.event("web", "running")
            assert one.cli("upgrade").returncode == 0
        one.event("web", "stopped", "idle")  # the new daemon counts anew
        assert one.cli("upgrade").returncode == 0
    else:
        one.signal(signal.SIGKILL if how == "crash" else signal.SIGTERM)
        one.wait()
        one.start()
        if how == "down":
            one.event("web", "stopped", "on-demand")
        assert standing(one) == DORMANT
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:  # open: it is not idle
        one.event("web", "running")
        pid = one.status("web")["pid"]
        assert ask_over(client) == pid


def test_an_edited_file_begins_and_ends_it(daemon: Start, tmp_path: Path) -> None:
    toml, port = service(tmp_path, "start=demand")
    one = daemon(toml)
    one.event("web", "stopped", "on-demand")
    one.write(toml.replace("?start=demand", ""))
    assert one.cli("reload").returncode == 0
    one.event("web", "running")
    one.write(toml)
    assert one.cli("reload").returncode == 0
    one.event("web", "running")  # the process before may accept until it ends
    assert ask(port) == one.status("web")["pid"]


def test_its_address_is_taken(daemon: Start, tmp_path: Path) -> None:
    toml, port = service(tmp_path, "start=demand", more="restart.initial = '50ms'")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        one = daemon(toml)
        one.event("web", "backoff", "spawn-failed")
    one.event("web", "running")
    assert ask(port) == one.status("web")["pid"]


def test_replicas_with_a_socket_each_at_one_address(daemon: Start, tmp_path: Path) -> None:
    toml, port = service(tmp_path, "share=reuseport", more="replicas = 3\nrestart.initial = '200ms'")
    one = daemon(toml)
    for n in (1, 2, 3):
        one.event(f"web@{n}", "running")
    pids = {name: one.status(name)["pid"] for name in ("web@1", "web@2", "web@3")}
    seen: set[int] = set()
    while len(seen) < 3:
        seen.add(ask(port))
    assert seen == set(pids.values())
    queues = one.status("web@2")["sockets"]
    assert [(q["url"], q["waiting"], q["overflows"]) for q in queues] == [(f"tcp://127.0.0.1:{port}#2", 0, 0)]
    os.kill(pids["web@2"], signal.SIGKILL)
    one.event("web@2", "backoff", "killed-by-signal")  # until then it may accept one more; its queue is kept
    for _ in range(100):
        ask(port)
    one.event("web@2", "running")
    one.signal(signal.SIGKILL)
    one.wait()
    one.start()
    for _ in range(100):
        ask(port)
    assert one.cli("stop", "web@2").returncode == 0
    answers = {ask(port) for _ in range(50)}
    assert answers == {pids["web@1"], pids["web@3"]}
