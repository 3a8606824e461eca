"""The steps on one host, over a connection that writes down what it is asked."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model.fleet_spec import FleetHost
from supervisor.fleet import host as module
from supervisor.fleet.host import NO_PYTHON, Host, Wanted
from supervisor.fleet.parallel import Work
from supervisor.fleet.problems import HostProblem, Kind
from supervisor.fleet.steps import Found, Step, Todo
from supervisor.fleet.wheelhouse import Release

SECRET = "/srv/s3cret"


class FakeRemote:
    """Answers each task with what the test says, else with nothing."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.scripts: list[str] = []
        self.tasks: list[str] = []
        self.sent: list[str] = []

    def __call__(self, _host: FleetHost) -> FakeRemote:
        return self

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def send(self, _local: Path, remote: str, _progress: object) -> None:
        self.sent.append(remote)

    def execute(self, script: str, _within: float, stdin: bytes) -> tuple[int, bytes, bytes]:
        self.scripts.append(script)
        call = stdin.decode().rstrip().rpartition("\n")[2]
        task = call.removeprefix("main('").partition("'")[0]
        self.tasks.append(task)
        assert SECRET in call
        answer = self.answers.get(task, {"incoming": "/in", "status": {"code": 0}})
        return answer if isinstance(answer, tuple) else (0, json.dumps(answer).encode(), b"")


@pytest.fixture
def work() -> Work:
    return Work(FleetHost(name="a", address="a"), lambda *_: None, threading.Semaphore(1))


def connected(work: Work, monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> tuple[Host, FakeRemote]:
    remote = FakeRemote(answers)
    monkeypatch.setattr(module, "Remote", remote)
    return Host(work, SECRET).__enter__(), remote


RELEASE = Release("2.0-abc", Path("/tmp/2.0-abc.tar"))
FOUND = Found(current="1.0-old")


def test_steps_are_carried_out_in_order_and_nothing_stands_on_a_command_line(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, remote = connected(work, monkeypatch, {})
    wanted = Wanted(SECRET, config=Path("/tmp/services.toml"))
    todo = Todo(steps=(Step.SEND, Step.BUILD, Step.UPGRADE, Step.HEALTH, Step.ACTIVATE, Step.CONFIGURE, Step.RELOAD))
    assert host.carry_out(todo, wanted, FOUND, RELEASE) == {"code": 0}
    assert remote.tasks == ["prepare", "build", "upgrade", "healthy", "activate", "configure", "reload"]
    assert remote.sent[0] == "/in/2.0-abc.tar" and remote.sent[1].startswith("/in/")
    assert not [script for script in remote.scripts if SECRET in script]


def test_nothing_to_do_asks_for_nothing(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    host, remote = connected(work, monkeypatch, {})
    assert host.carry_out(Todo(), Wanted(SECRET), FOUND, None) is None
    assert remote.tasks == []


@pytest.mark.parametrize(
    ("steps", "failing", "undone", "task"),
    [
        ((Step.UPGRADE, Step.HEALTH, Step.ACTIVATE), "healthy", "release 1.0-old was put back", "upgrade"),
        ((Step.CONFIGURE, Step.RELOAD, Step.HEALTH), "reload", "the former services.toml was put back", "put_back"),
        ((Step.CONFIGURE, Step.RELOAD, Step.HEALTH), "healthy", "the former services.toml was put back", "put_back"),
        ((Step.CONFIGURE, Step.RELOAD), "configure", "", ""),
        ((Step.UPGRADE, Step.HEALTH), "upgrade", "", ""),
        ((Step.START, Step.HEALTH), "healthy", "", ""),
        ((Step.UPGRADE, Step.HEALTH, Step.ACTIVATE), "activate", "", ""),
    ],
)
def test_what_made_services_fail_is_undone(
    work: Work, monkeypatch: pytest.MonkeyPatch, steps: tuple[Step, ...], failing: str, undone: str, task: str
) -> None:
    host, remote = connected(work, monkeypatch, {failing: {"error": "web failed"}})
    wanted = Wanted(SECRET, config=Path("/tmp/services.toml"))
    with pytest.raises(HostProblem, match="web failed"):
        host.carry_out(Todo(steps=steps), wanted, FOUND, RELEASE)
    before = len(remote.tasks)
    assert host.put_back(FOUND) == undone
    assert remote.tasks[before:] == ([task] if task else [])


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ((NO_PYTHON, b"", b""), Kind.FAILED, "no Python of version 3.11 or newer"),
        ((124, b"", b""), Kind.TIMEOUT, "did not finish it within 90 s"),
        ((137, b"", b""), Kind.TIMEOUT, "did not finish it within 90 s"),
        ((1, b"", b"No space left on device"), Kind.FAILED, "Python ended with 1: No space left on device"),
        ({"error": "no"}, Kind.FAILED, "no"),
    ],
)
def test_a_host_that_cannot_is_told(
    work: Work, monkeypatch: pytest.MonkeyPatch, answer: Any, kind: Kind, words: str
) -> None:
    host, _ = connected(work, monkeypatch, {"look": answer})
    with pytest.raises(HostProblem, match=words) as caught:
        host.look()
    assert caught.value.kind is kind
