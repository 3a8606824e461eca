"""How any member shows the hosts: what is known of each, whatever was read."""

from __future__ import annotations

from typing import Any, cast

import pytest

from supervisor.core.cluster.hosts import (
    SILENT,
    Told,
    host_detail,
    host_view,
    hosts_view,
    is_name,
    members,
    nothing,
    told,
)
from supervisor.core.model.cluster_documents import ClusterWord

ROW: dict[str, Any] = {
    "name": "web", "service": "web", "goal": "up", "state": "running", "ready": True, "missing": False, "run": 3,
    "since": None, "says": "ready",
}  # fmt: skip
SUMMARY: dict[str, Any] = {"wanted": 1, "ready": 1, "missing": 0, "instances": [ROW], "left_out": 0}
INCIDENT: dict[str, Any] = {
    "at": "x", "incarnation": 1, "cause": "exited", "outcome": "open", "says": "s", "detail": {}, "seen": [],
    "captured": [], "said": [], "decided": [], "after": [],
}  # fmt: skip
STORY: dict[str, Any] = {"instance": "web", "service": "web", "failures": 1, "false_alarms": 0, "incidents": [INCIDENT]}
EVENT: dict[str, Any] = {
    "id": 1, "at": "x", "service": "web", "instance": "web", "incarnation": 1, "from": "a", "to": "b", "cause": "c",
    "detail": {},
}  # fmt: skip
RECORD: dict[str, Any] = {"stories": [STORY], "events": [EVENT], "left_out": 0}


def read(summary: Any, record: Any = None) -> Told:
    return told({"id": "1", "done": True, "error": "", "record": {"summary": summary, "record": record, "age_s": 4.5}})


def test_what_was_read_is_taken_as_it_is() -> None:
    assert read(SUMMARY, RECORD) == (SUMMARY, RECORD, 4.5, "")
    assert told({"id": "1", "done": False, "error": "no host z"}) == Told(error="no host z")


@pytest.mark.parametrize("summary", [
    None, [], {}, {"too_long": 9}, {**SUMMARY, "ready": "1"}, {**SUMMARY, "instances": [{"name": "web"}]},
])  # fmt: skip
def test_a_summary_of_another_form_is_not_known(summary: Any) -> None:
    assert read(summary).summary is None


def test_what_is_damaged_of_a_record_is_left_out() -> None:
    assert read(SUMMARY, {"stories": []}).record is None
    damaged = {**RECORD, "stories": [STORY, 7, {**STORY, "incidents": [{}]}], "events": [{}, EVENT]}
    assert read(SUMMARY, damaged).record == RECORD


def test_each_host_is_shown_with_the_age_of_what_it_told() -> None:
    here = {**nothing("a"), "here": True, "taking": True, "slots": ["web"]}
    nowhere = [{"service": "x", "slot": 1, "reason": "r"}, {"service": "y", "slot": 0, "reason": "r"}]
    word: Any = {
        "members": [here, nothing("b")], "engine": {"state": "connected"}, "nowhere": nowhere,
        "elsewhere": [{"service": "x", "slot": 0, "node": "b"}], "leases": [],
    }  # fmt: skip
    assert members(cast("ClusterWord", word), "a") == {"a": here, "b": nothing("b")}
    views = [host_view(nothing("b"), read(SUMMARY), 1_700_000_004.5), host_view(cast("Any", here), Told(), 0.0)]
    found = hosts_view(cast("ClusterWord", word), "a", 0.5, views)
    assert [one["node"] for one in found["hosts"]] == ["a", "b"]
    assert found["hosts"][0]["heard_at"] is None and found["hosts"][0]["slots"] == ["web"]
    assert found["hosts"][1]["heard_at"] == "2023-11-14T22:13:20.000Z" and found["hosts"][1]["age_s"] == 4.5
    assert [one["name"] for one in found["nowhere"]] == ["x@2", "y"] and found["engine"] == word["engine"]
    assert host_detail(nothing("b"), read(SUMMARY, RECORD), 0.0)["record"] == RECORD


def test_before_the_agent_has_spoken_this_host_alone_is_shown() -> None:
    assert members(None, "a") == {"a": nothing("a")}
    found = hosts_view(None, "a", 0.0, [])
    assert (found["engine"]["state"], found["engine"]["reason"], found["nowhere"]) == ("away", SILENT, [])


def test_the_name_of_a_host_is_a_part_of_a_path() -> None:
    assert all(map(is_name, ("a", "web-1.example_net")))
    assert not any(map(is_name, ("", ".", "..", "a/b", "a\n", "ä")))
