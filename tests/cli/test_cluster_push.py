"""What `supervisor cluster push`, `history` and `undo` say, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from supervisor.cli import cluster_push
from supervisor.errors import ConfigError, NoDaemon, OperationFailed, UsageError
from tests.cli.test_cluster import WORD, Client, run, text_of

OWN = '[cluster]\nhosts = "127.0.0.1:1"\nnode = "a"\n[services.web]\ncommand = "sleep 9"\n'


def host(node: str, number: int, health: str = "ready", **more: Any) -> dict[str, Any]:
    found = {"node": node, "here": True, "told": number, "number": number, "health": health, "reason": ""}
    return {**found, "differs": False, **more}


def version(number: int, state: str, **more: Any) -> dict[str, Any]:
    found = {"number": number, "digest": "d", "by": "root", "host": "a", "at": 0.0, "origin": 0, "state": state}
    return {**found, "reason": "", "failed_on": "", **more}


def word(*hosts: dict[str, Any], phase: str = "settled", c: float = 1.0, **more: Any) -> dict[str, Any]:
    """Version 7 is in force, and 8 is the newest."""
    pushed = {
        "turn": {"number": 7, "digest": "d", "seq": 0}, "number": 8, "in_force": 7, "phase": phase, "consistency": c,
        "hosts": list(hosts), "history": [version(7, "in force"), version(8, "rolling")], "problem": "", **more,
    }  # fmt: skip
    return {**WORD, "pushed": pushed}


BEFORE = word(host("a", 7), host("b", 7), number=7)
ROLLING = word(host("a", 8), host("b", 8, "changing"), phase="rolling", c=0.5)
ENDED = word(
    host("a", 8), host("b", 8), host("c", 7, here=False), in_force=8,
    history=[version(7, "replaced"), version(8, "in force")],
)  # fmt: skip
RETURNING = word(host("a", 7, "changing"), host("b", 8, "failed", reason="no\nmore"), phase="returning")
FAILED = version(8, "rolled back", reason="web failed", failed_on="b")
BACK = word(host("a", 7), host("b", 7, "failed", reason="no user"), history=[version(7, "in force"), FAILED])
BEGUN = {"id": "p1", "done": True, "error": "", "number": 8}


class Pushing(Client):
    """Its daemon runs `own`; some of its answers are that there is no daemon."""

    own = ""

    def get(self, route: str) -> Any:
        if route == "/v1/status":
            return {"supervisor": {"config": self.own}}
        answer = super().get(route)
        if answer.get("word") == {}:
            raise NoDaemon("gone")
        return answer


def test_ctrl_c_ends_the_command_and_not_the_push(monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster_push, "_follow", interrupted)
    result = run(monkeypatch, Pushing(BEFORE, BEFORE, ROLLING, outcome=BEGUN), "push", file)
    assert result.exit_code != 0 and "the hosts go on with version 8: `supervisor cluster history`" in result.output
    assert "`supervisor cluster undo` takes it back" in result.output
    result = run(monkeypatch, Pushing(ROLLING, outcome=BEGUN), "undo")
    assert result.exit_code != 0 and "the hosts return from version 8: `supervisor cluster history`" in result.output
    assert "undo" not in result.output


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    own = tmp_path / "services.toml"
    own.write_text(OWN)
    monkeypatch.setattr(Pushing, "own", str(own))
    pushed = tmp_path / "pushed.toml"
    pushed.write_text('[services.web]\ncommand = "sleep 8"\n')
    return str(pushed)


def test_a_push_is_followed_host_by_host(monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    client = Pushing(BEFORE, BEFORE, {}, ROLLING, ROLLING, ENDED, outcome=BEGUN)
    result = run(monkeypatch, client, "push", file, "--timeout", "1m", "--max-unavailable", "2")
    assert result.output == (
        "a  runs version 8\nb  changes to version 8\nb  runs version 8\n"
        "version 8 is in force on all hosts that are there; c will follow when back\n"
    ), result
    text = Path(file).read_text()
    order = {"text": text, "undo": False, "takes_back": 0, "max_unavailable": "2", "timeout": 60.0}
    assert client.orders == [order]


def test_a_version_that_was_rolled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, Pushing(BEFORE, ROLLING, RETURNING, BACK, outcome=BEGUN), "undo")
    assert result.output == (
        "a  runs version 8\nb  changes to version 8\na  goes back to version 7\nb  failed with version 8: no\n"
        "a  runs version 7 again\nb  cannot go back to version 7: no user\n"
    )
    error = result.exception
    assert isinstance(error, OperationFailed) and error.exit_code == 1
    assert (
        error.message == ("version 8 was rolled back: b: web failed\nb does not run version 7 again: no user")
        and error.hint == "In force is version 7."
    )


TAKEN = version(8, "rolled back", reason="taken back by root on b")
AGAIN = word(host("a", 7), host("b", 7), history=[version(7, "in force"), TAKEN])


def test_an_undo_takes_a_push_in_progress_back(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Pushing(ROLLING, ROLLING, ROLLING, RETURNING, AGAIN, outcome=BEGUN)
    result = run(monkeypatch, client, "undo", "--timeout", "1m")
    assert (result.exit_code, result.exception) == (0, None)
    assert result.output.splitlines()[-3:] == [
        "b  runs version 7 again", "version 8 was rolled back: taken back by root on b", "In force is version 7.",
    ]  # fmt: skip
    order = {"text": "", "undo": True, "takes_back": 8, "max_unavailable": "1", "timeout": 60.0}
    assert client.orders == [order]
    told = run(monkeypatch, Pushing(ROLLING, outcome=BEGUN), "undo", "--no-wait").output
    assert told == "version 8 is taken back, and the hosts begin to return\n"
    later = run(monkeypatch, Pushing(ROLLING, outcome={**BEGUN, "number": 9}), "undo", "--no-wait").output
    assert later == "version 9 is stored, and the hosts begin to change\n", "8 came into force before"
    assert json.loads(run(monkeypatch, Pushing(ROLLING, AGAIN, outcome=BEGUN), "undo", "--json").output) == TAKEN


def test_an_undo_fails_where_a_host_cannot_go_back(monkeypatch: pytest.MonkeyPatch) -> None:
    behind = word(host("a", 7), host("b", 7, "failed", reason="no user"), history=[version(7, "in force"), TAKEN])
    error = run(monkeypatch, Pushing(ROLLING, ROLLING, behind, outcome=BEGUN), "undo").exception
    assert isinstance(error, OperationFailed) and error.message == (
        "version 8 was rolled back: taken back by root on b\nb does not run version 7 again: no user"
    )


def test_the_pusher_of_what_was_taken_back_is_told_by_whom(monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    error = run(monkeypatch, Pushing(BEFORE, ROLLING, AGAIN, outcome=BEGUN), "push", file).exception
    assert isinstance(error, OperationFailed) and error.message == "version 8 was rolled back: taken back by root on b"


def test_what_is_told_without_following(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, Pushing(BEFORE, outcome=BEGUN), "undo", "--no-wait")
    assert result.output == "version 8 is stored, and the hosts begin to change\n"
    same = run(monkeypatch, Pushing(BEFORE, outcome={**BEGUN, "number": 7}), "undo")
    assert same.output == "version 7, which is in force, has this text already\n"
    found = run(monkeypatch, Pushing(BEFORE, ENDED, outcome=BEGUN), "undo", "--json")
    assert json.loads(found.output)["state"] == "in force"


def test_a_push_that_is_refused_or_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = {"id": "p1", "done": False, "error": "version 8, pushed by eve on b, is being rolled out"}
    result = run(monkeypatch, Pushing(BEFORE, outcome=refused), "undo")
    assert isinstance(result.exception, OperationFailed) and "eve" in result.exception.message
    monkeypatch.setattr(cluster_push, "OUTCOME", 0.0)
    monkeypatch.setattr("supervisor.cli.cluster.OUTCOME", 0.0)
    assert "has not begun within 0 s" in str(run(monkeypatch, Pushing(BEFORE), "undo").exception)
    assert isinstance(run(monkeypatch, Pushing(BEFORE), "undo", "--timeout", "7").exception, UsageError)
    monkeypatch.setattr("supervisor.cli.cluster.OUTCOME", 30.0)
    monkeypatch.setattr(cluster_push, "SILENT", -1.0)
    assert isinstance(run(monkeypatch, Pushing(BEFORE, {}, outcome=BEGUN), "undo").exception, NoDaemon)


def test_a_file_is_checked_before_it_is_pushed(monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    for text, told in (
        ("[services.web]\ncomand = 1\n", f"{file}:2: services.web.comand"),
        ("# " + "x" * 70_000, "65536"),
    ):
        Path(file).write_text(text)
        client = Pushing(BEFORE, outcome=BEGUN)
        error = run(monkeypatch, client, "push", file).exception
        assert isinstance(error, ConfigError) and told in error.message and client.orders == []


def test_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    undone = version(9, "in force", origin=7)
    shown = run(monkeypatch, Pushing(word(history=[version(7, "replaced"), FAILED, undone, TAKEN])), "history").output
    rows = [line.split() for line in shown.splitlines()]
    assert rows[0][:2] == ["VERSION", "STATE"] and rows[1][:2] == ["7", "replaced"] and "root@a" in rows[1]
    assert shown.splitlines()[2].endswith("b: web failed")
    assert shown.splitlines()[3].endswith("undo: the text of version 7")
    assert shown.splitlines()[4].endswith("  taken back by root on b")
    assert json.loads(run(monkeypatch, Pushing(word(history=[undone])), "history", "--json").output) == [undone]
    none = run(monkeypatch, Pushing(word(history=[])), "history")
    assert none.output == "nothing was pushed: each host runs its own file\n"
    assert "has not read the versions yet" in str(run(monkeypatch, Pushing(WORD), "history").exception)
    assert "push" in run(monkeypatch, Pushing(WORD), "--help").output


def test_the_status_tells_what_hosts_run_while_they_differ() -> None:
    text = text_of(ROLLING)
    assert "version 8 of the configuration is being rolled out" in text
    assert "version 8 runs on 1 of 2 hosts (C 0.50): b changes to version 8" in text
    text = text_of(word(host("a", 7), host("b", 8, "failed", reason="no\nmore"), phase="returning", c=0.5))
    assert "version 8 of the configuration is being rolled back to version 7" in text
    assert "(C 0.50): b failed with version 8: no" in text
    text = text_of(word(host("a", 7, differs=True), host("b", 0, here=False), c=0.5, problem="odd"))
    assert "b is away, with each host's own file" in text and "odd" in text
    assert "a: its own file has other services than version 7, which it runs" in text
    assert "configuration" not in text_of(word(host("a", 0), number=0, in_force=0))
