"""Each key has the line at which it stands, and values are read as supervisord 4.3.0 reads them."""

import re
from configparser import RawConfigParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config.importers.imported import ImportRefused
from supervisor.config.importers.supervisord.syntax import (
    Ini,
    Names,
    Source,
    Where,
    boolean,
    exit_codes,
    expand,
    integer,
    names_of,
    octal,
    pairs,
    restart_policy,
    signal_number,
    size,
)

LINES = [
    "[a]",
    "[b]",
    "[DEFAULT]",
    "x=1",
    "y = 2 ; c",
    "  more",
    "Z: 3 # c",
    "",
    "; c",
    "  # c",
    "x=",
    "\tq",
    "=1",
    "w",
]


@given(st.lists(st.sampled_from(LINES), max_size=12))
def test_any_file_has_the_values_of_configparser_and_the_lines_of_its_keys(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "supervisord.conf"
    path.write_text("\n".join(lines))
    plain = RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    try:
        plain.read_string("\n".join(lines))
    except Exception:  # noqa: BLE001 - whatever it refuses
        with pytest.raises(ImportRefused):
            Ini(Source(path), {}, "vm", path.parent)
        return
    ini = Ini(Source(path), {}, "vm", path.parent)
    assert ini.sections == plain.sections()
    for section in ini.sections:
        for key in plain.options(section):
            assert ini.raw(section, key) == plain.get(section, key)
            where = ini.where(section, key)
            assert where.file == str(path)
            assert re.match(rf"{key}\s*[=:]", lines[where.line - 1].lower())


def test_a_section_stands_where_it_first_begins(tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    path.write_text("\n[a]\nx=1\n[b]\n[a]\ny=1\n")
    ini = Ini(Source(path), {}, "vm", tmp_path)
    assert (ini.where("a"), ini.where("b")) == (Where(str(path), 2), Where(str(path), 4))
    assert ini.where("a", "missing") == ini.where("a")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A=b", {"A": "b"}),
        ("A=b,", {"A": "b"}),
        ("A=b,\nC='d e',\n", {"A": "b", "C": "d e"}),
        ("A=http://h/?a=b", {"A": "http://h/", "a": "b"}),
        ('A="a,b",B=\'"\'', {"A": "a,b", "B": ""}),
        ('A="a\\b"', {"A": "a\\b"}),
        ("A=p#q\n,B=2", {"A": "p", "B": "2"}),
        ("A=(b):c+d", {"A": "(b):c+d"}),
        ("A==", {"A": "="}),
        ("", {}),
    ],
)
def test_variables_as_supervisord_cuts_them(text: str, wanted: dict[str, str]) -> None:
    assert pairs(text).values == wanted


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("A=b,C=d", []),
        ("A=b c", ["A"]),
        ("A=http://h/?a=b", ["A"]),
        ("A=p#q", [""]),
        ("A='#'", []),
        ("A=a b#", ["A", ""]),
    ],
)
def test_what_is_cut_off_is_known(text: str, cut: list[str]) -> None:
    assert pairs(text).cut == cut


@pytest.mark.parametrize("text", ["A", "A=", "A=b@c,D=e", "=b", "A='b", "A=,B=c", "'A'", "A=b C=d"])
def test_what_is_no_list_of_variables_is_refused_without_its_text(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        pairs(text.replace("b", "secret").replace("c", "secret"))
    assert "secret" not in str(refused.value)


def test_names_are_expanded() -> None:
    names = Names({"a": "1", "n": 7})  # type: ignore[dict-item]
    assert expand("%(a)s %% %(n)03d", names) == "1 % 007"
    assert names.asked == ["a", "n"]


@pytest.mark.parametrize("text", ["%", "%(a", "%(b)s", "%s", "%r", "%(a)d", "50% of"])
def test_what_cannot_be_expanded_is_refused_without_a_value(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        expand(text, Names({"a": "secret"}))
    assert "secret" not in str(refused.value)


def test_kinds_of_values() -> None:
    assert [boolean(word) for word in ("Yes", "ON", "1", "off")] == [True, True, True, False]
    assert [size(word) for word in ("10", "1kb", "2MB", "1Gb")] == [10, 1024, 2 * 1024**2, 1024**3]
    assert [restart_policy(word) for word in ("true", "0", "Unexpected")] == ["always", "never", "on-failure"]
    assert [signal_number(word) for word in ("TERM", "sigint", "9", " HUP ")] == [15, 2, 9, 1]
    assert exit_codes("0, 2") == [0, 2]
    assert exit_codes("") == []
    assert (integer(" 5 "), octal("022"), names_of("a, b,"), names_of("")) == (5, 0o22, ["a", "b", ""], [])
