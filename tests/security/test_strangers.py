"""Only the processes of a service may notify for it, not others that claim to belong to it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from supervisor.adapters.linux import procfs
from supervisor.adapters.processes.attribution import Attribution

ID = "0123456789abcdef"
SOMEBODY = 65534
Pretend = Callable[..., int]


@pytest.fixture
def pretend() -> Iterator[Pretend]:
    """Start a process, nobody's descendant of ours that counts, with the marker of an instance in its environment."""
    processes: list[subprocess.Popen[bytes]] = []

    def run(instance: str, user: int | None = None) -> int:
        environment = {**os.environ, "SUPERVISOR_ID": ID, "SUPERVISOR_INSTANCE": instance}
        process = subprocess.Popen(
            ["sh", "-c", "echo; read x"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, user=user
        )
        processes.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process.pid

    yield run
    for process in processes:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def test_the_marker_counts_for_services_of_the_same_user(pretend: Pretend) -> None:
    assert Attribution({}, None, ID).resolve(pretend("web")) == "web"
    assert Attribution({}, None, ID, {"web": os.geteuid()}.get).resolve(pretend("web")) == "web"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of somebody else")
def test_nobody_beats_for_the_service_of_another_user(pretend: Pretend) -> None:
    pid = pretend("database", user=SOMEBODY)
    users = {"database": None, "web": SOMEBODY}.get
    assert Attribution({}, None, ID, users).resolve(pid) is None
    assert Attribution({}, None, ID, users).resolve(pretend("web", user=SOMEBODY)) == "web"
    assert Attribution({}, None, ID, users).resolve(pretend("web")) is None


def test_a_stranger_that_floods_is_not_looked_at_each_time(pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = pretend("web")
    attribution = Attribution({}, None, "another")
    looks: list[int] = []
    values = procfs.environment_values
    monkeypatch.setattr(procfs, "environment_values", lambda who, *names: looks.append(who) or values(who, *names))
    for _ in range(100):
        assert attribution.resolve(pid) is None
    assert looks == [pid]
    monkeypatch.setattr("supervisor.adapters.processes.attribution.time.monotonic", lambda: 1e9)  # much later
    assert attribution.resolve(pid) is None
    assert looks == [pid, pid]
