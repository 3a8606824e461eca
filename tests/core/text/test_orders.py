"""Who gave an order, in words of a bounded length."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from supervisor.core.model.causes import Cause
from supervisor.core.text.causes import phrase
from supervisor.core.text.orders import given

PYTHON = "/opt/venv/bin/python3.11"
ROOT = {"uid": 0, "user": "root", "pid": 123, "command": [PYTHON, "/opt/venv/bin/supervisor", "stop", "web"]}


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (ROOT, "by root, with `supervisor stop web` (pid 123)"),
        (ROOT | {"command": ["/usr/bin/curl", "-X", "POST"]}, "by root, with `curl -X POST` (pid 123)"),
        (
            ROOT | {"command": ["supervisor", "maintenance", "on", "db", "--reason", "Ann's disk", ""]},
            r"by root, with `supervisor maintenance on db --reason 'Ann'\''s disk' ''` (pid 123)",
        ),
        (ROOT | {"command": [PYTHON, "-m", "supervisor"]}, "by root, with `python3.11 -m supervisor` (pid 123)"),
        (ROOT | {"command": [PYTHON]}, "by root, with `python3.11` (pid 123)"),
        (ROOT | {"command": ["sh/"]}, "by root, with `sh/` (pid 123)"),
        (ROOT | {"command": []}, "by root (pid 123)"),
        ({"uid": 1000, "user": None, "pid": None, "command": []}, "by user 1000"),
        ({"signal": 15}, "by SIGTERM"),
        ({}, "by the user"),
        ({"uid": 1000, "user": "ann", "web": "127.0.0.1:4000"}, "by ann, on the web view from 127.0.0.1:4000"),
        ({"uid": 1000, "user": None, "web": "[::1]:4000"}, "by user 1000, on the web view from [::1]:4000"),
        ({"web": "127.0.0.1:4000"}, "by someone, on the web view from 127.0.0.1:4000"),
    ],
)
def test_who_gave_an_order(by: dict[str, Any], expected: str) -> None:
    assert given(by) == expected


def test_a_long_command_is_shortened_then_left_out() -> None:
    long = ROOT | {"command": ["supervisor", "stop", "a-long-name", "and-another-one"]}
    assert given(long, 45) == "by root, with `supervisor stop a-…` (pid 123)"
    assert len(given(long, 45)) == 45
    assert given(long, 38) == "by root, with `supervisor…` (pid 123)"
    assert given(long, 36) == "by root (pid 123)"
    assert given(ROOT | {"command": ["sh"]}, 30) == "by root, with `sh` (pid 123)"


@pytest.mark.parametrize(
    ("cause", "detail", "expected"),
    [
        ("stopped-by-user", {}, "stopped by root, with `supervisor stop web` (pid 123)"),
        ("reset-by-user", {}, "breaker and backoff reset by root, with `supervisor stop w…` (pid 123)"),
        ("signalled-by-user", {"sent": 1}, "SIGHUP sent by root, with `supervisor stop web` (pid 123)"),
        ("shutdown", {}, "stops because the daemon shuts down; ordered by root (pid 123)"),
    ],
)
def test_the_phrase_of_an_order_says_who_gave_it(cause: str, detail: dict[str, Any], expected: str) -> None:
    assert phrase(cause, detail | {"by": ROOT}) == expected
    assert len(expected) <= 70


def test_what_is_told_at_length_has_the_whole_command() -> None:
    assert phrase("shutdown", {"by": ROOT}, 200) == (
        "stops because the daemon shuts down; ordered by root, with `supervisor stop web` (pid 123)"
    )


@pytest.mark.slow
@for_all(
    st.sampled_from(list(Cause)),
    st.fixed_dictionaries(
        {"uid": st.integers(0, 2**32)},
        optional={
            "user": st.none() | st.text(max_size=40),
            "pid": st.none() | st.integers(1, 2**22),
            "command": st.lists(st.text(max_size=60), max_size=6),
        },
    ),
)
def test_no_phrase_is_longer_than_its_place(cause: Cause, by: dict[str, Any]) -> None:
    assert len(phrase(cause, {"by": by})) <= 70
