"""The dashboard's panes: what is seen at which size, logs, events, and what happens when the daemon goes away."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

from textual.geometry import Region
from textual.widget import Widget

from supervisor.dashboard.app import Dashboard
from supervisor.dashboard.overview import Overview
from tests.dashboard.stage import Stage, play
from tests.doubles.fake_client import FakeClient, event, view


def test_a_small_terminal_shows_the_essentials() -> None:
    async def scene(stage: Stage) -> None:
        stage.at("mailer")
        await stage.until(lambda: "run 4" in stage.screen(), "the line of detail")
        text = stage.screen()
        for words in ("shop", "5/9 ready", "● live", "✖ failed", "⇅ flapping", "next try in", "3 of 3 ready", "on time",
                      "exited with code 1", "━━━", "w why", "s start", "? keys", "q quit"):  # fmt: skip
            assert words in text, words
        overview = stage.overview
        assert overview.log_pane.display and not overview.detail.display and not overview.feed.display
        await stage.until(lambda: "payment accepted" in stage.screen(), "the log")
        assert "load" not in text.splitlines()[1]

    play(scene, size=(80, 24))


def shown(stage: Stage, words: str) -> bool:
    return words in stage.screen()


def is_laid_out_for(overview: Overview, size: tuple[int, int]) -> bool:
    return (overview.size.width, overview.size.height) == size


def away(overview: Overview, pane: Widget) -> bool:
    return not pane.display and overview.focused is overview.table


def focused(overview: Overview, pane: Widget) -> bool:
    return pane.display and overview.focused is pane


def test_panes_come_and_go_by_key_on_a_small_terminal() -> None:
    async def scene(stage: Stage) -> None:
        overview = stage.overview
        for key, pane, words in (("d", overview.detail, "breaker"), ("l", overview.log_pane, "payment"),
                                 ("e", overview.feed, "→ running")):  # fmt: skip
            await stage.press(key)
            await stage.until(partial(focused, overview, pane), key)
            await stage.until(partial(shown, stage, words), words)
            assert sum(p.display for p in (overview.detail, overview.log_pane, overview.feed)) == 1
            await stage.press(key)
            await stage.until(partial(away, overview, pane), "away")

    play(scene, size=(80, 24))


def test_a_chosen_pane_stays_at_another_size_of_the_terminal() -> None:
    async def scene(stage: Stage) -> None:
        overview = stage.overview
        await stage.press("e")
        await stage.until(partial(focused, overview, overview.feed), "the events")
        for size in ((80, 24), (200, 60), (120, 40)):
            await stage.pilot.resize_terminal(*size)
            await stage.until(partial(is_laid_out_for, overview, size), f"the layout of {size}")
            await stage.until(partial(focused, overview, overview.feed), f"the events at {size}")
        assert not overview.log_pane.display

    play(scene, size=(120, 40))


def test_a_terminal_that_gets_room_for_a_pane_shows_the_log() -> None:
    async def scene(stage: Stage) -> None:
        overview = stage.overview
        await stage.press("e")
        await stage.until(partial(focused, overview, overview.feed), "the events")
        await stage.press("e")
        await stage.until(partial(away, overview, overview.feed), "no pane")
        await stage.pilot.resize_terminal(120, 40)
        await stage.until(lambda: overview.log_pane.display, "the log")

    play(scene, size=(80, 24))


def test_a_large_terminal_shows_everything_at_once() -> None:
    async def scene(stage: Stage) -> None:
        stage.at("worker@1")
        await stage.until(lambda: "processes (3)" in stage.screen(), "the processes")
        await stage.until(lambda: "payment gateway" in stage.screen(), "the log")
        text = stage.screen()
        for words in ("crunching batch 1841", "notify every 1.00 s", "█", "killed by SIGSEGV; breaker open", "5.60"):
            assert words in text, words

    play(scene, size=(200, 60))


def test_the_events_of_one_change_are_drawn_together_and_ask_once_for_details() -> None:
    async def scene(stage: Stage) -> None:
        stage.at("mailer")
        await stage.until(lambda: "python -m shop.mail" in stage.shown("detail"), "the details")
        asked, drawn, ask, draw = [], [], stage.client.instance, stage.overview._draw
        stage.client.instance = lambda name: (asked.append(name), ask(name))[1]  # type: ignore[method-assign]
        stage.overview._draw = lambda: (drawn.append(1), draw())[1]  # type: ignore[method-assign]
        for number in (300, 301, 302):
            stage.client.say("event", event(number, "mailer", "backoff", "starting", "backoff-elapsed"))
        await stage.until(lambda: stage.app.model.history.events[-1]["id"] == 302, "the events")
        await stage.until(lambda: asked, "the request")
        assert len(asked) == 1 <= len(drawn) < 3

    play(scene, size=(200, 60))


def test_only_what_changed_is_drawn_again() -> None:
    async def scene(stage: Stage) -> None:
        detail, feed = stage.overview.detail, stage.overview.feed
        await stage.until(lambda: "→ running" in stage.shown("feed"), "the events")
        regions: dict[str, list[Region]] = {"detail": [], "feed": []}
        for pane, found in ((detail, regions["detail"]), (feed, regions["feed"])):
            pane.refresh = lambda *given, to=found, **_: to.extend(given or [Region()])  # type: ignore[method-assign]
        assert detail._row is not None
        detail.show(replace(detail._row), detail._more)
        feed.show(list(stage.app.model.history.events))
        assert regions == {"detail": [], "feed": []}
        made = feed._made
        stage.client.say("event", event(300, "mailer", "backoff", "starting", "backoff-elapsed"))
        await stage.until(lambda: feed._made.keys() - made.keys() == {300}, "the event")
        assert all(feed._made[number] is line for number, line in made.items() if number in feed._made)
        assert {region.y for region in regions["feed"] if region.height} <= set(range(feed.size.height)), "in view only"

    play(scene, size=(200, 60))


def test_detail_follows_the_cursor() -> None:
    async def scene(stage: Stage) -> None:
        stage.at("importer")
        await stage.until(lambda: "python -m shop.importer" in stage.shown("detail"), "its command")
        assert "more than 5 restarts within 60 s" in stage.shown("detail")
        stage.at("redis")
        await stage.until(lambda: "python -m shop.redis" in stage.shown("detail"), "its command")

    play(scene)


def test_the_log_follows_and_nothing_is_shown_twice() -> None:
    async def scene(stage: Stage) -> None:
        pane, client = stage.overview.log_pane, stage.client
        stage.at("redis")
        await stage.until(lambda: pane.targets == ["redis"] and len(pane.entries) == 42, "its log")
        assert pane.following and "booted" in pane.entries[0].text
        client.lines["redis"].append("one more")
        client.streams[-1].say("log", {"instance": "redis", "at": 0.0, "lines": ["one more"]})
        await stage.until(lambda: pane.entries[-1].text == "one more", "the new line")
        assert len(pane.entries) == 43
        await stage.until(lambda: "one more" in stage.screen(), "the view to follow")
        await stage.press("l", "home")
        assert not pane.following
        await stage.press("G")
        assert pane.following

    play(scene)


def test_a_paused_log_catches_up() -> None:
    async def scene(stage: Stage) -> None:
        pane, client = stage.overview.log_pane, stage.client
        stage.at("redis")
        await stage.until(lambda: pane.targets == ["redis"] and len(pane.entries) == 42, "its log")
        await stage.press("l")
        await stage.until(lambda: stage.overview.focused is pane, "the focus")
        await stage.press("p")
        assert "paused" in stage.screen()
        client.lines["redis"] += ["while paused"]
        client.streams[-1].say("log", {"instance": "redis", "at": 0.0, "lines": []})
        await stage.say()
        assert len(pane.entries) == 42
        await stage.press("p")
        await stage.until(lambda: pane.entries[-1].text == "while paused", "the line")

    play(scene)


def test_search_in_the_log_marks_and_goes_from_hit_to_hit() -> None:
    async def scene(stage: Stage) -> None:
        pane = stage.overview.log_pane
        stage.at("redis")
        await stage.until(lambda: pane.targets == ["redis"] and len(pane.entries) == 42, "its log")
        await stage.press("l")
        await stage.until(lambda: stage.overview.focused is pane, "the focus")
        await stage.press("slash")
        await stage.type("attempt")
        await stage.press("enter")
        assert "/attempt/ 6 lines" in stage.screen()
        assert any(s.tone == "hit" and s.text == "attempt" for s in pane.line_at(40))
        assert pane.overlay(40) == "line--cursor"
        await stage.press("N")
        assert pane.overlay(33) == "line--cursor"
        await stage.press("n", "n")
        assert pane.overlay(5) == "line--cursor"
        await stage.press("escape")
        assert pane.pattern is None

    play(scene)


def test_the_logs_of_the_selected_are_interleaved() -> None:
    async def scene(stage: Stage) -> None:
        pane = stage.overview.log_pane
        stage.at("web@1")
        await stage.press("space", "space")
        await stage.until(lambda: pane.targets == ["web@1", "web@2"] and len(pane.entries) == 84, "both logs")
        assert {e.instance for e in pane.entries[:4]} == {"web@1", "web@2"}
        await stage.until(lambda: "web@2 │" in stage.screen(), "their names")

    play(scene)


def test_reading_back_at_the_top_of_the_log() -> None:
    async def scene(stage: Stage) -> None:
        pane = stage.overview.log_pane
        stage.client.lines["redis"] = [f"line {n}" for n in range(500)]
        stage.at("redis")
        await stage.until(lambda: pane.targets == ["redis"] and len(pane.entries) == 400, "its log")
        await stage.press("l")
        await stage.until(lambda: stage.overview.focused is pane, "the focus")
        await stage.until(lambda: "redis" not in stage.overview.attention.tail._busy, "the pace")
        await stage.press("home")
        await stage.until(lambda: pane.entries[0].text == "line 80", "what came before")
        assert pane.scroll_offset.y == 20

    play(scene)


def test_full_screen_log_and_back() -> None:
    async def scene(stage: Stage) -> None:
        overview = stage.overview
        await stage.press("L")
        await stage.until(lambda: not overview.table.display and overview.focused is overview.log_pane, "the log")
        assert overview.log_pane.size.height > 30
        await stage.press("escape")
        await stage.until(lambda: overview.table.display and overview.focused is overview.table, "the table")
        await stage.press("enter")
        await stage.until(lambda: not overview.table.display, "the log")

    play(scene)


def test_new_events_come_into_the_feed_at_the_top() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("e")
        await stage.until(lambda: stage.overview.feed.display and stage.shown("feed"), "the feed")
        stage.client.say("event", event(200, "redis", "running", "backoff", "killed-by-signal", signal=9))
        await stage.until(lambda: "killed by SIGKILL" in stage.shown("feed").splitlines()[0], "the event")

    play(scene)


def test_more_lines_below_a_scrollbar_do_not_lay_out_the_screen_again() -> None:
    """Each event is a line more in the feed, and a new layout draws the whole table again."""

    async def scene(stage: Stage) -> None:
        feed, line = stage.overview.feed, stage.overview.feed.line_at(0)
        await stage.press("e")
        await stage.until(lambda: feed.display and feed.size.height, "the feed")
        room, drawn, laid_out = feed.container_size.height, feed.refresh, list[int]()

        def refresh(*given: Region, layout: bool = False, **more: bool) -> Widget:
            laid_out.extend([len(feed.lines)] * layout)
            return drawn(*given, layout=layout, **more)

        feed.refresh = refresh  # type: ignore[method-assign, assignment]
        feed.set_lines([line] * room)
        await stage.until(lambda: not feed.show_vertical_scrollbar, "no scrollbar")
        feed.set_lines([line] * 2 * room)
        await stage.until(lambda: feed.show_vertical_scrollbar, "a scrollbar")
        del laid_out[:]
        feed.set_lines([line] * 3 * room)
        await stage.pilot.pause()
        assert laid_out == []
        assert feed.vertical_scrollbar.window_virtual_size == 3 * room
        feed.scroll_to(y=3 * room, animate=False, immediate=True)
        assert feed.scroll_offset.y == 2 * room, "the new lines can be scrolled to"
        feed.set_lines([line] * 2 * room)
        await stage.until(lambda: feed.scroll_offset.y == room, "a pane that ends where its lines end")
        feed.set_lines([line])
        await stage.until(lambda: not feed.show_vertical_scrollbar, "no scrollbar")

    play(scene)


def test_it_reconnects_and_says_so() -> None:
    async def scene(stage: Stage) -> None:
        stage.client.say("disconnected", {"error": "the daemon closed the stream"})
        await stage.until(lambda: "reconnecting…" in stage.screen(), "the word that nobody answers")
        assert "no daemon answers" in stage.screen() and "● live" not in stage.screen()
        assert len(stage.names()) == 12  # what was known last stays
        stage.client.say("connected", {})
        await stage.say(pid=960)
        await stage.until(
            lambda: "the daemon was restarted: pid 812 → 960" in stage.screen(), "the word that it is back"
        )
        assert "● live" in stage.screen() and "reconnecting" not in stage.screen()

    play(scene)


def test_a_starved_host_is_shown_over_everything() -> None:
    async def scene(stage: Stage) -> None:
        await stage.say(host_starved=True, lag_ms=1840.0)
        await stage.until(lambda: "ran 1840 ms late" in stage.screen(), "the banner")
        await stage.say()
        await stage.until(lambda: "ms late," not in stage.screen(), "the banner gone")

    play(scene)


def test_a_burst_of_statuses_is_drawn_a_few_times() -> None:
    drawn: list[float] = []

    async def scene(stage: Stage) -> None:
        overview = stage.overview
        draw = overview._draw
        overview._draw = lambda: (drawn.append(time.monotonic()), draw())[1]  # type: ignore[method-assign]
        began = time.monotonic()
        for n in range(30):
            stage.client.say("event", event(300 + n, "redis", "running", "running", "ready"))
            await stage.say(lag_ms=float(n))
        assert len(drawn) <= 2 + (time.monotonic() - began) / 0.2 * 1.5 + (time.monotonic() - began) / 0.25

    play(scene)


def test_only_lines_that_changed_are_drawn_again() -> None:
    async def scene(stage: Stage) -> None:
        table = stage.overview.table
        lines: list[int] = []
        table.refresh = lambda *regions, **_: lines.extend(r.y for r in regions)  # type: ignore[method-assign,assignment]
        stage.client.rows = [r | {"cpu_percent": 99.0} if r["name"] == "redis" else r for r in stage.client.rows]
        await stage.say()
        await stage.until(lambda: lines, "a line")
        assert set(lines) == {1 + stage.names().index("redis")}

    play(scene, rows=[view("redis", uptime_s=None), view("web", uptime_s=None)])


def test_no_colour_is_honoured(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("NO_COLOR", "1")
    app = Dashboard(FakeClient())
    assert app.no_color and app.native_ansi_color


def test_a_refused_connection_is_said() -> None:
    async def scene(stage: Stage) -> None:
        stage.client.say("refused", {"error": "permission denied: the control socket"})
        await stage.until(lambda: "permission denied" in stage.screen(), "the reason")

    play(scene)


def test_a_thousand_instances_are_one_screenful() -> None:
    async def scene(stage: Stage) -> None:
        began = time.monotonic()
        stage.client.rows = [view(f"w{n}") for n in range(1000)]
        await stage.say()
        await stage.until(lambda: len(stage.names()) == 1000, "them all")
        await stage.press("end")
        assert "w999" in stage.screen()
        assert time.monotonic() - began < 10.0

    play(scene)
