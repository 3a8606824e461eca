"""YAML, references to variables and .env files as compose has them (docker-compose 1.29.2, python-dotenv 0.21)."""

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config.importers.compose.syntax import Interpolation, load_yaml, read_dotenv
from supervisor.config.importers.imported import ImportRefused
from supervisor.config.importers.reading import Table


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[yes, no, on, 12:30, 2020-01-01, 22:22]", ["yes", "no", "on", "12:30", "2020-01-01", "22:22"]),
        ("[true, False, null, ~, 3, -1, 0x10, 1.5, 1e3, .5]", [True, False, None, None, 3, -1, 16, 1.5, 1000.0, 0.5]),
        ("[3.8.1, 1m30s, '3', v1, 1_000a]", ["3.8.1", "1m30s", "3", "v1", "1_000a"]),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
        ("a: >-\n  one\n  two\nb: |\n  x\n  y\n", {"a": "one two", "b": "x\ny\n"}),
    ],
)
def test_values_have_the_types_of_compose(text: str, value: Any) -> None:
    assert load_yaml("f", text) == value


def test_each_key_has_its_line_a_merged_one_that_of_its_origin() -> None:
    block = load_yaml("f", "a: &x\n  b: 1\nc:\n  <<: *x\n  d: 2\n")
    assert isinstance(block, Table) and block.lines == {"a": 1, "c": 3}
    assert (block["c"].line, block["c"].lines, block["c"].line_of("none")) == (4, {"b": 2, "d": 5}, 4)


@pytest.mark.parametrize(("text", "line"), [("a: [1\nb: 2", 2), ("a: 1\n b: 2", 2), ("a: *x", 1), ("a: !x y", 1)])
def test_what_is_no_yaml_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ImportRefused, match=rf"^f:{line}: it is not YAML: "):
        load_yaml("f", text)


def test_without_pyyaml_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ImportRefused) as raised:
        load_yaml("f", "a: 1")
    assert raised.value.hint == "pip install 'phi-supervisor[compose]'"


VARIABLES = {"A": "1", "EMPTY": "", "B_2": "$A"}


@pytest.mark.parametrize(
    ("text", "value", "missing"),
    [
        ("a$$b $$A $${A}", "a$b $A ${A}", set()),
        ("$A ${A} $B_2", "1 1 $A", set()),
        ("$EMPTY|${EMPTY:-d}|${EMPTY-d}|${X:-d}|${X-d}|${X-}", "|d||d|d|", set()),
        ("${A:+y}${EMPTY:+y}${EMPTY+e}${X+x}", "ye", set()),
        ("${X:-${A}-${Y:-z}}", "1-z", set()),
        ("${A:?no} ${A?no} ${EMPTY?no}", "1 1 ", set()),
        ("$X${Y}!", "!", {"X", "Y"}),
        ("${X:-a b:c}", "a b:c", set()),
    ],
)
def test_references_are_replaced(text: str, value: str, missing: set[str]) -> None:
    interpolation = Interpolation(VARIABLES)
    assert interpolation.expand(text) == value
    assert interpolation.missing == missing


@pytest.mark.parametrize("text", ["$", "a $ b", "${", "${A", "${A:-b", "${A:b}", "$1", "${}", "${X?}", "${EMPTY:?m}"])
def test_a_malformed_or_missing_reference_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"followed by no name|not closed|required"):
        Interpolation(VARIABLES).expand(text)


@given(st.text(max_size=20))
def test_a_text_with_its_dollars_doubled_is_itself(text: str) -> None:
    assert Interpolation({}).expand(text.replace("$", "$$")) == text


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=1\nB = two words \n\n# c\nC=x # c\nD=x#y\n", {"A": "1", "B": "two words", "C": "x", "D": "x#y"}),
        ("export A=1\nB\nC=\nD=''\n", {"A": "1", "B": None, "C": "", "D": ""}),
        ('A="x # y" # c\nB=\'a\\nb\'\nC="a\\nb\\""', {"A": "x # y", "B": "a\\nb", "C": 'a\nb"'}),
        ('A="one\ntwo"\nB=$A ${A}\r\nC=3', {"A": "one\ntwo", "B": "$A ${A}", "C": "3"}),
        ("\ufeffA=1\n=x\nB=2\n'C D'=3", {"A": "1", "B": "2", "C D": "3"}),
        ("", {}),
    ],
)
def test_a_dotenv_file(text: str, values: dict[str, str | None]) -> None:
    assert read_dotenv(text) == values


@given(st.text(alphabet="AB='\"#\\ \n$x", max_size=20))
def test_any_dotenv_file_is_read(text: str) -> None:
    read_dotenv(text)
