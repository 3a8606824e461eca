"""Moments as text and back, checked against the standard library's calendar."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.text.timestamps import from_iso, to_iso

MILLIS = st.integers(min_value=-62_135_596_800_000, max_value=253_402_300_799_999)


@given(MILLIS)
def test_says_what_the_standard_library_says_and_reads_it_back(millis: int) -> None:
    text = to_iso(millis / 1000)
    seconds, rest = divmod(millis, 1000)
    assert text == f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + f".{rest:03}Z"
    assert round(from_iso(text) * 1000) == millis


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01", 0.0),
        ("1970-01-01T00:01", 60.0),
        ("2024-02-29T12:00:00.25Z", 1709208000.25),
        ("2024-02-29T12:00:00+01:00", 1709204400.0),
        ("2024-02-29 12:00:00-0130", 1709213400.0),
        (" 2024-02-29T12:00:00Z ", 1709208000.0),
        ("2024-02-29T12:00:00.250+00:00", 1709208000.25),  # as older versions wrote it
    ],
)
def test_reads_what_people_write(text: str, seconds: float) -> None:
    assert from_iso(text) == seconds


@pytest.mark.parametrize("text", ["", "yesterday", "2023-02-29", "2024-13-01", "2024-01-01T25:00", "٢٠٢٤-01-01", "10s"])
def test_refuses_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="no "):
        from_iso(text)


def test_a_time_beyond_the_calendar_is_its_edge() -> None:
    assert to_iso(1e18) == "9999-12-31T23:59:59.999Z"
    assert to_iso(-1e18) == "0001-01-01T00:00:00.000Z"


def test_seconds_are_a_time_already() -> None:
    assert from_iso(1700000000.25) == 1700000000.25
