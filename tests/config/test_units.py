from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config import units


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("10s", 10),
        ("1.5m", 90),
        ("2h", 7200),
        ("1d", 86400),
        ("1h30m", 5400),
        ("0s", 0),
        ("1s500ms", 1.5),
    ],
)
def test_durations_in_seconds(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize(("text", "size"), [("1KiB", 1024), ("10MiB", 10 * 1024**2), ("1.5GiB", 3 * 512 * 1024**2)])
def test_sizes_in_bytes(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize(("text", "fraction"), [("150%", 1.5), ("12.5%", 0.125)])
def test_percentages_as_fractions(text: str, fraction: float) -> None:
    assert units.parse_percent(text) == fraction


@pytest.mark.parametrize("text", ["", "s", "-1s", "1 s", "1e3s", "1s2", "١s", "1S", "1s\n", "9" * 400 + "s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration|longer than"):
        units.parse_duration(text)


@pytest.mark.parametrize("text", ["", "KiB", "-1KiB", "1kib", "1 KiB", "1TiB", "9" * 400 + "KiB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size|larger than"):
        units.parse_size(text)


@pytest.mark.parametrize("text", ["", "%", "1", "-1%", "9" * 400 + "%"])
def test_what_is_no_percentage(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a percentage|more than any machine"):
        units.parse_percent(text)


@given(st.integers(0, int(units.LONGEST) * 1000))
def test_a_duration_survives_being_written(milliseconds: int) -> None:
    assert units.parse_duration(units.format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.integers(1, 2**40), st.sampled_from([1024, 1024**2]))
def test_a_size_survives_being_written(count: int, unit: int) -> None:
    assert units.parse_size(units.format_size(count * unit)) == count * unit


@given(st.integers(1, 1_000_000))
def test_a_percentage_survives_being_written(percent: int) -> None:
    assert units.parse_percent(units.format_percent(percent / 100)) == percent / 100


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (units.parse_duration, units.parse_size, units.parse_percent):
        try:
            assert parse(text) >= 0
        except ValueError as error:
            assert "\n" not in str(error)  # a message is one line


def test_a_size_that_is_no_round_number() -> None:
    assert units.format_size(1025) == "1025 bytes"
