"""Rollouts of services behind HAProxy: `balance` that comes, goes or comes back with a definition."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.tools.bench.balanced import WEB, Clients
from scripts.tools.bench.ports import free_port
from supervisor.core.model.documents import Event
from tests.e2e.conftest import PATIENCE, Daemon
from tests.e2e.programs import test_balancing
from tests.e2e.programs.test_balancing import all_confirmed, all_ready, ask, service, slots

Start = Callable[..., Daemon]
pytestmark = test_balancing.pytestmark
ROLLED = '[services.web.rollout]\nsettle = "200ms"\n'


@pytest.fixture
def load() -> Iterator[Callable[[int], Clients]]:
    made: list[Clients] = []

    def begin(port: int) -> Clients:
        made.append(Clients(port, 6))
        return made[-1]

    yield begin
    for one in made:
        one.stop()


def unbalanced(toml: str) -> str:
    return re.sub(r"(?m)^balance = .*\n", 'environment = { RELEASE = "unbalanced" }\n', toml)


def bad(toml: str) -> str:
    return re.sub(r"(?m)^command = .*\n", 'command = ["sh", "-c", "exit 3"]\n', toml)


def names(one: Daemon) -> set[str]:
    return {row["name"] for row in one.client.get("/v1/status")["instances"]}


def events(one: Daemon) -> list[Event]:
    found: list[Event] = one.client.get("/v1/events", limit=1000)["events"]
    return found


def instances(*, haproxy: bool) -> set[str]:
    return {"web@1", "web@2"} | ({"haproxy"} if haproxy else set())


def reload(one: Daemon, toml: str) -> Any:
    one.write(toml)
    return one.cli("reload")


def test_haproxy_stays_until_the_last_process_behind_it_is_drained(daemon: Start, tmp_path: Path) -> None:
    port = free_port()
    with_balance = service(port, tmp_path, replicas=2, more=ROLLED)
    one = daemon(with_balance)
    all_ready(one, 2)
    done = reload(one, unbalanced(with_balance))
    assert done.returncode == 0, done
    one.event("haproxy", "stopped")
    told = [(e["instance"], e["to"], e["cause"]) for e in one.client.get("/v1/events", limit=1000)["events"]]
    drained = told.index(("web@2", "stopping", "rolled-out"))
    assert drained < told.index(("haproxy", "stopping", "removed")), "it was there for the last"
    assert ("web@1", "running", "rollout-finished") in told
    assert names(one) == instances(haproxy=False)
    undo = one.cli("rollout", "undo", "web")
    assert undo.returncode == 1 and "its definition before has `balance`, and HAProxy went with that" in undo.stderr
    assert reload(one, with_balance).returncode == 0
    assert names(one) == instances(haproxy=True) and ask(port) in instances(haproxy=False)


@pytest.mark.parametrize("killed", [False, True])
def test_a_rollback_keeps_haproxy(daemon: Start, load: Callable[[int], Clients], tmp_path: Path, killed: bool) -> None:
    port = free_port()
    with_balance = service(port, tmp_path, replicas=2, more=ROLLED)
    one = daemon(with_balance)
    all_confirmed(one, 2)
    requests = load(port)
    requests.more(20)
    done = reload(one, bad(unbalanced(with_balance)))
    assert done.returncode == 1 and "rolled back" in done.stderr
    requests.more(20)
    if killed:
        one.signal(signal.SIGKILL)
        one.wait()
        one.start()
        requests.more(20)
    assert names(one) == instances(haproxy=True)
    assert one.status("haproxy")["incarnation"] == 1
    requests.stop()
    told = [f"{e['at']} {e['instance']}: {e['from']} to {e['to']} ({e['cause']})" for e in events(one)]
    assert requests.failed == [], (requests.failed, told, one.cli("balance", "--json").stdout)
    assert ask(port) in instances(haproxy=False)


def test_a_rollback_takes_a_haproxy_away_that_came_with_the_release(daemon: Start, tmp_path: Path) -> None:
    port = free_port()
    with_balance = service(port, tmp_path, replicas=2, more=ROLLED)
    one = daemon(unbalanced(with_balance))
    all_ready(one, 2)
    done = reload(one, bad(with_balance))
    assert done.returncode == 1 and "rolled back" in done.stderr
    one.event("haproxy", "stopped")
    assert names(one) == instances(haproxy=False)
    one.signal(signal.SIGKILL)
    one.wait()
    one.start()
    assert names(one) == instances(haproxy=False), "the next daemon does not bring it along"
    assert reload(one, with_balance).returncode == 0
    all_confirmed(one, 2)
    assert ask(port) in instances(haproxy=False)
    assert one.cli("rollout", "undo", "web").returncode == 0
    one.event("haproxy", "stopped")
    assert names(one) == instances(haproxy=False)


def begun(one: Daemon, toml: str) -> subprocess.Popen[str]:
    """A `reload` that has replaced the first instance, and goes on."""
    one.write(toml)
    command = [sys.executable, "-m", "supervisor", "-f", str(one.file), "reload"]
    found = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    one.event("web@1", "starting", "rolled-out")
    one.event("web@1", "running", "ready")
    return found


def ended(command: subprocess.Popen[str]) -> None:
    said, _ = command.communicate(timeout=PATIENCE)
    assert command.returncode == 0 and "rollout finished: 2 of 2" in said, said


RELEASE = 'environment = { RELEASE = "two" }\n'
SETTLES = ROLLED.replace("200ms", "1s")


def test_an_upgrade_in_the_middle_costs_no_request(
    daemon: Start, load: Callable[[int], Clients], tmp_path: Path
) -> None:
    port = free_port()
    first = service(port, tmp_path, replicas=2, more=SETTLES)
    one = daemon(first)
    all_confirmed(one, 2)
    requests = load(port)
    command = begun(one, first.replace("replicas = 2", f"replicas = 2\n{RELEASE}"))
    assert one.cli("upgrade").returncode == 0
    ended(command)
    requests.more(20)
    requests.stop()
    assert requests.failed == []


def test_a_killed_haproxy_in_the_middle_does_not_stop_a_rollout(daemon: Start, tmp_path: Path) -> None:
    port = free_port()
    first = service(port, tmp_path, replicas=2, more=SETTLES)
    one = daemon(first)
    all_ready(one, 2)
    command = begun(one, first.replace("replicas = 2", f"replicas = 2\n{RELEASE}"))
    os.kill(one.status("haproxy")["pid"], signal.SIGKILL)
    ended(command)
    one.event("haproxy", "running", "ready")
    assert one.status("haproxy")["incarnation"] == 2 and one.status("haproxy")["ready"]
    all_confirmed(one, 2)
    assert ask(port) in instances(haproxy=False)


def test_a_request_that_is_longer_than_a_step_is_answered(daemon: Start, tmp_path: Path) -> None:
    port = free_port()
    slow = tmp_path / "slow.py"
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    waits = f"        if self.path == '/slow':\n            open({str(gate)!r}).read()\n"
    slow.write_text(WEB.read_text().replace("        if hung.is_set():", waits + "        if hung.is_set():"))
    first = service(port, tmp_path, replicas=1, more=ROLLED).replace(str(WEB), str(slow))
    first = first.replace("{place}/{{replica}}", "")
    one = daemon(first)
    one.event("web", "running", "ready")
    answer: list[bytes] = []

    def get() -> None:
        from urllib.request import urlopen

        answer.append(urlopen(f"http://127.0.0.1:{port}/slow", timeout=PATIENCE).read())

    client = threading.Thread(target=get)
    all_confirmed(one, 1)
    client.start()
    with gate.open("w"):  # opened as soon as the server reads
        one.write(first.replace("replicas = 1", f"replicas = 1\n{RELEASE}"))
        assert one.cli("reload", "--no-wait").returncode == 0
        one.event("web", "stopping", "rolled-out")
        assert slots(one)["web"]["state"] == "draining" and one.status("web")["incarnation"] == 1
    one.event("web", "running", "ready")
    client.join(PATIENCE)
    assert answer == [b"web\n"] and one.status("web")["incarnation"] == 2
