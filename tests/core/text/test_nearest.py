"""Which known word a mistyped one stands for."""

from __future__ import annotations

from supervisor.core.text.nearest import did_you_mean, nearest


def test_words_spelt_alike_come_nearest_first() -> None:
    assert nearest("statsu", ["start", "status", "stop", "logs"]) == ["status", "start"]
    assert nearest("statsu", ["start", "status", "stop", "logs"], 1) == ["status"]


def test_an_abbreviation_of_three_letters_stands_for_the_words_that_begin_with_it() -> None:
    known = ["environment", "environment_file", "env"]
    assert nearest("envi", known[:2]) == ["environment", "environment_file"]
    assert nearest("en", known[:2]) == []


def test_a_suggestion_is_the_end_of_a_sentence_or_nothing() -> None:
    assert did_you_mean("comand", ["command", "directory"]) == '; did you mean "command"?'
    assert did_you_mean("quite another", ["command", "directory"]) == ""


def test_a_word_without_end_is_compared_as_far_as_it_matters() -> None:
    assert nearest("x" * 100_000, ["command"]) == []
    assert did_you_mean(7, ["command"]) == ""
