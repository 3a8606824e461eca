"""`why` of another host, from what it keeps in ZooKeeper."""

from __future__ import annotations

from typing import Any, cast

import pytest

from supervisor.core.history.replicated import contact, known_names, stories
from supervisor.core.history.why import tell
from supervisor.core.model.host_documents import HostDetail
from supervisor.core.text.timestamps import local_time

AT = "2023-11-14T22:13:20.000Z"


def row(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name, "service": name.partition("@")[0], "goal": "up", "state": "running", "ready": True,
        "missing": False, "run": 3, "since": AT, "says": "ready", **changes,
    }  # fmt: skip


STORY: dict[str, Any] = {
    "instance": "web@1", "service": "web", "known_since": AT, "failures": 1, "false_alarms": 0, "last_order": None,
    "incidents": [
        {"at": AT, "incarnation": 2, "cause": "exited", "outcome": "recovered", "by_person": False,
         "says": "failure of run 2: exited with code 3", "place": None, "detail": {}, "evidence_id": None,
         "seen": ["exited with code 3"], "captured": [], "said": ["last words"], "decided": [], "after": []},
    ],
}  # fmt: skip


def host(*rows: dict[str, Any], here: bool = False, told: tuple[Any, ...] = (), **changes: Any) -> HostDetail:
    summary = {"wanted": 1, "ready": 1, "missing": 0, "instances": list(rows), "left_out": 0}
    found: dict[str, Any] = {
        "node": "b", "here": here, "drained": False, "taking": here, "reason": "", "slots": [], "age_s": 34.0,
        "heard_at": AT, "summary": summary, "error": "",
        "record": {"stories": list(told), "events": [], "left_out": 0}, **changes,
    }  # fmt: skip
    return cast("HostDetail", found)


def test_a_host_that_is_gone_is_explained_by_its_record() -> None:
    (found,) = stories(host(row("web@1"), row("db"), told=(STORY,)), "web", {"web@1": "c"})
    text = "\n".join(tell(found))
    assert f"web@1 was running and ready on b (run 3), since {local_time(AT)}." in text
    assert "1 failure recorded" in text and "last words" in text and "Next: c holds its slot now." in text
    assert (found["service"], found["state"], found["ready"]) == ("web", "running", True)


@pytest.mark.parametrize(("found", "now", "what"), [
    (host(row("web", state="backoff", ready=False, since=None, run=0, says="exited with code 3"), here=True),
     "web is backoff on b: exited with code 3", "b decides; `supervisor why web` tells all there"),
    (host(row("web")), f"web was running and ready on b (run 3), since {local_time(AT)}",
     "nothing on b until it is back"),
    (host(told=({**STORY, "instance": "web"},)), "web did not run on b", "nothing on b until it is back"),
    (host(told=({**STORY, "instance": "web"},), here=True, summary=None), "web does not run on b",
     "b decides; `supervisor why web` tells all there"),
])  # fmt: skip
def test_what_is_known_is_said(found: HostDetail, now: str, what: str) -> None:
    (story,) = stories(found, "web", {"web": "b"})
    assert (story["now"], story["next"]["what"]) == (now, what)


def test_names_are_those_of_instances_and_of_services() -> None:
    found = host(row("web@1"), row("web@2"), row("db"), told=({**STORY, "instance": "old", "service": "old"},))
    assert known_names(found) == ["db", "old", "web@1", "web@2"]
    assert [one["instance"] for one in stories(found, "web", {})] == ["web@1", "web@2"]
    assert [one["instance"] for one in stories(found, "web@2", {})] == ["web@2"]
    assert stories(found, "nothing", {}) == [] and stories(host(summary=None, record=None), "web", {}) == []
    assert "No failure recorded." in tell(stories(found, "db", {})[0])


def test_the_age_of_the_record_is_told() -> None:
    assert contact(host(here=True)) == "record of b, 34 s old"
    assert contact(host()) == f"b is away: its last contact was 34 s ago, at {local_time(AT)}"
    assert contact(host(age_s=None, error="an ACL")) == "nothing is known of b (an ACL)"
