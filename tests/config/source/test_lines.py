from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config.source.lines import DEEPEST, line_numbers

TEXT = '''\
# a comment with [brackets] = "and quotes"
[supervisor]
name = "x" # [no]
a.b."c.d" = 1.5
[services.web]
command = ["a", """
[[x]]
""", 'b']
environment = { A = "1", 'B}' = "}" }
date = 1979-05-27 07:32:00
text = """ foo
= bar\\""" "" """""
[[services.web.hooks]]
on = [
  "a", # one
  { x = 1,
    y.z = 2 }, 'b',
]
[services.web.hooks.sub]
q = [[1], [
2]]
[[services.web.hooks]]
'run' = 3'''.replace("x = 1,\n    y.z = 2 }", "x = 1, y.z = 2 }\n   ")

LINES = {
    ("supervisor",): 2,
    ("supervisor", "name"): 3,
    ("supervisor", "a", "b", "c.d"): 4,
    ("services",): 5,
    ("services", "web"): 5,
    ("services", "web", "command"): 6,
    ("services", "web", "command", 1): 6,
    ("services", "web", "command", 2): 8,
    ("services", "web", "environment", "A"): 9,
    ("services", "web", "environment", "B}"): 9,
    ("services", "web", "date"): 10,
    ("services", "web", "text"): 11,
    ("services", "web", "hooks"): 13,
    ("services", "web", "hooks", 0): 13,
    ("services", "web", "hooks", 0, "on"): 14,
    ("services", "web", "hooks", 0, "on", 0): 15,
    ("services", "web", "hooks", 0, "on", 1, "y", "z"): 16,
    ("services", "web", "hooks", 0, "on", 2): 17,
    ("services", "web", "hooks", 0, "sub", "q"): 20,
    ("services", "web", "hooks", 0, "sub", "q", 1, 0): 21,
    ("services", "web", "hooks", 1): 22,
    ("services", "web", "hooks", 1, "run"): 23,
}


def test_every_kind_of_key_is_found() -> None:
    tomllib.loads(TEXT)
    found = line_numbers(TEXT)
    assert {key: found.get(key) for key in LINES} == LINES


def test_lines_end_as_windows_ends_them() -> None:
    assert line_numbers(TEXT.replace("\n", "\r\n")) == line_numbers(TEXT)


def test_a_key_of_a_thousand_parts_takes_no_memory() -> None:
    assert max(map(len, line_numbers(".".join("a" * 1000) + " = [[1]]"))) == DEEPEST


KEYS = st.text(alphabet="ab.-\" '[]={}#,é", min_size=1, max_size=4)
STRINGS = st.text(alphabet="ab\n\"'[]={}#,\\\t", max_size=8)
VALUES = st.recursive(
    st.integers() | st.booleans() | st.floats(allow_nan=False) | STRINGS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=3), max_size=4))
def test_all_that_tomllib_finds_has_a_line(tables: dict[str, dict[str, Any]]) -> None:
    text = ""
    lines: dict[tuple[str, ...], int] = {}
    for name, keys in tables.items():
        text += f"[ {_quoted(name)} ]  # header\n"
        lines[name,] = text.count("\n")
        for key, value in keys.items():
            lines[name, key] = text.count("\n") + 1
            text += f"{_quoted(key)} = {_inline(value)}\n"
    assert tomllib.loads(text) == tables
    found = line_numbers(text)
    assert {key: found.get(key) for key in lines} == lines
    assert _paths(tables) == found.keys()


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = {path} if path else set()
    for key, item in inner:
        found |= _paths(item, (*path, key))
    return found


def _quoted(text: str) -> str:
    return '"' + "".join(c if c.isalpha() else f"\\u{ord(c):04x}" if c in '"\\\n\t' else c for c in text) + '"'


def _inline(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _multiline(value) if "\n" in value else _quoted(value)
    if isinstance(value, list):
        return "[\n " + ", # next\n ".join(map(_inline, value)) + "\n]" if value else "[]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_quoted(k)} = {_inline(v)}" for k, v in value.items()) + " }"
    return repr(value).replace("e+", "e")


def _multiline(text: str) -> str:
    return '"""\n' + text.replace("\\", "\\\\").replace('"""', '""\\"') + ('\\\n"""' if text.endswith('"') else '"""')
