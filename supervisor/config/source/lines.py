"""Finds the line of every key in a TOML file, which `tomllib` does not tell.

It runs only when there is an error to report. The text has been parsed already and is valid, so that the walk only has
to tell tokens apart.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from supervisor.config.source.key_path import Key

DEEPEST = 32
"""Deeper values get the line of their table. No known key is so deep, and a key of 20,000 parts must not use up memory.
"""

_TOKEN = re.compile(
    r"""(?P<newline>\n)
      | (?P<skip>[ \t\r]+|\#[^\n]*)
      | (?P<string>\"{3}(?:[^\\]|\\.)*?\"{3,5} | '{3}.*?'{3,5} | "(?:[^"\\\n]|\\.)*" | '[^'\n]*')
      | (?P<mark>[\[\]{}=,.])
      | (?P<word>[^\s\[\]{}=,."'\#]+)
    """,
    re.VERBOSE | re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


def line_numbers(text: str) -> dict[Key, int]:
    """The line (from 1) of every key, table and array element, by its path: ("services", "web", "hooks", 0, "run").

    A table that is opened more than once has its first line. `text` must be valid TOML.
    """
    walk = _Walk(text)
    with suppress(StopIteration):  # raised at the last token
        walk.document()
    return walk.lines


class _Walk:
    def __init__(self, text: str) -> None:
        self.lines: dict[Key, int] = {}
        self._tokens = _tokens(text)
        self._now = next(self._tokens)
        self._counts: dict[Key, int] = {}
        """Number of elements seen so far, for every array of tables."""

    def document(self) -> None:
        table: Key = ()
        while True:
            if self._now.text == "[" and self._now.kind == "mark":
                table = self._header()
            elif self._now.kind == "newline":
                self._next()
            else:
                self._assignment(table)

    def _enter(self, path: Key, part: str | int, line: int) -> Key:
        if len(path) == DEEPEST:
            return path
        path = (*path, part)
        self.lines.setdefault(path, line)
        return path

    def _next(self) -> _Token:
        token, self._now = self._now, next(self._tokens)
        return token

    def _header(self) -> Key:
        line = self._next().line
        many = self._now.kind == "mark"
        if many:
            self._next()
        table: Key = ()
        names = self._key()
        for depth, name in enumerate(names, 1):
            table = self._enter(table, name, line)
            if many and depth == len(names):
                self._counts[table] = self._counts.get(table, 0) + 1
            if table in self._counts:
                table = self._enter(table, self._counts[table] - 1, line)
        self._next()
        if many:
            self._next()
        return table

    def _key(self) -> list[str]:
        names = []
        while True:
            token = self._next()
            names.append(token.text if token.kind == "word" else _unquote(token.text))
            if self._now.text != ".":
                return names
            self._next()

    def _assignment(self, table: Key) -> None:
        line = self._now.line
        for name in self._key():
            table = self._enter(table, name, line)
        self._next()  # the equals sign
        self._value(table)

    def _value(self, path: Key) -> None:
        if self._now.text == "[" and self._now.kind == "mark":
            self._sequence("]", path)
        elif self._now.text == "{" and self._now.kind == "mark":
            self._sequence("}", path)
        else:
            while self._now.kind != "newline" and not (self._now.kind == "mark" and self._now.text in ",]}"):
                self._next()  # a date or a float is more than one word

    def _sequence(self, end: str, path: Key) -> None:
        self._next()
        index = 0
        while True:
            if self._now.kind == "newline" or (self._now.kind == "mark" and self._now.text == ","):
                self._next()
            elif self._now.kind == "mark" and self._now.text == end:
                self._next()
                return
            elif end == "]":
                self._value(self._enter(path, index, self._now.line))
                index += 1
            else:
                self._assignment(path)


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind != "skip":
            yield _Token(kind, match[0], line)
        line += match[0].count("\n")
    yield _Token("newline", "\n", line)


def _unquote(raw: str) -> str:
    """The name that a quoted key stands for; tomllib decodes the escapes."""
    return next(iter(tomllib.loads(f"{raw} = 0")))
