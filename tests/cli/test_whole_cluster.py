"""The view of all hosts on the command line, by what the daemon of one answers."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from click.testing import CliRunner, Result

from supervisor.cli import events, status, why
from supervisor.cli.daemon_target import DaemonTarget
from supervisor.errors import NoSuchService, OperationFailed, UsageError
from tests.core.cluster.test_record import event
from tests.core.history.test_replicated import AT, STORY, host, row

HERE: Any = {"here": True, "taking": True, "age_s": 0.0, "node": "a", "slots": ["web@1"]}
GONE: Any = {"node": "b"}
CONNECTED: Any = {"state": "connected", "since": 0.0, "reason": "", "session": "1", "granted": 10.0}


def of_host(number: int, at: str = AT) -> Any:
    return {**event(number), "at": at}


class Client:
    """Answers as the daemon of host a."""

    def __init__(self, *hosts: Any, engine: Any = CONNECTED, nowhere: Any = (), own: Any = ()) -> None:
        self.hosts, self.engine, self.nowhere, self.own = hosts, engine, nowhere, list(own)
        self.agent_age = 0.1

    def get(self, route: str) -> Any:
        if route == "/v1/cluster":
            members = [{"node": one["node"], "slots": one["slots"]} for one in self.hosts]
            return {"word": {"node": "a", "members": members}}
        if route == "/v1/cluster/hosts":
            return {
                "node": "a", "engine": self.engine, "agent_age_s": self.agent_age, "nowhere": list(self.nowhere),
                "hosts": list(self.hosts),
            }  # fmt: skip
        return next(one for one in self.hosts if route == f"/v1/cluster/hosts/{one['node']}")

    def events(self, _services: Any = (), *, since: Any = None, after: Any = None, limit: Any = None) -> Any:
        return [one for one in self.own if one["id"] > (after or 0)][:limit]


def run(monkeypatch: pytest.MonkeyPatch, client: Client, command: Any, *arguments: str) -> Result:
    monkeypatch.setattr(DaemonTarget, "client", client)
    return CliRunner().invoke(command, arguments, obj=DaemonTarget(), standalone_mode=False)


def test_all_hosts_and_their_instances_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    one = host(row("web@1"), row("web@10"), **HERE)
    other = host(row("web@2"), row("db", state="failed", ready=False, missing=True, since=None, run=0), **GONE)
    nowhere = {"service": "beat", "slot": 0, "name": "beat", "reason": "no host is there"}
    result = run(monkeypatch, Client(one, other, nowhere=[nowhere]), status.status, "--cluster")
    assert result.return_value == 3
    rows = [line.split() for line in result.output.splitlines()]
    assert rows[1][:6] == ["a", "here", "1/1", "0.0s", "ago", "web@1"]
    assert rows[2][:5] == ["b", "away", "1/1", "34s", "ago"] and "last heard" in result.output
    assert [words[0] for words in rows[5:]] == ["beat", "db", "web@1", "web@2", "web@10"]
    assert rows[5][1:3] == ["–", "nowhere"] and rows[6][1:4] == ["b", "was", "failed"]
    assert rows[7][1:4] == ["a", "running", "yes"]


@pytest.mark.parametrize(("client", "code"), [
    (Client(host(row("web"), **HERE)), 0),
    (Client(host(row("web"), **HERE), host(drained=True)), 0),
    (Client(host(row("web"), **HERE), host()), 3),
    (Client(host(row("web"), **HERE), engine={**CONNECTED, "state": "away", "reason": "no route"}), 3),
    (Client(host(summary={"wanted": 1, "ready": 0, "missing": 1, "instances": [], "left_out": 2}, **HERE)), 3),
])  # fmt: skip
def test_the_exit_code_tells_whether_all_is_up(monkeypatch: pytest.MonkeyPatch, client: Client, code: int) -> None:
    assert run(monkeypatch, client, status.status, "--cluster").return_value == code
    result = run(monkeypatch, client, status.status, "--cluster", "--json")
    assert json.loads(result.output)["hosts"] == list(client.hosts) and result.return_value == code


def test_what_is_wrong_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    away = {**CONNECTED, "state": "away", "reason": "no route"}
    summary = {"wanted": 2, "ready": 0, "missing": 2, "instances": [], "left_out": 2}
    one = host(summary=summary, **{**HERE, "taking": False}, reason="its dead-man is not there", error="an ACL")
    output = run(monkeypatch, Client(one, host(drained=True, **GONE), engine=away), status.status, "--cluster").output
    for text in (
        "ZooKeeper away: no route", "unable", "its dead-man is not there; 2 should be up and are not", "drained",
        "2 more instances without trouble; an ACL",
    ):  # fmt: skip
        assert text in output
    silent = Client(one)
    silent.agent_age = 12.0
    silent_text = run(monkeypatch, silent, status.status, "--cluster").output
    assert silent_text.startswith("the agent of a has said nothing for 12s")
    unknown = host(node="c", age_s=None, heard_at=None, summary=None)
    assert "c     away   –      –" in run(monkeypatch, Client(unknown), status.status, "--cluster").output


def test_services_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(host(row("web@1"), row("db"), **HERE))
    lines = run(monkeypatch, client, status.status, "--cluster", "web").output.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "web@1"]
    assert isinstance(run(monkeypatch, client, status.status, "--cluster", "x").exception, NoSuchService)
    assert isinstance(run(monkeypatch, client, status.status, "--cluster", "--watch").exception, UsageError)


@pytest.mark.parametrize(("text", "parts"), [
    ("web@b", ("web", "b")), ("web@2@b", ("web@2", "b")), ("web@2@7", ("web@2", "7")), ("web@2", ("web@2", "")),
    ("web", ("web", "")), ("@b", ("@b", "")), ("web@", ("web@", "")),
])  # fmt: skip
def test_a_host_is_named_behind_the_service(text: str, parts: tuple[str, str]) -> None:
    assert why.host_of(text) == parts


def test_why_asks_the_record_of_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(host(**HERE), host(row("web@1"), row("web@2"), told=(STORY,), **GONE))
    output = run(monkeypatch, client, why.why, "web@b").output
    assert output.startswith("b is away: its last contact was 34 s ago") and "a holds its slot now" in output
    lines = run(monkeypatch, client, why.why, "web@b", "--json").output.splitlines()
    found = [json.loads(line) for line in lines]
    assert [(one["instance"], one["host"], one["here"], one["age_s"]) for one in found] == [
        ("web@1", "b", False, 34.0), ("web@2", "b", False, 34.0),
    ]  # fmt: skip
    error = run(monkeypatch, client, why.why, "x@b").exception
    assert isinstance(error, NoSuchService) and error.hint == "It told of: web@1, web@2."
    unread = host(node="z", age_s=None, heard_at=None, summary=None, record=None, error="ZooKeeper is away")
    client = Client(host(**HERE), unread)
    error = run(monkeypatch, client, why.why, "web@z").exception
    assert isinstance(error, OperationFailed) and error.message == "nothing is known of z (ZooKeeper is away)"
    word = {"word": {"node": "a", "members": []}}
    monkeypatch.setattr(client, "get", lambda route: word if route == "/v1/cluster" else unread)
    assert isinstance(run(monkeypatch, client, why.why, "web@z").exception, NoSuchService), "it has never belonged"
    assert isinstance(run(monkeypatch, client, why.why, "web@b", "--evidence").exception, UsageError)


def test_the_events_of_all_hosts_are_sorted_by_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    own = [of_host(1, "2023-11-14T22:13:10.000Z"), of_host(2, "2023-11-14T22:13:30.000Z")]
    other = host(record={"stories": [], "events": [of_host(9)], "left_out": 0}, **GONE)
    client = Client(host(**HERE), other, host(node="c", record=None, age_s=None), own=own)
    result = run(monkeypatch, client, events.events, "--cluster", "--json")
    lines = [json.loads(line) for line in result.output.splitlines() if line.startswith("{")]
    assert [(one["host"], one["id"]) for one in lines] == [("a", 1), ("b", 9), ("a", 2)]
    assert "b is away" in result.output and "nothing is known of c" in result.output
    text = run(monkeypatch, client, events.events, "--cluster", "-n", "1").output.splitlines()[-1]
    assert text.startswith("a ") and "web run 1" in text
    since = run(monkeypatch, client, events.events, "--cluster", "--json", "--since", "2023-11-14T22:13:15Z").output
    assert [json.loads(line)["id"] for line in since.splitlines() if line.startswith("{")] == [1, 9, 2]
    assert "run 1" not in run(monkeypatch, client, events.events, "--cluster", "nothing").output


def test_followed_events_come_once_and_a_gap_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    other = host(record={"stories": [], "events": [of_host(9)], "left_out": 0}, **{**HERE, "node": "b"})
    client = Client(host(**HERE), other, own=[of_host(1)])
    looks = []

    def later(_seconds: float) -> None:
        looks.append(1)
        if len(looks) == 3:
            raise KeyboardInterrupt
        client.own.append(of_host(1 + len(looks)))
        other["record"]["events"][:] = [of_host(9 + 3 * len(looks))]  # type: ignore[index]

    monkeypatch.setattr(time, "sleep", later)
    result = run(monkeypatch, client, events.events, "--cluster", "--follow", "--json")
    found = [json.loads(line) for line in result.output.splitlines() if line.startswith("{")]
    assert sorted((one["host"], one["id"]) for one in found) == [
        ("a", 1), ("a", 2), ("a", 3), ("b", 9), ("b", 12), ("b", 15),
    ]  # fmt: skip
    assert "b: events between 9 and 12 are only on that host" in result.output
