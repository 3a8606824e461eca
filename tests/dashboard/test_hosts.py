"""The page of the cluster's hosts, wide and in 80x24."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.dashboard import hosts
from supervisor.dashboard.hosts import HostsPage, hosts_lines
from supervisor.dashboard.lineview import LineView
from supervisor.dashboard.spans import plain, width
from supervisor.errors import NoDaemon
from tests.core.history.test_replicated import host, row
from tests.dashboard.stage import Stage, play

ROUTE = "/v1/cluster/hosts"
CONNECTED: Any = {"state": "connected", "since": 0.0, "reason": "", "session": "1", "granted": 10.0}


def view(*, engine: Any = CONNECTED, **changes: Any) -> Any:
    a = host(row("web@1"), row("db\x1b"), here=True, node="a", slots=["web@1"], age_s=0.0, taking=True)
    b = host(row("web@2"), slots=[], **changes)
    nowhere = [{"service": "beat", "slot": 0, "name": "beat", "reason": "no host is there"}]
    return {"node": "a", "engine": engine, "agent_age_s": 0.1, "nowhere": nowhere, "hosts": [a, b]}


@pytest.mark.parametrize("cells", [72, 80, 96, 144])
def test_each_host_is_a_row_and_each_instance_has_its_host(cells: int) -> None:
    lines = hosts_lines(view(), cells)
    assert all(width(line) <= cells for line in lines)
    text = [plain(line).split() for line in lines]
    assert text[1][:6] == ["a", "here", "1/1", "0.0s", "ago", "web@1"]
    (gone,) = (words for words in text if words[:2] == ["b", "away"])
    assert gone[2:5] == ["1/1", "34s", "ago"]
    assert any("last heard" in plain(line) for line in lines)
    assert [words[:2] for words in text if words and words[0] == "web@2"] == [["web@2", "b"]]
    assert any(words[:3] == ["beat", "–", "nowhere"] for words in text)
    assert not any("\x1b" in plain(line) for line in lines)


def test_what_stands_over_everything_comes_first() -> None:
    away = {**CONNECTED, "state": "away", "reason": "no route"}
    lines = [plain(line) for line in hosts_lines(view(engine=away), 80, "not read any more: gone")]
    assert lines[:2] == ["not read any more: gone", "ZooKeeper away: no route"]


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_the_hosts_are_one_key_away_and_stay_current(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    monkeypatch.setattr(hosts, "EVERY", 0.05)

    async def scene(stage: Stage) -> None:
        stage.client.answers[ROUTE] = view()
        await stage.press("H")
        await stage.until(lambda: isinstance(stage.app.screen, HostsPage), "the page")
        await stage.until(lambda: "34s ago" in stage.screen(), "the hosts")
        stage.client.answers[ROUTE] = view(age_s=61.0)
        await stage.until(lambda: "1m01s ago" in stage.screen(), "the next reading")
        stage.client.answers[ROUTE] = NoDaemon("no daemon answers")
        await stage.until(lambda: "not read any more: no daemon answers" in stage.screen(), "the error")
        assert "1m01s ago" in stage.screen(), "what is known stays"
        await stage.press("escape")
        assert stage.app.screen is stage.overview

    play(scene, size=size)


def test_an_answer_after_the_page_was_closed_is_dropped() -> None:
    async def scene(stage: Stage) -> None:
        stage.client.answers[ROUTE] = view()
        await stage.press("H")
        await stage.until(lambda: isinstance(stage.app.screen, HostsPage), "the page")
        page = stage.app.screen
        assert isinstance(page, HostsPage)
        await stage.press("escape")
        await stage.until(lambda: not page.query(LineView), "its end")
        page._take(view())

    play(scene)


def test_without_a_cluster_it_is_said() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("H")
        await stage.until(lambda: "this daemon has no [cluster]" in stage.screen(), "the reason")
        assert stage.app.screen is stage.overview

    play(scene)
