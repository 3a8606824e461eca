"""The pages of a cluster's hosts."""

from __future__ import annotations

from typing import Any, cast

from supervisor.core.model.cluster_documents import ClusterWord
from supervisor.core.model.host_documents import HostDetail, HostsView
from supervisor.web.host_pages import host_page, hosts_line, hosts_page, ratios
from tests.display.test_report_html import Reader

NASTY = "<script>alert('1')</script>\"&"
ENGINE = {"state": "connected", "since": 0.0, "reason": "", "session": "", "granted": 10.0}
ROW = {
    "name": "web@1", "service": "web", "goal": "up", "state": "running", "ready": True, "missing": False, "run": 2,
    "since": "2026-01-01T00:00:00Z", "says": "ready",
}  # fmt: skip


def host(node: str, **more: Any) -> dict[str, Any]:
    return {
        "node": node, "here": True, "drained": False, "taking": True, "reason": "", "slots": ["web@1"], "age_s": 0.5,
        "heard_at": "2026-01-01T00:00:00Z", "error": "",
        "summary": {"wanted": 2, "ready": 2, "missing": 0, "instances": [ROW], "left_out": 0},
    } | more  # fmt: skip


def view(*hosts: dict[str, Any], **more: Any) -> HostsView:
    found = {"node": "a", "engine": ENGINE, "agent_age_s": 0.1, "nowhere": [], "hosts": list(hosts)}
    return cast("HostsView", found | more)


def word(**more: Any) -> ClusterWord:
    members = [{"node": "a", "here": True}, {"node": NASTY, "here": False}]
    return cast("ClusterWord", {"members": members} | more)


def test_all_hosts_and_what_each_runs() -> None:
    gone = host("b", here=False, summary={"wanted": 1, "ready": 0, "missing": 1, "instances": [ROW], "left_out": 0})
    slot = {"name": "job", "service": "job", "slot": 0, "reason": "no host has zone=a"}
    page = hosts_page(view(host("a"), gone, nowhere=[slot]), word(), "L 3.5", "shop", 1_700_000_000.0).decode()
    words = Reader(page).words
    assert "1 of 2 hosts here" in words
    assert "R 1.00  L 3.5 on a" in words
    assert 'href="/host/b"' in page
    assert "was running" in words and "nowhere" in words and "no host has zone=a" in words
    assert 'data-stream="/web/stream"' in page


def test_trouble_of_the_whole_is_told() -> None:
    lost = {**ENGINE, "state": "away", "reason": "it does not answer"}
    pushed = {
        "problem": "", "number": 3, "phase": "settled", "in_force": 3, "consistency": 0.5,
        "hosts": [
            {"node": "a", "here": True, "number": 3, "health": "ready", "reason": "", "differs": False},
            {"node": "b", "here": True, "number": 2, "health": "ready", "reason": "", "differs": False},
        ],
    }  # fmt: skip
    page = hosts_page(view(host("a"), engine=lost, agent_age_s=20.0), word(pushed=pushed), "", "shop", 0.0).decode()
    assert "ZooKeeper away: it does not answer" in page
    assert "the agent of a has said nothing for" in page
    assert "version 3 runs on 1 of 2 hosts (C 0.50)" in page
    assert ratios(view(host("a")), word(pushed=pushed)) == "R 1.00  C 0.50"
    assert ratios(view(host("a", summary=None)), word(pushed={**pushed, "number": 0})) == ""
    assert ratios(view(), None) == ""


def test_the_line_of_hosts() -> None:
    assert "2 members, &lt;script&gt;" in hosts_line(word())
    assert "0 members<" in hosts_line(None)


def test_the_last_failures_of_a_host() -> None:
    incident = {
        "at": "2026-01-01T00:00:00Z", "says": f"failure of run 1: {NASTY}", "place": "hangs at a.py:3 in f()",
        "seen": ["no heartbeat"], "captured": [], "said": [NASTY], "decided": ["killed"], "after": [],
    }  # fmt: skip
    story = {"instance": "web@1", "incidents": [incident]}
    page = host_page(cast("HostDetail", host("b", here=False, record={"stories": [story]})), "shop").decode()
    words = Reader(page).words
    assert "b is away: its last contact was" in words
    assert "web@1: failure of run 1" in words and "hangs at a.py:3" in words
    assert "<script>alert" not in page
    none = host_page(cast("HostDetail", host("b", record=None)), "shop").decode()
    assert "No failure is known." in none


def test_names_are_no_markup() -> None:
    rows = {"wanted": 1, "ready": 0, "missing": 1, "instances": [{**ROW, "name": NASTY, "says": NASTY}], "left_out": 0}
    page = hosts_page(view(host(NASTY, summary=rows, reason=NASTY)), None, "", NASTY, 0.0).decode()
    assert "<script>alert" not in page
