"""Unit files, command lines and environment files are read as systemd 252.38 reads them."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config.importers.systemd.syntax import (
    Complaint,
    ExecLine,
    Setting,
    Unbalanced,
    Variable,
    assignments,
    boolean,
    environment_file,
    exec_lines,
    seconds,
    settings,
    size,
    substituted,
    words,
)


def values(text: str) -> list[tuple[str, str, str, int]]:
    return [(one.section, one.key, one.value, one.line) for one in settings(text, "f")[0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[A]\nb=c\n", [("A", "b", "c", 2)]),
        ("\ufeff[A]\r\n  b = c d \r\n", [("A", "b", "c d", 2)]),
        ("# [B]\n[A]\n;b=1\n\nb=\nb==c", [("A", "b", "", 5), ("A", "b", "=c", 6)]),
        ("[A]\nb=c \\\n  d\\\n\ne=f", [("A", "b", "c    d", 2), ("A", "e", "f", 5)]),
        ("[A]\nb=c \\\n# no\n  ; no\n\td\ne=f", [("A", "b", "c  \td", 2), ("A", "e", "f", 6)]),
        ("[A]\nb=c\\\\\ne=f", [("A", "b", "c\\\\", 2), ("A", "e", "f", 3)]),
        ("[A]\nb=c # no comment", [("A", "b", "c # no comment", 2)]),
        ("[A]\nb=c\\", [("A", "b", "c", 2)]),
        ("[A]\nb=1\n[C]\nb=2\n[A]\nb=3", [("A", "b", "1", 2), ("C", "b", "2", 4), ("A", "b", "3", 6)]),
    ],
)
def test_settings(text: str, expected: list[tuple[str, str, str, int]]) -> None:
    assert values(text) == expected
    assert settings(text, "f")[1] == []


def test_lines_that_are_not_taken() -> None:
    assert settings("a=1\nsecret\n[A]\nb\nc=1\n[D secret\ne=2", "f") == (
        [Setting("A", "c", "1", "f", 5)],
        [
            Complaint(1, "a", "It stands before any section."),
            Complaint(2, "", "It stands before any section."),
            Complaint(4, "", "The line has no `=`."),
            Complaint(6, "", "The header of a section does not end with ].", fatal=True),
        ],
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" a  b\t", ["a", "b"]),
        ("""foo"a b"bar 'c d'e "" x''""", ["fooa bbar", "c de", "", "x"]),
        (r"\x20 \t \' \" \\ \s \101 \u00e9 \U0001F600", [" ", "\t", "'", '"', "\\", " ", "A", "é", "😀"]),
        (r'"a\"b" "a\qb c" \q \$ a\ b', ['a"b', "a\\qb c", "\\q", "\\$", "a\\ b"]),
        (r"\x00 \400 \xz \ud800 \U00110000", ["\\x00", "\\400", "\\xz", "\udced\udca0\udc80", "\\U00110000"]),
        ("a#b #c ;d", ["a#b", "#c", ";d"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize("text", ["'a", '"a', "a'b c", "a'\"b"])
def test_an_open_quote_is_refused_but_not_in_the_value_of_a_variable(text: str) -> None:
    with pytest.raises(Unbalanced):
        words(text)
    assert words(text, plain=True)


def test_an_unknown_escape_may_be_refused() -> None:
    with pytest.raises(Unbalanced, match="escape"):
        words("a \\q", strict=True)


@pytest.mark.slow
@given(st.lists(st.text(alphabet=st.one_of(st.sampled_from(" \t'\"\\$;#é"), st.sampled_from(string.printable)))))
def test_quoted_words_are_read_back(given_words: list[str]) -> None:
    escaped = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in given_words)
    assert words(" ".join(f'"{word}"' for word in escaped)) == given_words


def lines(value: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.prefixes, one.words) for one in exec_lines(Setting("Service", "ExecStart", value, "f", 1))]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/a b", [("", ("/a", "b"))]),
        ("-@/a b c", [("-@", ("/a", "b", "c"))]),
        ("!!:+/a", [("!!:+", ("/a",))]),
        ("/a ; -/b c ;", [("", ("/a",)), ("-", ("/b", "c"))]),
        ("/a \\; ;x a;b ';' \";\"", [("", ("/a", ";", ";x", "a;b", ";", ";"))]),
        ("/a \\;", [("", ("/a", ";"))]),
        ('"/a b" c', [("", ("/a b", "c"))]),
    ],
)
def test_commands(value: str, expected: list[tuple[str, tuple[str, ...]]]) -> None:
    assert lines(value) == expected


@pytest.mark.parametrize("value", ["-", "/a\\q", "/a 'b", "/a ; -"])
def test_commands_that_are_refused(value: str) -> None:
    with pytest.raises(Unbalanced):
        lines(value)


def test_a_command_knows_its_line() -> None:
    assert exec_lines(Setting("Service", "ExecStart", "/a", "f", 7)) == [ExecLine(("/a",), "", "f", 7)]


def test_assignments_end_where_one_cannot_be_read() -> None:
    assert assignments("""A=1 "B=2 3" C='4'"5" D=\\x41""") == (["A=1", "B=2 3", "C=45", "D=A"], "")
    assert assignments("A=1 B=\\q C=2") == (["A=1"], "has an unknown escape")
    assert assignments("A=1 'B=2") == (["A=1"], "has a quote that is not closed")


KNOWN = {"A": "1", "D": "x y", "Q": "a\"b c\"d 'e f'", "K": "p\\ q", "EMPTY": "", "OPEN": 'x"y z'}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("$A", ["1"]),
        ("$D", ["x", "y"]),
        ("$Q", ["ab cd", "e f"]),
        ("$K", ["p q"]),
        ("$OPEN", ["xy z"]),
        ("${D}", ["x y"]),
        ("a${A}b${D}", ["a1bx y"]),
        ("$EMPTY", []),
        ("${EMPTY}", [""]),
        ("$NO", []),
        ("${NO}", [""]),
        ("$A/x", []),
        ("$D${D}", []),
        ("${D}$D", ["x y$D"]),
        ("x$A", ["x$A"]),
        ("${A:-d}", ["${A:-d}"]),
        ("${A", ["${A"]),
        ("$", []),
        ("${", ["${"]),
        ("${}", [""]),
        ("$$A", ["$A"]),
        ("a$$b", ["a$b"]),
        ("$$$A", ["$$A"]),
    ],
)
def test_variables(word: str, expected: list[str]) -> None:
    assert list(substituted([word], KNOWN)) == expected


def test_variables_that_are_left() -> None:
    left = list(substituted(["$A", "x${A}y${B}", "${B}", "$B", "$$A"], KNOWN | {"B": "b"}, ["A"]))
    assert left == [Variable("A"), ["x", Variable("A"), "yb"], "b", "b", "$A"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB=a b # c\n", {"A": "1", "B": "a b # c"}),
        (" A = 1  \n\tB\t=\t2", {"A": "1", "B": "2"}),
        ("A=\nB=", {"A": "", "B": ""}),
        ("#A=1\n  ;B=2\nC=3", {"C": "3"}),
        ("# a \\\nA=1\nB=2", {"B": "2"}),
        ("A=a\\ b\\n \nB=2", {"A": "a bn", "B": "2"}),
        ("A=a\\\n  b\nB=2", {"A": "a  b", "B": "2"}),
        ("A=x\\ \nB=1", {"A": "x ", "B": "1"}),
        ("A='a b' \nB=\"c\"", {"A": "a b", "B": "c"}),
        ('A="x" y\nB="x"y\nC=\'a\'"b"', {"A": "xy", "B": "xy", "C": "ab"}),
        ('A=a"b c"d\n', {"A": 'a"b c"d'}),
        ('A="l1\nl2"\nB=2', {"A": "l1\nl2", "B": "2"}),
        ('A="\\$x \\n \\" \\\\ \\`"', {"A": '$x \\n " \\ `'}),
        ('A="a\\\nb"', {"A": "ab"}),
        ("A='a\\$b'", {"A": "a\\$b"}),
        ("A=\\\\x", {"A": "\\x"}),
        ("A=$B${C}", {"A": "$B${C}"}),
        ("junk\nA=1\njunk", {"A": "1"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A='open", {"A": "open"}),
        ('A="open \n', {"A": "open \n"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("A=a=b", {"A": "a=b"}),
        ("", {}),
    ],
)
def test_environment_files(text: str, expected: dict[str, str]) -> None:
    assert environment_file(text) == (expected, [])


def test_what_an_environment_file_cannot_name() -> None:
    text = "export A=1\n1B='2\n'\nC.D=3\nE=4"
    assert environment_file(text) == ({"E": "4"}, [(1, "export A"), (3, "1B"), (4, "C.D")])


@given(st.dictionaries(st.from_regex("[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True), st.text(max_size=20)))
def test_an_environment_file_in_quotes_is_read_back(variables: dict[str, str]) -> None:
    escape = str.maketrans({character: f"\\{character}" for character in '"\\$`'})
    text = "".join(f'{name}="{value.translate(escape)}"\n' for name, value in variables.items())
    assert environment_file(text) == (variables, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", 5.0),
        ("5min 20s", 320.0),
        ("1h30m", 5400.0),
        ("100ms", 0.1),
        ("1.5", 1.5),
        (".5s", 0.5),
        ("2 weeks", 1_209_600.0),
        ("1us", 1e-6),
        ("infinity", float("inf")),
        ("", None),
        ("x", None),
        ("5 parsecs", None),
        ("-1", None),
    ],
)
def test_time_spans(text: str, expected: float | None) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("512", 512), ("1K", 1024), ("1.5G", 1_610_612_736), ("2 T", 2 * 1024**4), ("7B", 7), ("x", None), ("", None)],
)
def test_sizes(text: str, expected: int | None) -> None:
    assert size(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("yes", True), ("On", True), ("1", True), ("no", False), ("f", False), ("", None), ("2", None)],
)
def test_booleans(text: str, expected: bool | None) -> None:
    assert boolean(text) is expected
