from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config.source.expand import expand, parse_environment_file

ENV = {"HOST": "box", "EMPTY": "", "DOLLAR": "${HOST}"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${HOST}", "box"),
        ("a ${HOST} b ${HOST}", "a box b box"),
        ("${NOPE:-default}", "default"),
        ("${NOPE:-}", ""),
        ("${EMPTY}", ""),
        ("${EMPTY:-x}", "x"),
        ("${HOST:-x}", "box"),
        ("${NOPE:-a:-b c}", "a:-b c"),
        ("$$", "$"),
        ("$${HOST}", "${HOST}"),
        ("$HOST costs 5$", "$HOST costs 5$"),
        ("${DOLLAR}", "${HOST}"),
    ],
)
def test_what_references_become(text: str, result: str) -> None:
    assert expand(text, ENV) == result


@pytest.mark.parametrize("text", ["${NOPE}", "${", "${}", "${A-B}", "${1A}", "${A:+b}", "${A:-${HOST}}"])
def test_what_cannot_be_replaced(text: str) -> None:
    with pytest.raises(ValueError):
        expand(text, ENV)


@given(st.text())
def test_doubled_dollars_keep_any_text(text: str) -> None:
    assert expand(text.replace("$", "$$"), {}) == text


def test_an_environment_file() -> None:
    text = """\
# a comment
A=1
export B=two words  # and a comment

C = spaced
D='single $A \\n # kept'
E="double \\"quoted\\"\\n" # dropped
F=
G=a#b
H=${A}\r
I="-----BEGIN-----
 two 'words'
# kept, and \\"quoted\\"
-----END-----" # dropped
J='one\r
two'
K=k
"""
    values = {
        "A": "1",
        "B": "two words",
        "C": "spaced",
        "D": "single $A \\n # kept",
        "E": 'double "quoted"\n',
        "F": "",
        "G": "a#b",
        "H": "${A}",
        "I": "-----BEGIN-----\n two 'words'\n# kept, and \"quoted\"\n-----END-----",
        "J": "one\ntwo",
        "K": "k",
    }
    assert parse_environment_file(text) == (values, [])


@pytest.mark.parametrize("line", ["A", "=1", "A B=1", "A='x", 'A="x', "A='x'y", 'A="x" y', "A=\x00", 'A="\\"'])
def test_a_line_that_cannot_be_read_is_named(line: str) -> None:
    values, errors = parse_environment_file(f"X=1\n{line}\nY=2")
    assert values == {"X": "1", "Y": "2"}
    assert [number for number, _ in errors] == [2]


@given(st.text())
def test_any_file_is_read_or_complained_of(text: str) -> None:
    values, errors = parse_environment_file(text)
    assert all("\x00" not in key + value for key, value in values.items())
    assert all(1 <= number <= text.count("\n") + 1 for number, _ in errors)
