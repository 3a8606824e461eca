"""Patterns that stand for several names."""

from __future__ import annotations

import pytest

from supervisor.core.text.name_patterns import Known, is_pattern, matches, matching, recorded_names, without_marks

KNOWN = [Known("db", "db", "back"), Known("web@1", "web"), Known("web@2", "web"), Known("job", "job", "back")]


@pytest.mark.parametrize("text", ["all", "*", "web*", "web@?", "[ab]", "back:*", "back:db"])
def test_what_no_name_can_be_is_a_pattern(text: str) -> None:
    assert is_pattern(text)


@pytest.mark.parametrize("text", ["", "web", "web@1", "All", "all@1", "web.api_v-2"])
def test_a_name_is_no_pattern(text: str) -> None:
    assert not is_pattern(text)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("all", ["db", "web@1", "web@2", "job"]),
        ("web", ["web@1", "web@2"]),
        ("back", ["db", "job"]),
        ("w*", ["web@1", "web@2"]),
        ("*@2", ["web@2"]),
        ("back:*", ["db", "job"]),
        ("back:db", ["db"]),
        ("*:web@?", ["web@1", "web@2"]),
        ("back:web", []),
        ("back:", []),
        (":", []),
        ("", []),
        ("W*", []),
    ],
)
def test_instances_are_found_by_each_of_their_names(pattern: str, names: list[str]) -> None:
    assert matching(pattern, KNOWN) == names


def test_what_is_named_all_is_meant_by_the_word() -> None:
    assert matching("all", [*KNOWN, Known("all@1", "all")]) == ["all@1"]
    assert matching("all", [*KNOWN, Known("db2", "db2", "all")]) == ["db2"]


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["gone", "web@2"], ["gone", "web@2"]),
        (["back"], ["db", "job"]),
        (["w*"], ["web"]),
        (["*@2", "db"], ["web@2", "db"]),
        (["all"], ["db", "web", "job"]),
        (["none*"], []),
    ],
)
def test_records_know_services_and_instances_only(patterns: list[str], names: list[str]) -> None:
    assert recorded_names(patterns, KNOWN) == names


def test_an_empty_name_matches_nothing() -> None:
    assert not matches("*", Known("", "", ""))


def test_the_letters_of_a_pattern_are_left() -> None:
    assert without_marks("back:[w]eb*?") == "backweb"
