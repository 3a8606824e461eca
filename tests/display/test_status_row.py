"""The note of a row: a STATUS that is not new has its age."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.history.outlook import prospect, standing
from supervisor.dashboard.filter_sort import matching
from supervisor.display.severity import Severity, severity
from supervisor.display.state_style import state_word, style_of
from supervisor.display.status_row import cells, note, says, steps
from tests.doubles.fake_client import view


@pytest.mark.parametrize(
    ("age", "later", "expected"),
    [
        (0.0, 0.0, "loading"),
        (4.9, 0.0, "loading"),
        (5.0, 0.0, "loading (5.0s ago)"),
        (3.0, 2.5, "loading (5.5s ago)"),
        (754.0, 0.0, "loading (12m34s ago)"),
        (None, 99.0, "loading"),
    ],
)
def test_the_age_of_a_status(age: float | None, later: float, expected: str) -> None:
    row = view("web", "starting", status="loading", status_age_s=age)
    assert says(row, later) == expected
    if not later:
        assert note(row) == expected
        assert note(view("web", status="loading", status_age_s=age)) == expected


@pytest.mark.parametrize(
    ("reload", "expected"),
    [
        (
            {"state": "asked", "since_s": 2.0, "within_s": 28.0},
            "reload signal sent, not answered yet; given up in 28s",
        ),
        ({"state": "begun", "since_s": 2.0, "within_s": 28.0}, "reloading; given up in 28s"),
        ({"state": "done", "since_s": 2.0, "within_s": None}, "serving"),
        ({"state": "timed-out", "since_s": 40.0, "within_s": None}, "its last reload did not end in time"),
    ],
)
def test_a_reload_under_way(reload: Any, expected: str) -> None:
    assert note(view("web", status="serving", reload=reload)) == expected


def test_without_a_status_nothing_is_said() -> None:
    assert says(view("web")) == ""


def test_what_waits_for_a_connection_is_not_down() -> None:
    row = view("web", "stopped", on_demand=True, cause="on-demand", ready=True)
    assert cells(row)[1:3] == ("on demand", "yes")
    assert note(row) == "waits for a connection"
    assert note({**row, "cause": "idle"}) == "waits for a connection; stopped, because there was no connection"
    assert (state_word(row), style_of(row).tone, severity(row)) == ("on demand", "good", Severity.FINE)
    assert matching([row], "on-demand") == [row]
    assert standing(row).startswith("on demand: it waits for a connection")
    assert prospect(row)["what"] == "the next connection starts it (at once with: supervisor start web)"
    stopped = view("web", "stopped", on_demand=True, goal="down", cause="stopped")
    assert (cells(stopped)[1], state_word(stopped)) == ("stopped", "stopped")


def test_a_stop_of_several_steps_in_words() -> None:
    def told(signal: int, next_in_s: float | None) -> str:
        return steps({"step": 2, "of": 2, "signal": signal, "next_signal": 9, "next_in_s": next_in_s})

    assert told(15, 5.0) == "SIGTERM sent (step 2 of 2); SIGKILL in 5.0s"
    assert told(9, 5.0) == "SIGKILL sent; again in 5.0s"
    assert told(9, None) == "SIGKILL sent"


def test_why_nothing_could_be_started() -> None:
    error = "no haproxy on this machine; install 2.6 or newer (package haproxy)"
    row = view("haproxy", "backoff", cause="spawn-failed", start_error=error, next_restart_in_s=1.0)
    assert note(row) == f"cannot be started: {error}; next try in 1.0s"
