"""Two hosts of one cluster on this machine: two daemons, each with its agent and its dead-man, and a real ZooKeeper."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doubles.zookeeper_fixture import ensemble
from tests.doubles.zookeeper_servers import MISSING, Ensemble
from tests.e2e.conftest import Daemon

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
__all__ = ["ensemble"]
MOST_MEMORY = 30 * 1024
"""KiB of an agent."""


def toml(ensemble: Ensemble, root: Path, node: str) -> str:
    return f"""
[cluster]
hosts = "{ensemble.hosts}/{root.name}"
node = "{node}"
session_timeout = "8s"
contact_interval = "500ms"
request_timeout = "1s"
tick_time = "500ms"
[services.job]
command = "sleep 1000"
stop_timeout = "2s"
[services.job.placement]
mode = "one"
"""


@pytest.fixture
def two(daemon: Callable[..., Daemon], ensemble: Ensemble, tmp_path: Path) -> tuple[Daemon, Daemon]:
    """The service runs on the first."""
    a = daemon(toml(ensemble, tmp_path, "a"))
    a.transitions(("job", "running"))
    b = daemon(toml(ensemble, tmp_path, "b"))
    b.transitions(("cluster-agent", "running"))
    return a, b


def ask(one: Daemon, *arguments: str, code: int = 0) -> str:
    result = one.cli("cluster", *arguments)
    assert result.returncode == code, (result.stdout, result.stderr)
    return result.stdout + result.stderr


def epoch(one: Daemon) -> int:
    pid = one.status("job")["pid"]
    environment = dict(
        item.partition("=")[::2] for item in Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0") if item
    )
    assert environment["SUPERVISOR_NODE"] in ("a", "b")
    return int(environment["SUPERVISOR_EPOCH"])


def test_a_service_goes_where_it_is_ordered_to_and_its_epoch_grows(two: tuple[Daemon, Daemon]) -> None:
    a, b = two
    first = epoch(a)
    while '"node": "b"' not in ask(a, "members", "--json"):
        pass
    assert ask(a, "move", "job", "b") == "job is on b\n"
    b.transitions(("job", "running"))
    assert a.status("job")["pid"] is None and epoch(b) > first
    assert ask(a, "drain", "b") == "b is drained: it holds no slot\n"
    a.transitions(("job", "running"))
    assert epoch(a) > first + 1
    members = {one["node"]: one for one in json.loads(ask(b, "members", "--json"))}
    assert members["b"]["drained"] and not members["b"]["slots"]
    assert "may take" in ask(b, "drain", "b", "--off")
    told = ask(a, "status")
    assert "ZooKeeper connected" in told and "job " in told
    assert "no host c has ever belonged" in ask(a, "move", "job", "c", code=1)
    assert 'no placed service "web"' in ask(a, "move", "web", "b", code=4)
    assert 'no slot "job@2"' in ask(a, "move", "job@2", "b", code=2)


def test_an_agent_that_dies_costs_nothing_and_a_daemon_that_ends_gives_back(
    two: tuple[Daemon, Daemon],
) -> None:
    a, b = two
    pid, agent = a.status("job")["pid"], a.status("cluster-agent")["pid"]
    lines = Path(f"/proc/{agent}/smaps_rollup").read_text().splitlines()
    assert next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) <= MOST_MEMORY
    os.kill(agent, signal.SIGKILL)
    a.transitions(("cluster-agent", "running"))
    while json.loads(ask(a, "status", "--json"))["age_s"] > 0.2:
        pass
    for _ in range(3):
        assert json.loads(ask(a, "status", "--json"))["word"]["leases"][0]["service"] == "job"
    assert a.status("job")["pid"] == pid
    a.signal(signal.SIGTERM)
    b.transitions(("job", "running"))
    a.wait()


def test_without_a_cluster_there_is_nothing_to_show(daemon: Callable[..., Daemon]) -> None:
    one = daemon('[services.job]\ncommand = "sleep 1000"\n')
    assert "no [cluster]" in ask(one, "status", code=1)
