"""The note of a row: a STATUS that is not new has its age."""

from __future__ import annotations

import pytest

from supervisor.display.status_row import note, says
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


def test_without_a_status_nothing_is_said() -> None:
    assert says(view("web")) == ""
