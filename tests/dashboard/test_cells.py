"""The dashboard's pure half: view in, text and tones out."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.model.documents import Difference
from supervisor.core.model.instance_documents import Instance
from supervisor.dashboard.cells import GUTTER, columns, row_line, title_line, why_and_next
from supervisor.dashboard.commands import changes
from supervisor.dashboard.detail_text import detail, one_line
from supervisor.dashboard.draw import bar, bins, condensed, histogram, sparkline, suspicion_line
from supervisor.dashboard.eventline import event_line
from supervisor.dashboard.evidence import evidence_page
from supervisor.dashboard.filter_sort import SORTS, arrange, matching
from supervisor.dashboard.header import banner, blockers, first_line, host_line, rollout_line
from supervisor.dashboard.history import DEPTH, EVENTS, MOVES, History
from supervisor.dashboard.keybar import LOG, TABLE, key_lines
from supervisor.dashboard.model import Model
from supervisor.dashboard.places import Places
from supervisor.dashboard.row_status import Row, badge, beat, countdown, reason, waits
from supervisor.dashboard.spans import Span, clean, cut, fit, joined, line, plain, spread, width
from supervisor.dashboard.story import as_page
from supervisor.dashboard.strip import Move, strip
from supervisor.display import numbers as q
from supervisor.display.severity import severity
from tests.doubles.fake_client import EVIDENCE, beating, details, event, events, status, twelve, view


def by_name(name: str) -> Instance:
    return next(v for v in twelve() if v["name"] == name)


# -- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"), (0.0, "0.0s"), (-3.0, "0.0s"), (4.24, "4.2s"), (9.94, "9.9s"), (9.96, "10s"), (59.4, "59s"),
        (59.6, "1m00s"), (185.0, "3m05s"), (3599.7, "1h00m"), (7500.0, "2h05m"), (86400 * 3 + 3600 * 4, "3d04h"),
        (86400 * 120, "120d"),
    ],
)  # fmt: skip
def test_durations_have_the_precision_that_the_eye_can_use(seconds: float | None, text: str) -> None:
    assert q.duration(seconds) == text
    assert len(text) <= 6


@pytest.mark.parametrize(
    ("octets", "text"),
    [(None, "–"), (0, "0B"), (812, "812B"), (1023, "1.0K"), (1024 * 1000, "1.0M"), (50 * 1024**2, "50.0M"),
     (210 * 1024**2, "210M"), (1.25 * 1024**3, "1.2G"), (5 * 1024**4, "5.0T"), (10**18, "888P")],
)  # fmt: skip
def test_sizes_are_short(octets: float | None, text: str) -> None:
    assert q.size(octets) == text
    assert len(text) <= 5


@pytest.mark.parametrize(
    ("phi", "text"), [(None, "–"), (0.0, "0.00"), (7.899, "7.90"), (9.996, "10.0"), (12.34, "12.3"), (307.0, ">99")]
)
def test_scores_fit_four_characters(phi: float | None, text: str) -> None:
    assert q.score(phi) == text


@pytest.mark.parametrize("at", [None, "no time", 1e40])
def test_a_moment_that_is_none_is_blank(at: Any) -> None:
    assert q.clock(at).strip() == ""


# -- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "floor", "relative", "text"),
    [
        ([], 0.0, False, ""),
        ([0.0, 0.0], 0.0, False, "▁▁"),
        ([0.0, 0.5, 1.0], 0.0, False, "▁▄▇"),
        ([1.0, None, 1.0], 0.0, False, "▇ ▇"),
        ([1.0, 2.0], 100.0, False, "▁▁"),
        ([100.0, 101.0], 0.0, True, "▁▇"),
        ([100.0, 101.0], 50.0, True, "▁▁"),
    ],
)
def test_sparkline(values: list[float | None], floor: float, relative: bool, text: str) -> None:
    assert sparkline(values, floor, relative=relative) == text


def test_condensed_marks_stay_as_they_are_once_they_are_full() -> None:
    seen = [float(n) for n in range(25)]
    before, after = condensed(seen[:20], 4, 5, 20), condensed(seen[:22], 4, 5, 22)
    assert before == [4.0, 9.0, 14.0, 19.0]
    assert after == [9.0, 14.0, 19.0, 21.0]
    assert condensed([], 3, 5, 0) == [None, None, None]
    assert condensed([None, None], 2, 5, 2) == [None, None]


@pytest.mark.parametrize(("fraction", "full"), [(-1.0, 0), (0.0, 0), (0.05, 1), (0.5, 4), (1.0, 8), (40.0, 8)])
def test_bar_fills_towards_its_threshold(fraction: float, full: int) -> None:
    assert plain(bar(fraction, 8, "good")) == "━" * full + "─" * (8 - full)


def test_suspicion_that_came_near_the_threshold_stands_out() -> None:
    spans = suspicion_line([0.0, 1.0, None, 6.0, 9.0], 8.0)
    assert [s.tone for s in spans] == ["muted", "warn", "alarm"]
    assert plain(spans) == "▁▁ ▅▇"


def test_histogram_shows_a_single_outlier() -> None:
    lines, low, high = histogram([1.0] * 60 + [2.0], 20, 2)
    assert (low, high) == (1.0, 2.0)
    assert len(lines) == 2 and all(len(text) == 20 for text in lines)
    assert lines[-1].endswith("▁▁") and lines[0].startswith("██")
    assert bins([3.0, 3.0], 5)[0] == [0, 0, 2, 0, 0]


# -- text ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cells"), [("web", 8), ("a-very-long-name", 8), ("日本語の名前", 7), ("", 3), ("x", 0)]
)
def test_fit_is_exact_in_cells(text: str, cells: int) -> None:
    assert width(fit((Span(text),), cells)) == cells
    assert width(fit((Span(text),), cells, right=True)) == cells
    assert width(cut((Span(text, "good"), Span(text)), cells)) <= cells


def test_spread_lets_the_left_side_give_way() -> None:
    assert plain(spread(line("abcdefgh"), line("XY"), 8)) == "abcd… XY"
    assert plain(spread(line("abc"), line("XY"), 2)) == "XY"


def test_control_characters_are_shown_and_never_obeyed() -> None:
    assert clean("a\x1b[2Jb\x07\r\n\tü") == "a�[2Jb�↵    ü"


# -- one row ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "glyph", "level"),
    [
        (view("a"), "●", 0),
        (view("a", ready=False), "◐", 1),
        (view("a", ready=False, type="oneshot"), "◐", 0),
        (view("a", goal="down"), "●", 1),
        (view("a", breaker="half-open"), "●", 2),
        (view("a", "starting"), "◔", 1),
        (view("a", "suspect"), "▲", 2),
        (view("a", "backoff"), "↻", 2),
        (view("a", "stopping"), "▼", 1),
        (view("a", "stopping", lingering=["17 (D)"]), "▼", 3),
        (view("a", "exited", cause="succeeded"), "✓", 0),
        (view("a", "exited", cause="exited", exit_code=2), "✗", 3),
        (view("a", "exited", cause="exited", goal="down"), "✓", 0),
        (view("a", "stopped", goal="down"), "○", 0),
        (view("a", "failed"), "✖", 3),
        (view("a", attempt=2), "●", 0),
        (view("a", attempt=3), "⇅", 2),
        (view("a", "backoff", attempt=8), "⇅", 2),
        (view("a", "failed", attempt=8), "✖", 3),
        (view("a", attempt=8, goal="down"), "●", 1),
    ],
)
def test_state_and_severity(row: Instance, glyph: str, level: int) -> None:
    assert badge(row).text[0] == glyph
    assert severity(row) == level


@pytest.mark.parametrize(
    ("row", "age", "text"),
    [
        (view("a", "backoff", next_restart_in_s=4.2), 1.0, "next try in 3.2s"),
        (view("a", "failed", next_restart_in_s=42.0), 50.0, "next try in 0.0s"),
        (view("a", "stopping", kill_in_s=70.0), 0.0, "SIGKILL in 1m10s"),
        (view("a", "stopping", drain_s=30.0), 4.0, "drained within 26s"),
        (view("a", "starting", ready_within_s=20.0), 0.0, "must be ready in 20s"),
        (view("a", **beating(5.6, suspect_in_s=2.5)), 0.5, "suspect in 2.0s"),
        (view("a", **beating(0.2, suspect_in_s=2.5)), 0.0, ""),
        (view("a", "suspect", **beating(9.0, suspect_in_s=0.0)), 0.0, ""),
        (view("a"), 0.0, ""),
    ],
)
def test_countdown_goes_on_between_two_statuses(row: Instance, age: float, text: str) -> None:
    assert plain(countdown(row, age)) == text
    assert (waits(row, age) is None) == (text == "")


FAILED = event(1, "a", "running", "backoff", "exited", exit_code=3, signal=None, delay_s=1.0, attempt=1)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (Row(view("a")), "ready"),
        (Row(view("a", "starting", waiting_for="db")), "waiting for db"),
        (Row(view("a", "suspect", held="stopped (SIGSTOP)")), "held: stopped (SIGSTOP)"),
        (Row(view("a", "stopping", lingering=["17 (D)"])), "cannot be killed: 17 (D)"),
        (Row(view("a", goal="down")), "stops after its dependants"),
        (Row(view("a", "starting", probe_error="connection refused")), "connection refused"),
        (Row(view("a", "starting", status="loading", status_age_s=6.0), 2.0), "loading (8.0s ago)"),
        (Row(view("a", status="batch 7")), "batch 7"),
        (Row(view("a"), last_failure=FAILED, failed_ago=30.0), "ready again after: exited with code 3"),
        (Row(view("a"), last_failure=FAILED, failed_ago=3000.0), "ready again after: exited with code 3"),
        (
            Row(view("a"), last_failure=FAILED, failed_ago=3000.0, place="hangs at a.py:1 in f()"),
            "ready again after: hangs at a.py:1 in f()",
        ),
        (Row(view("a", attempt=8), last_failure=FAILED, failed_ago=3.0), "exited with code 3: failed 8 times in a row"),
        (Row(view("a", attempt=8)), "failed 8 times in a row"),
        (Row(view("a", "backoff"), last_failure=FAILED, place="hangs at a.py:1 in f()"), "hangs at a.py:1 in f()"),
        (Row(view("a", "backoff", cause="exited", exit_code=3)), "exited with code 3"),
        (Row(view("a", "failed", cause="killed-by-signal", signal=11)), "killed by SIGSEGV"),
    ],
)
def test_why_it_is_as_it_is(row: Row, text: str) -> None:
    assert reason(row).text == text


def test_what_is_well_is_quiet_and_what_is_broken_is_not() -> None:
    shown = columns(80, 12)
    calm = {s.tone for s in row_line(Row(view("a")), shown) if s.text.strip()}
    broken = {s.tone for s in row_line(Row(view("a", "failed", next_restart_in_s=3.0)), shown) if s.text.strip()}
    assert not calm & {"warn", "bad", "alarm"}
    assert "alarm" in broken


@pytest.mark.parametrize("cells", [80, 99, 120, 134, 160, 200, 250])
def test_rows_are_as_wide_as_the_table(cells: int) -> None:
    shown = columns(cells, 18)
    assert sum(c.width + 1 for c in shown) - 1 + GUTTER == cells
    head = title_line(shown, "trouble", True)
    assert width(head) == cells
    for row in twelve():
        assert width(row_line(Row(row), shown, here=True, marked=True)) == cells
    assert {c.key for c in columns(80, 18)} == {
        "state", "name", "why", "beat", "strip"
    }  # fmt: skip
    assert "cpu" in {c.key for c in columns(80, 18, "cpu")}, "what it is sorted by is shown"


@pytest.mark.parametrize(("cells", "least"), [(80, 32), (100, 45), (120, 50), (160, 60), (200, 70)])
def test_the_reason_keeps_room_for_a_sentence(cells: int, least: int) -> None:
    assert next(c.width for c in columns(cells, 12) if c.key == "why") >= least
    assert [c.key for c in columns(cells, 12)][:3] == ["state", "name", "why"]


def test_the_cursor_and_a_mark_are_seen_without_colour() -> None:
    shown = columns(80, 8)
    signs = {plain(row_line(Row(view("a")), shown, here=h, marked=m))[0] for h in (False, True) for m in (False, True)}
    assert len(signs) == 4


# -- choosing --------------------------------------------------------------------------------------------------------


def test_what_is_broken_comes_first_and_equals_stay_in_start_order() -> None:
    names = [v["name"] for v in arrange(twelve(), "trouble", True)]
    assert names[:3] == ["importer", "worker@2", "mailer"]
    assert names[-7:] == ["migrate", "redis", "web@1", "web@2", "web@3", "worker@1", "debug-shell"]


@pytest.mark.parametrize("sort", SORTS)
def test_every_sort_has_both_directions(sort: str) -> None:
    up, down = arrange(twelve(), sort, False), arrange(twelve(), sort, True)
    assert {v["name"] for v in up} == {v["name"] for v in twelve()}
    assert [v["name"] for v in up] != [v["name"] for v in down]


def test_names_sort_as_people_count() -> None:
    views = [view(f"w@{n}") for n in (10, 9, 1)]
    assert [v["name"] for v in arrange(views, "name", False)] == ["w@1", "w@9", "w@10"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("web", ["web@1", "web@2", "web@3"]),
        ("web !2", ["web@1", "web@3"]),
        ("front", ["web@1", "web@2", "web@3"]),
        ("problem", ["worker@2", "mailer", "importer"]),
        ("failed", ["importer"]),
        ("worker ready", ["worker@1"]),
        ("down", ["reports", "debug-shell"]),
        ("wkr1", ["worker@1"]),
        ("no such thing", []),
    ],
)
def test_filter(text: str, names: list[str]) -> None:
    assert [v["name"] for v in matching(twelve(), text)] == names


# -- remembering -----------------------------------------------------------------------------------------------------


def test_history_is_bounded_and_forgets_who_is_gone() -> None:
    history = History()
    for _ in range(DEPTH + 10):
        history.take(status([view("a", cpu_percent=1.0)]))
    assert len(history.samples("a").cpu) == DEPTH and len(history.lag) == DEPTH
    history.take(status([view("b")]))
    assert not history.samples("a").cpu
    history.note(event(n, "a", "running", "running", "ready") for n in range(EVENTS + 50))
    assert len(history.events) == EVENTS
    assert history.note([event(EVENTS + 49, "a", "running", "running", "ready")]) == []


def test_history_keeps_the_last_failure_and_the_last_evidence() -> None:
    history = History()
    assert len(history.note(events())) == len(events())
    assert history.last_failure["worker@2"]["id"] == 113
    assert history.last_evidence == {"worker@2": 102}
    assert "web@1" not in history.last_failure


def test_a_high_score_is_no_alarm_before_it_is_a_suspicion() -> None:
    young, suspect = view("a", **beating(30.0)), view("a", "suspect", **beating(30.0))
    history = History()
    history.take(status([young]))
    assert list(history.samples("a").phi) == [8.0]
    for row, tone in ((young, "warn"), (suspect, "alarm")):
        assert tone in {s.tone for s in row_line(Row(row), columns(200, 8))[6:] if "━" in s.text}


def test_a_suspicion_between_two_statuses_is_seen_in_the_trace() -> None:
    history = History()
    history.take(status([view("a", **beating(0.3))]))
    history.note([event(1, "a", "running", "suspect", "heartbeat-silent", suspicion=9.1)])
    history.note([event(2, "b", "running", "suspect", "heartbeat-silent", suspicion=9.1)])
    assert list(history.samples("a").phi) == [9.1]


def test_a_wait_is_measured_from_when_it_was_seen_first() -> None:
    history = History()
    for left in (8.0, 6.0):
        history.take(status([view("a", "backoff", next_restart_in_s=left)]))
    assert history.samples("a").wait == ("backoff 1 0", 8.0)
    history.take(status([view("a")]))
    assert history.samples("a").wait is None


def test_model_says_that_the_daemon_was_away_or_is_another() -> None:
    model = Model()
    assert model.link(0.0).text == "○ connecting…"
    assert model.take(status(), 10.0) == "" and model.live
    model.lost("connection reset", 12.0)
    assert not model.live
    assert model.link(12.0).text == "↯ reconnecting…"
    assert "connection reset" in model.lost_words(15.0) and "5.0s" in model.lost_words(15.0)
    assert model.age(60.0) == 2.0  # nothing is known of the time since
    assert model.take(status(), 61.0) == "reconnected"
    model.lost("gone", 62.0)
    assert model.take(status(pid=960), 63.0) == "the daemon was restarted: pid 812 → 960"
    assert model.lost_words(64.0) == ""


def test_live_is_only_what_came_a_moment_ago() -> None:
    """A daemon that is stopped keeps its connections open."""
    model = Model()
    model.take(status(), 10.0)
    assert model.link(12.9).text == "● live" and model.lost_words(12.9) == ""
    assert model.link(13.0).text == "◌ waiting…"
    words = model.lost_words(60.0, " (pid 812, stopped)")
    assert words == "waiting for the daemon (pid 812, stopped) · last status 50s ago"
    assert model.age(12.0) == 2.0 and model.age(60.0) == 3.0  # no countdown goes on
    model.lost("timed out", 61.0)
    assert "last status 52s ago" in model.lost_words(62.0)
    model.take(status(), 63.0)
    assert model.link(63.0).text == "● live"


def test_only_a_countdown_that_is_about_to_end_is_urgent() -> None:
    model = Model()
    model.take(status([view("a", "backoff", next_restart_in_s=12.0)]), 0.0)
    assert not model.soon(1.0)
    assert model.soon(2.5)
    model.lost("gone", 1.0)
    assert not model.soon(2.5)


# -- the head --------------------------------------------------------------------------------------------------------


def test_head_counts_and_names_the_worst_first() -> None:
    text = plain(first_line(status(), Span("● live"), 120))
    assert "shop" in text and "5/9 ready" in text and text.rstrip().endswith("● live")
    assert text.index("1 failed") < text.index("1 suspect") < text.index("1 flapping") < text.index("1 exited")
    assert width(first_line(status(), Span("● live"), 80)) == 80
    calm = first_line(status([view("a"), view("b")]), Span("● live"), 80)
    assert not {s.tone for s in calm} & {"warn", "bad", "alarm"}


def test_head_shows_the_hosts_own_health() -> None:
    text = plain(host_line(status(load=[90.0, 1.0, 1.0], lag_ms=900.0), History(), 120))
    assert "load 90.0 of" in text and "the daemon runs 900 ms late" in text and "short of" not in text
    assert "warn" in {s.tone for s in host_line(status(lag_ms=900.0), History(), 80)}
    pressed = {"cpu": 3.0, "memory": 40.0, "io": None}
    assert plain(host_line(status(psi=pressed), History(), 80)).strip() == "short of memory 40% of the last 10 s"


def test_the_host_is_not_mentioned_while_it_does_not_matter() -> None:
    assert host_line(status(), History(), 120) == ()
    assert host_line(status(psi=None, load=None, lag_ms=None), History(), 120) == ()


@pytest.mark.parametrize(
    ("more", "lost", "words"),
    [
        ({}, "", ""),
        ({}, "no connection", "no connection"),
        ({"host_starved": True, "lag_ms": 840.0}, "", "840 ms late"),
        ({"problems": ["the ledger is not writable", "x"]}, "", "the ledger is not writable  (+1 more)"),
        ({"closing": True}, "", "reports stops, SIGKILL in 7.0s"),
    ],
)
def test_banner_says_what_stands_over_everything(more: dict[str, Any], lost: str, words: str) -> None:
    text = plain(banner(status(**more), lost, 300))
    assert words in text and bool(text) == bool(words)


def test_who_blocks_the_shutdown_is_named() -> None:
    views = [
        view("db", goal="down"),
        view("web", "stopping", goal="down", kill_in_s=8.0),
        view("old", "stopping", goal="down", lingering=["991 (D)"]),
        view("gone", "stopped", goal="down"),
    ]
    text = blockers(views, 1.0)
    assert text == (
        "3 instances left · web stops, SIGKILL in 7.0s · old cannot be killed (991 (D)) · "
        "db waits for its dependants to stop"
    )
    assert blockers(views[-1:], 0.0) == "all services stopped"


# -- detail, events, keys --------------------------------------------------------------------------------------------


def rows() -> list[Row]:
    model = Model()
    model.history.note(events())
    model.take(status(), 0.0)
    return model.rows(0.0, 1.76e9)


@pytest.mark.parametrize("cells", [30, 44, 64, 120])
def test_detail_fits_its_pane(cells: int) -> None:
    for row in rows():
        for more in (None, details(row.view)):
            assert all(width(text) <= cells for text in detail(row, more, cells))
            assert width(one_line(row, cells)) <= cells


def test_detail_tells_the_whole_story() -> None:
    row = next(r for r in rows() if r.name == "importer")
    text = "\n".join(plain(t) for t in detail(row, details(row.view), 64))
    for words in (
        "killed by SIGSEGV", "more than 5 restarts within 60 s", "next try in 42s", "open",
        "last changes", "python -m shop.importer", "needs      redis",
    ):  # fmt: skip
        assert words in text
    row = next(r for r in rows() if r.name == "worker@1")
    text = "\n".join(plain(t) for t in detail(row, details(row.view), 64))
    for words in ("5.60 of 8", "notify every 1.00 s · 64 intervals", "1.34 s", "█", "processes (3)", "└ python"):
        assert words in text


def test_details_tell_what_became_of_a_target() -> None:
    row = Row(view("a", **beating(0.4), target={"says": "5 s and 1/30d: can be met together; suspected after 2.1 s"}))
    text = " ".join(" ".join(plain(t) for t in detail(row, details(row.view), 64)).split())
    assert "target 5 s and 1/30d: can be met together; suspected after 2.1 s" in text


def test_detail_says_when_the_configuration_has_moved_on() -> None:
    text = "\n".join(plain(t) for t in detail(Row(view("a", current=False)), None, 64))
    assert "older configuration" in text


@pytest.mark.parametrize("cells", [30, 60, 100])
def test_events_say_who_what_and_why(cells: int) -> None:
    for each in events():
        assert width(event_line(each, instance=True, width=cells)) <= cells
    text = plain(event_line(events()[1], instance=True, width=100))
    assert "worker@2" in text and "suspect → stopping" in text and "no heartbeat for 4.2 s" in text and "⌕" in text


def test_every_key_is_in_the_footer_and_every_line_fits() -> None:
    for keys in (TABLE, LOG):
        for cells in (40, 80, 120, 200):
            lines = key_lines(keys, cells)
            assert all(width(text) <= cells + 1 for text in lines)
            assert all(f" {key}" in "".join(map(plain, lines)) for key, _, _ in keys)
    assert len(key_lines(TABLE, 80)) == 1


def test_the_reason_comes_first_and_the_countdown_gives_way() -> None:
    row = Row(by_name("mailer"))
    assert plain(why_and_next(44)(row)) == "exited with code 1          next try in 4.2s"
    assert plain(why_and_next(36)(row)) == "exited with code 1  next try in 4.2s"
    assert plain(why_and_next(20)(row)) == "exited with code 1"


@pytest.mark.parametrize(
    ("row", "word"),
    [
        (view("a"), "–"),
        (view("a", **beating(0.2)), "on time"),
        (view("a", **beating(5.0)), "late"),
        (view("a", **(beating(0.2) | {"phi": None})), "none yet"),
        (view("a", "suspect", **beating(9.0)), "hung"),
        (view("a", "suspect", held="stopped (SIGSTOP)", **beating(9.0)), "held"),
        (view("a", "backoff", cause="heartbeat-silent", **beating(0.0)), "hung"),
        (view("a", "backoff", cause="exited", **beating(0.0)), "–"),
        (view("a", "starting", **beating(0.0)), "–"),
    ],
)
def test_the_heartbeat_in_a_word(row: Instance, word: str) -> None:
    assert beat(row).text == word


def test_the_strip_shows_the_worst_of_each_half_minute() -> None:
    up, now = view("a", since_s=100.0), 1_000_000_040.0  # 20 s into a half minute
    assert plain(strip(up, [], None, now, 6)) == "  ━━━━"
    assert plain(strip(view("a", "stopped", since_s=40.0), [], None, now, 3)) == " ··"
    crash = [Move(now - 95, "running", "backoff", True), Move(now - 94, "backoff", "starting", False),
             Move(now - 93, "starting", "running", False)]  # fmt: skip
    assert plain(strip(up, crash, now - 170, now, 8)) == "  ━━✖━━━"
    assert plain(strip(up, crash[::-1], now - 170, now, 8)) == "  ━━✖━━━", "events may come late"
    hang = [Move(now - 70, "running", "suspect", False), Move(now - 30, "suspect", "running", False)]
    assert plain(strip(up, hang, None, now, 5)) == "  ▲▲━"
    start = [Move(now - 5, "stopped", "starting", False)]
    assert plain(strip(view("a", "starting"), start, now - 200, now, 3)) == "··╌"
    assert {s.tone for s in strip(view("a", "failed", since_s=900.0), [], None, now, 4)} == {"bad"}


def test_the_history_of_each_instance_is_bounded_and_forgotten_with_it() -> None:
    history = History()
    for n in range(MOVES + 1):
        history.note([event(n, "a", "running", "backoff", "exited", exit_code=3)])
    assert len(history.moves["a"]) <= MOVES and all(move.failed for move in history.moves["a"])
    assert history.known_since() is not None
    history.take(status([view("b")]))
    assert history.moves == {}


def test_where_it_hangs_comes_from_the_evidence_of_the_last_failure() -> None:
    places = Places()
    ledger = events()
    places.note(ledger)
    assert places.missing() == ("worker@2", 102)
    failure = next(e for e in ledger if e["id"] == 102)
    assert places.get("worker@2", failure) == ""
    places.take("worker@2", 102, EVIDENCE)
    assert places.missing() is None
    assert places.get("worker@2", failure) == "hangs at worker.py:41 in wait()"
    assert places.get("worker@2", {**failure, "incarnation": 99}) == "", "that was another run"
    assert places.get("web@1", None) == ""
    again = next(e for e in ledger if e["id"] == 113)
    assert places.get("worker@2", {**again, "incarnation": failure["incarnation"]}) == "", "that is a new suspicion"
    places.take("worker@2", 7, None)
    assert places.get("worker@2", failure)


def test_the_story_is_wrapped_below_its_labels() -> None:
    lines = ["web hangs at a.py:1 in f().", "", "  seen      " + "word " * 20]
    page = as_page(lines, 60)
    assert [s.tone for s in page[0]] == ["strong"] and page[1] == ()
    assert all(width(text) <= 60 for text in page)
    assert plain(page[3]).startswith(" " * 12 + "word")
    assert width(as_page(["x" * 100], 50)[0]) == 50


def test_reload_is_told_in_lines() -> None:
    answer: Difference = {
        "applied": False, "added": ["a"], "removed": ["b"],
        "changed": {"c": ["command"], "e": ["command"], "f": ["command"], "d": ["description"]},
        "restarted": ["c", "e", "f"], "started": ["e"], "resting": ["f"], "unchanged": 0, "supervisor": ["runtime_dir"],
    }  # fmt: skip
    assert changes(answer) == [
        "+ a", "− b", "~ c: command   (restarts)", "~ e: command   (starts)", "~ f: command   (at its next start)",
        "~ d: description",
        "takes effect when the daemon is restarted: runtime_dir",
    ]  # fmt: skip
    many: Difference = {**answer, "added": [str(n) for n in range(40)]}
    assert len(changes(many)) == 13 and changes(many)[-1] == "and 34 more"


def test_evidence_of_any_shape_can_be_read() -> None:
    value = {"stacks": "one\ntwo", "proc": {"wchan": "futex", "fds": [1, "x\x1b"]}}
    assert [plain(t) for t in evidence_page(value)] == [
        "stacks", "  one", "  two", "proc", "  wchan            futex", "  fds", "    1", "    x�",
    ]  # fmt: skip


MOVING = {
    "service": "web", "order": "reload", "state": "rolling-back", "paused": False, "instances": 4, "current": 2,
    "settled": 0, "ready": 3, "waiting_for": ["web@1"], "reason": "web@1: exited with code 3 before it was ready",
}  # fmt: skip


def test_eighty_columns_show_how_far_a_rollout_is_and_leave_the_reason_out() -> None:
    rows = [view(f"web@{n}", "running", service="web", current=n < 3) for n in (1, 2, 3, 4)]
    moving = status(rows, rollouts=[MOVING])
    assert plain(rollout_line(moving, 80)) == "   web  rolling back: 2 of 4; web@1 settles  ·  C 0.50"
    assert "exited with code 3" in plain(rollout_line(moving, 200))
    assert "run the configuration in force" in plain(rollout_line(moving, 200))


def test_eighty_columns_show_how_many_more_problems_there_are() -> None:
    told = "web@1: in maintenance for another 28m: the disk of the machine is replaced (by ann, with `supervisor …`)"
    shown = plain(banner(status(problems=[told, "b", "c"]), "", 80))
    assert shown.startswith(" ⚠ web@1: in maintenance for another 28m: ") and shown.endswith("…  (+2 more)")
    assert len(shown) <= 80


def test_neighbours_of_the_same_tone_are_one_piece() -> None:
    spans = (Span("a"), Span(" "), Span(""), Span("b", "good"), Span("c", "good"), Span("d", "good", "x"), Span("e"))
    assert list(joined(spans)) == [Span("a "), Span("bc", "good"), Span("d", "good", "x"), Span("e")]
    assert list(joined(())) == []
