"""Spans of time where the wall clock was set between two events."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.history.straightened import straightened
from supervisor.core.history.why import why
from supervisor.core.model.daemon_records import DAEMON, clock_set, unchanged, upgraded
from supervisor.core.model.documents import Event
from supervisor.core.text.causes import phrase
from supervisor.core.text.timestamps import from_iso, to_iso
from tests.core.history.test_report import T0, History, row

HOURS = 3600.0


def set_clock(history: History, at: float, seconds: float | None) -> History:
    """The clock was set by `seconds`; `at` is its new time."""
    detail: dict[str, Any] = {} if seconds is None else {"stepped_s": seconds}
    return history.add(at, "running", "running", "clock-set", name=DAEMON, incarnation=0, **detail)


def crash_amid(step: float) -> History:
    """Ready at 10; fails at 40; the clock is set after one second; ready again ten seconds after the failure."""
    history = History().boot(0, 10)
    history.add(40, "running", "backoff", "exited", exit_code=1, attempt=1, delay_s=5.0)
    set_clock(history, 41 + step, step)
    history.add(45 + step, "backoff", "starting", "backoff-elapsed")
    return history.add(50 + step, "starting", "running", "ready")


@pytest.mark.parametrize("step", [0.0, 2 * HOURS, -2 * HOURS, 30 * 24 * HOURS])
def test_a_clock_that_was_set_is_neither_outage_nor_availability(step: float) -> None:
    found = crash_amid(step).report(step, 110 + step, row())
    total = found["total"]
    assert (total["wanted_s"], total["ready_s"], total["unknown_s"]) == (110, 90, 0)
    assert (total["mttr_s"], total["longest_outage_s"]) == (10, 10)
    assert found["seconds"] == 110
    assert [service["service"] for service in found["services"]] == ["web"]


def test_the_report_of_all_begins_where_the_present_clock_would_have_stood() -> None:
    found = crash_amid(2 * HOURS).report(None, 110 + 2 * HOURS, row())
    assert (found["since"], found["seconds"]) == (to_iso(T0 + 2 * HOURS), 110)


@pytest.mark.parametrize("step", [2 * HOURS, -2 * HOURS])
def test_why_tells_true_spans_and_the_times_that_were_recorded(step: float) -> None:
    story = why({"name": "web", "service": "web"}, crash_amid(step).events, lambda _: None, lambda *_: [])
    (incident,) = story["incidents"]
    assert incident["after"] == ["ready again after 10 s, as run 1"]
    assert incident["at"] == to_iso(T0 + 40)


def test_several_steps_add_up_and_one_that_tells_nothing_changes_nothing() -> None:
    history = History().boot(0, 10)
    set_clock(history, 110, 100.0)
    history.add(120, "running", "running", "held")
    set_clock(history, 100, -20.0)
    set_clock(history, 100, None)
    history.add(101, "running", "running", "held")
    assert [from_iso(event["at"]) - T0 for event in straightened(history.events)] == [80, 80, 90, 100, 101]


def test_the_daemon_is_no_service_of_the_report() -> None:
    history = History().boot(0, 10).add(20, "running", "running", "upgraded", name=DAEMON, incarnation=0)
    assert [one["service"] for one in history.report(0, 100)["services"]] == ["web"]


def test_events_of_an_older_ledger_stay_as_they_are() -> None:
    history: list[Event] = History().boot(0, 10).crash(40, 45, 50).events
    assert straightened(history) == history


def test_the_words_of_the_daemons_records() -> None:
    forwards, back = clock_set(7200.0), clock_set(-90.25)
    assert phrase(forwards.cause, forwards.detail) == "the wall clock was set forwards by 2 h; no timeout depends on it"
    assert phrase(back.cause, back.detail) == "the wall clock was set back by 1 min 30 s; no timeout depends on it"
    by = {"user": "root", "uid": 0, "pid": 7, "command": ["supervisor", "upgrade"]}
    one = upgraded("1.0", "1.1", by)
    assert phrase(one.cause, one.detail) == "upgraded from 1.0 to 1.1 by root, with `supervisor upgrade` (pid 7)"
    assert phrase(one.cause, upgraded("1.0", "1.1", {}).detail) == "upgraded from 1.0 to 1.1"
    none = unchanged("start web", by)
    assert phrase(none.cause, none.detail, 99) == (
        "start web: no service changed; ordered by root, with `supervisor upgrade` (pid 7)"
    )
    assert phrase("clock-set") == "the wall clock was set"
    assert phrase("upgraded") == "the daemon was upgraded"
