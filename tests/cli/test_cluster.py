"""The texts of `supervisor cluster`, and which slot a person means."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from click.testing import CliRunner

from supervisor.cli import cluster
from supervisor.cli.daemon_target import DaemonTarget
from supervisor.core.model.cluster_documents import ClusterView, ClusterWord
from supervisor.errors import NoSuchService, OperationFailed, UsageError

WORD: dict[str, Any] = {
    "node": "a", "at": 100.0, "believe_s": 9.0, "completed": [], "problems": ["another host bears the name a"],
    "outcomes": [], "hosts": None, "heard": [], "suspects": [],
    "engine": {"state": "connected", "since": 40.0, "reason": "", "session": "1f", "granted": 10.0},
    "leases": [
        {"service": "web", "slot": 9, "epoch": 7, "start_at": 90.0, "stop_at": 105.0, "kill_at": 108.5,
         "released": False},
        {"service": "web", "slot": 1, "epoch": 8, "start_at": 101.5, "stop_at": 105.0, "kill_at": 108.5,
         "released": False},
        {"service": "beat", "slot": 0, "epoch": 9, "start_at": 90.0, "stop_at": 105.0, "kill_at": 108.5,
         "released": True},
    ],
    "elsewhere": [{"service": "web", "slot": 0, "node": "b"}],
    "nowhere": [{"service": "web", "slot": 2, "reason": "c: it is drained"}],
    "members": [
        {"node": "a", "address": "10.0.0.1:9180", "version": "1", "labels": {"zone": "x"}, "here": True,
         "drained": False, "taking": True, "reason": "", "slots": ["web@10"]},
        {"node": "b", "address": "", "version": "1", "labels": {}, "here": True, "drained": False, "taking": False,
         "reason": "its daemon does not answer", "slots": []},
        {"node": "c", "address": "", "version": "", "labels": {}, "here": True, "drained": True, "taking": False,
         "reason": "", "slots": []},
        {"node": "d", "address": "", "version": "", "labels": {}, "here": False, "drained": False, "taking": False,
         "reason": "it is not there", "slots": []},
    ],
}  # fmt: skip


def text_of(word: dict[str, Any], age: float = 0.1) -> str:
    view = {"age_s": age, "word": word}
    return cluster.status_text(cast("ClusterView", view), cast("ClusterWord", word))


def test_each_slot_is_shown_in_its_order_with_what_is_to_know() -> None:
    lines = text_of(WORD).splitlines()
    assert "node a  ZooKeeper connected (session 1f, 10 s)" in lines[0]
    assert "another host bears the name a" in lines[1]
    rows = [line.split() for line in lines[3:]]
    assert [row[0] for row in rows] == ["beat", "web@1", "web@2", "web@3", "web@10"]
    assert lines[3].endswith("is given back") and rows[1][1] == "b" and "starts in 1.5 s" in lines[5]
    assert lines[6].endswith("c: it is drained") and rows[4][1:4] == ["a", "7", "8.5s"]


def test_an_engine_that_is_away_and_an_agent_that_is_silent_are_told() -> None:
    engine = {"state": "away", "since": 40.0, "reason": "no route", "session": "", "granted": 0.0}
    text = text_of({**WORD, "engine": engine}, age=12.0)
    assert "ZooKeeper away for 60 s: no route" in text and "has said nothing for 12 s" in text


def test_a_slot_whose_lease_is_over_is_shown_once() -> None:
    nowhere = [{"service": "beat", "slot": 0, "reason": "ZooKeeper does not answer"}]
    rows = [line for line in text_of({**WORD, "nowhere": nowhere}).splitlines() if line.startswith("beat")]
    assert len(rows) == 1 and rows[0].split()[1:4] == ["–", "–", "–"] and rows[0].endswith("does not answer")


def test_each_host_is_shown_with_its_state() -> None:
    lines = cluster.members_text(cast("ClusterWord", WORD)).splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["a", "here"], ["b", "unable"], ["c", "drained"], ["d", "away"]]
    assert "zone=x" in lines[1] and lines[2].endswith("its daemon does not answer")


def test_heartbeats_between_hosts_are_shown() -> None:
    members = [{**one, "address": "10.0.0.1:1", "taking": True} for one in WORD["members"]]
    word = {**WORD, "members": members, "heard": ["c"], "suspects": ["b", "d"]}
    lines = cluster.members_text(cast("ClusterWord", word)).splitlines()[1:]
    assert [line.split()[1] for line in lines] == ["here", "suspect", "drained", "away"]
    assert [line.endswith("its heartbeats fail to come") for line in lines] == [False, True, False, True]
    unheard = cluster.members_text(cast("ClusterWord", {**word, "suspects": []})).splitlines()[1:]
    assert [line.endswith("does UDP get through?") for line in unheard] == [False, True, False, False]


@pytest.mark.parametrize(("text", "slot"), [("beat", ("beat", 0)), ("beat@1", ("beat", 0)), ("web@10", ("web", 9))])
def test_a_slot_is_named_as_its_instance(text: str, slot: tuple[str, int]) -> None:
    assert cluster.slot_of(text, cast("ClusterWord", WORD)) == slot


@pytest.mark.parametrize(("text", "error"), [
    ("web", UsageError), ("web@0", UsageError), ("web@x", UsageError), ("web@99", UsageError), ("no", NoSuchService),
    (f"web@{'9' * 5000}", UsageError),
])  # fmt: skip
def test_what_is_no_slot_is_refused(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        cluster.slot_of(text, cast("ClusterWord", WORD))


class Client:
    """Answers one word after the other, the last one again and again."""

    def __init__(self, *words: dict[str, Any] | None, outcome: dict[str, Any] | None = None) -> None:
        self.words, self.outcome, self.orders = list(words), outcome, list[Any]()

    def get(self, route: str) -> Any:
        if route.startswith("/v1/cluster/orders/"):
            return {"outcome": self.outcome}
        return {"age_s": 0.0, "word": self.words.pop(0) if len(self.words) > 1 else self.words[0]}

    def post(self, _route: str, body: Any) -> Any:
        self.orders.append(body)
        return {"id": "1"}


def run(monkeypatch: pytest.MonkeyPatch, client: Client, *arguments: str) -> Any:
    monkeypatch.setattr(DaemonTarget, "client", client)
    return CliRunner().invoke(cluster.cluster, arguments, obj=DaemonTarget())


DONE = {"id": "1", "done": True, "error": ""}


def test_an_order_waits_until_it_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = {**WORD, "members": [{**WORD["members"][0], "slots": ["beat"]}]}
    client = Client(WORD, WORD, WORD, moved, outcome=DONE)
    result = run(monkeypatch, client, "move", "beat", "a")
    assert (result.exit_code, result.output) == (0, "beat is on a\n")
    assert client.orders == [{"verb": "move", "node": "a", "service": "beat", "slot": 0}]
    assert json.loads(run(monkeypatch, Client(WORD, outcome=DONE), "drain", "b", "--json").output) == DONE


def test_an_order_that_failed_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = {"id": "1", "done": False, "error": "no host z"}
    result = run(monkeypatch, Client(WORD, outcome=failed), "evict", "z")
    assert isinstance(result.exception, OperationFailed) and result.exception.message == "no host z"
    monkeypatch.setattr(cluster, "OUTCOME", 0.0)
    result = run(monkeypatch, Client(WORD), "evict", "z")
    assert "no outcome within 0 s" in str(result.exception)
    monkeypatch.setattr(cluster, "OUTCOME", 30.0)
    monkeypatch.setattr(cluster, "FOLLOWED", -1.0)
    for host, reason in (("b", "its daemon does not answer"), ("a", "beat is on none")):
        result = run(monkeypatch, Client(WORD, outcome=DONE), "move", "beat", host)
        assert reason in str(result.exception)
    free = {**WORD, "members": [{**one, "drained": False} for one in WORD["members"]]}
    result = run(monkeypatch, Client(free, free, WORD, outcome=DONE), "move", "beat", "c")
    assert "c is drained" in str(result.exception)


def test_nothing_is_moved_to_a_drained_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order would be followed when the drain ends, long after the command has given up."""
    client = Client(WORD, outcome=DONE)
    error = run(monkeypatch, client, "move", "beat", "c").exception
    assert isinstance(error, OperationFailed) and error.message == "c is drained" and "drain c --off" in error.hint
    assert not client.orders


def test_the_status_tells_by_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, Client(WORD), "status").exit_code == 3, "a slot is nowhere"
    assert run(monkeypatch, Client({**WORD, "nowhere": []}), "status", "--json").exit_code == 0
    nothing = run(monkeypatch, Client(None), "status")
    assert nothing.exit_code == 3 and "has said nothing yet" in nothing.output
    assert "has said nothing yet" in str(run(monkeypatch, Client(None), "members").exception)
