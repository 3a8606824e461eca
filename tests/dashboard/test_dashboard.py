"""The dashboard's keys: each does what the footer says."""

from __future__ import annotations

import pytest

from supervisor.dashboard.keybar import LOG, TABLE
from supervisor.errors import OperationFailed
from tests.dashboard.stage import Stage, play
from tests.doubles.fake_client import event, twelve, view


@pytest.mark.parametrize(("key", "verb"), [("s", "start"), ("R", "reset")])
def test_a_key_acts_on_the_instance_at_the_cursor(key: str, verb: str) -> None:
    async def scene(stage: Stage) -> None:
        stage.at("web@2")
        await stage.press(key)
        assert await stage.posted() == [(f"/v1/{verb}", {"services": ["web@2"]})]

    play(scene)


@pytest.mark.parametrize(("key", "verb"), [("x", "stop"), ("r", "restart")])
def test_one_is_stopped_or_restarted_only_after_a_confirmation_that_names_it(key: str, verb: str) -> None:
    async def scene(stage: Stage) -> None:
        stage.at("web@2")
        await stage.press(key)
        await stage.question()
        assert f"{verb} web@2?" in stage.screen()
        assert ("What depends on it goes on running." in stage.screen()) is (verb == "stop")
        await stage.press("escape", key)
        await stage.question()
        await stage.press("n")
        assert stage.client.posted == []
        await stage.press(key)
        await stage.question()
        await stage.press("y")
        assert await stage.posted() == [(f"/v1/{verb}", {"services": ["web@2"]})]

    play(scene)


@pytest.mark.parametrize(("key", "verb"), [("x", "stop"), ("r", "restart")])
def test_several_are_stopped_or_restarted_only_after_a_confirmation(key: str, verb: str) -> None:
    async def scene(stage: Stage) -> None:
        stage.at("redis")
        await stage.press("space")
        stage.at("web@1")
        await stage.press("space", key)
        await stage.question()
        assert f"{verb} these 2 instances?" in stage.screen() and "redis, web@1" in stage.screen()
        await stage.press("n", key)
        await stage.question()
        await stage.press("escape")
        assert stage.client.posted == []
        await stage.press(key)
        await stage.question()
        await stage.press("y")
        assert await stage.posted() == [(f"/v1/{verb}", {"services": ["redis", "web@1"]})]

    play(scene)


def test_several_are_started_and_reset_at_once() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("a", "s")
        path, body = (await stage.posted())[0]
        assert path == "/v1/start" and set(body["services"]) == {v["name"] for v in twelve()}

    play(scene)


def test_a_signal_is_chosen_and_goes_only_to_what_runs() -> None:
    async def scene(stage: Stage) -> None:
        stage.at("mailer")
        await stage.press("K")
        await stage.until(lambda: "no process is running there" in stage.screen(), "a word that nothing runs")
        stage.at("redis")
        await stage.press("K")
        await stage.question()
        assert "To redis:" in stage.screen() and "SIGUSR1" in stage.screen()
        await stage.press("down", "down", "down", "enter")
        assert await stage.posted() == [("/v1/signal", {"services": ["redis"], "signal": "QUIT"})]

    play(scene)


def test_a_refusal_is_told_with_its_way_out() -> None:
    async def scene(stage: Stage) -> None:
        stage.client.refuse = OperationFailed("the fleet is shutting down", "Wait for it [to] end.")
        await stage.press("s")
        await stage.until(lambda: "the fleet is shutting down" in stage.screen(), "the refusal")
        assert "Wait for it [to] end." in stage.screen()

    play(scene)


def test_marks_are_set_counted_and_cleared() -> None:
    async def scene(stage: Stage) -> None:
        table = stage.overview.table
        stage.at("redis")
        await stage.press("space")
        stage.at("web@1")
        await stage.press("shift+down")
        assert table.targets == ["redis", "web@1"] and table.current == "web@2"
        assert "2 selected" in stage.screen()
        await stage.press("escape")
        assert table.targets == ["web@2"] and "selected" not in stage.screen()
        await stage.press("a")
        assert len(table.targets) == 12
        await stage.press("a")
        assert table.targets == ["web@2"]

    play(scene)


def test_filter_narrows_while_one_types_and_escape_widens() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("f")
        await stage.type("web !2")
        assert stage.names() == ["web@1", "web@3"]
        await stage.press("enter")
        assert "filter: web !2 (10 instances hidden" in stage.screen()
        assert stage.overview.focused is stage.overview.table
        await stage.press("escape")
        assert len(stage.names()) == 12
        await stage.press("f", "x", "y", "z", "escape")
        assert len(stage.names()) == 12 and stage.client.posted == []

    play(scene)


def test_problems_only() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("exclamation_mark")
        assert stage.names() == ["importer", "worker@2", "mailer"]
        await stage.press("exclamation_mark")
        assert len(stage.names()) == 12

    play(scene)


def test_search_jumps_and_goes_on() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("slash")
        await stage.type("web")
        assert stage.overview.table.current == "web@1"
        await stage.press("enter", "n")
        assert stage.overview.table.current == "web@2"
        await stage.press("N", "N")
        assert stage.overview.table.current == "web@3"

    play(scene)


def test_sort_by_key_and_by_a_click_on_the_head() -> None:
    async def scene(stage: Stage) -> None:
        assert stage.names()[0] == "importer"
        await stage.press("o")
        assert stage.names()[0] == "migrate"
        await stage.press("o")
        assert stage.names()[:2] == ["debug-shell", "importer"]
        await stage.press("O")
        assert stage.names()[0] == "worker@2"
        head = stage.shown("table").splitlines()[0]
        await stage.pilot.click("#table", offset=(head.index("CPU%"), 0))
        assert stage.names()[0] == "worker@1" and "CPU%▾" in stage.screen()

    play(scene)


def test_the_cursor_stays_on_its_instance_when_rows_move() -> None:
    async def scene(stage: Stage) -> None:
        stage.at("redis")
        stage.client.rows = [view("redis", "failed", next_restart_in_s=9.0) if r["name"] == "redis" else view(r["name"])
                             for r in stage.client.rows]  # fmt: skip
        await stage.say()
        await stage.until(lambda: stage.names()[0] == "redis", "redis at the top")
        assert stage.overview.table.current == "redis" and stage.overview.table.index == 0
        stage.client.rows = [r for r in stage.client.rows if r["name"] != "redis"]
        await stage.say()
        await stage.until(lambda: "redis" not in stage.names(), "redis gone")
        assert stage.overview.table.current == "migrate"

    play(scene)


def test_mouse_click_selects_ctrl_click_marks_and_a_click_in_the_head_filters() -> None:
    async def scene(stage: Stage) -> None:
        await stage.pilot.click("#table", offset=(10, 3))
        assert stage.overview.table.current == stage.rows()[2]
        await stage.pilot.click("#table", offset=(10, 4), control=True)
        assert stage.overview.table.marked == {stage.rows()[3]}
        await stage.pilot.click("#header", offset=(stage.shown("header").index("1 failed"), 0))
        assert stage.names() == ["importer"]

    play(scene)


def test_a_click_on_the_footer_is_the_key() -> None:
    async def scene(stage: Stage) -> None:
        stage.at("redis")
        for verb in ("stop", "restart"):
            await stage.pilot.click("#keys", offset=(stage.shown("keys").index(verb), 0))
            await stage.question()
            assert f"{verb} redis?" in stage.screen() and stage.client.posted == []
            await stage.press("escape")
        await stage.pilot.click("#keys", offset=(stage.shown("keys").index("start"), 0))
        assert await stage.posted() == [("/v1/start", {"services": ["redis"]})]

    play(scene)


def test_help_names_every_key_and_closes() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("question_mark")
        await stage.page()
        text = stage.shown("page")
        every = [key for key, _, _ in TABLE] + [key for key, _, _ in LOG]
        assert not [key for key in every if key != "␣" and key not in text]
        for words in ("start, stop, restart", "why:", "send a signal", "filter:", "themes", "quit"):
            assert words in text
        for words in ("flapping", "breaker open", "on time", "half minute"):
            assert words in text
        await stage.press("escape")
        assert stage.app.screen is stage.overview

    play(scene)


def test_why_is_one_key_away() -> None:
    async def scene(stage: Stage) -> None:
        stage.at("worker@2")
        await stage.press("w")
        await stage.page()
        text = stage.shown("page")
        assert "where     hangs at worker.py:41 in wait()" in text
        assert "everything captured: supervisor why worker@2 --evidence" in text

    play(scene)


def test_where_it_hangs_is_in_the_table_and_first_in_the_detail() -> None:
    async def scene(stage: Stage) -> None:
        stage.at("web@1")
        silent = event(200, "web@1", "suspect", "stopping", "heartbeat-silent", evidence_id=200)
        stage.client.say("event", silent)
        await stage.until(lambda: "hangs at worker.py:41 in wait()" in stage.shown("table"), "the place")
        await stage.until(lambda: "hangs at worker.py:41" in stage.shown("detail").partition("●")[0], "the detail")

    play(scene)


def test_evidence_of_the_last_kill_is_one_key_away() -> None:
    async def scene(stage: Stage) -> None:
        stage.at("worker@2")
        await stage.press("v")
        await stage.page()
        assert 'File "worker.py", line 41 in wait' in stage.shown("page")
        await stage.press("q")
        stage.at("redis")
        await stage.press("v")
        await stage.until(lambda: "nothing captured" in stage.screen(), "a word that there is none")

    play(scene)


def test_reload_shows_what_would_change_before_it_does() -> None:
    async def scene(stage: Stage) -> None:
        stage.app.orders.reload()
        await stage.question()
        text = stage.screen()
        assert "+ search" in text and "~ web: environment, command   (restarts)" in text
        await stage.press("y")
        assert await stage.posted(2) == [("/v1/reload", {"dry_run": True}), ("/v1/reload", {"dry_run": False})]

    play(scene)


def test_the_palette_has_what_concerns_everything() -> None:
    async def scene(stage: Stage) -> None:
        titles = {command.title for command in stage.app.get_system_commands(stage.overview)}
        assert {"Reload the configuration", "Shut down", "Stop all", "Restart all", "Theme"} <= titles
        await stage.press("ctrl+p")
        await stage.type("shut down")
        await stage.press("enter")
        await stage.question()
        await stage.press("y")
        assert await stage.posted() == [("/v1/down", {})]

    play(scene)


def test_whoever_only_looks_quits_at_once() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("q")

    assert play(scene).return_value is False


@pytest.mark.parametrize(("key", "posted", "running"), [("l", 0, False), ("c", 0, True)])
def test_whoever_started_the_daemon_is_asked_what_becomes_of_it(key: str, posted: int, running: bool) -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("q")
        await stage.question()
        assert "stop everything" in stage.screen() and "leave it running" in stage.screen()
        await stage.press(key)
        assert len(stage.client.posted) == posted
        assert (stage.app.is_running and (stage.app.screen is stage.overview) is True) or not running

    play(scene, owns_daemon=True)


def test_stopping_everything_is_watched_to_its_end() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("q")
        await stage.question()
        await stage.press("s")
        assert await stage.posted() == [("/v1/down", {})]
        await stage.say(closing=True)
        await stage.until(lambda: "shutting down" in stage.screen(), "the shutdown to be told")
        assert "reports stops, SIGKILL in" in stage.screen()
        await stage.press("q")
        await stage.question()
        assert "kill what is left" in stage.screen()
        await stage.press("k")
        await stage.posted(2)
        stage.client.say("disconnected", {"error": "the daemon closed the stream"})
        await stage.until(lambda: not stage.app.is_running, "the end")

    assert play(scene, owns_daemon=True).return_value is True
