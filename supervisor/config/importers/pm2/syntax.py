"""Reads JavaScript literals: objects, arrays and plain values, with the line of each key.

PM2 reads a `.json` file as a JavaScript expression, and a `.config.js` as a module.  Most of both are nothing but a
literal, which is read here without node.  What goes beyond that raises `BeyondLiterals`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from supervisor.config.importers.reading import Table

_SPACE = re.compile(r"(?:[\s\ufeff]|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_IDENTIFIER = re.compile(r"[^\W\d][\w$]*|\$[\w$]*")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?")
_PLAIN = {"'": re.compile(r"[^'\\\r\n]*"), '"': re.compile(r'[^"\\\r\n]*'), "`": re.compile(r"[^`\\$\r]*")}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "\n": ""}
_HEXADECIMAL = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}")
_PAIR = re.compile(r"u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_WORDS = {"true": True, "false": False, "null": None}
_DIRECTIVES = re.compile(r"""(?:(['"])use strict\1\s*;?)?""")
_EXPORT = re.compile(r"(?:module\s*\.\s*exports|exports)\s*=|export\s+default\b")
DEEPEST = 100
"""Objects and arrays within each other; no configuration needs more."""


class BeyondLiterals(Exception):
    """The text is no mere literal; node may know what it means."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


def read_literal(text: str, *, module: bool) -> Any:
    """The value of the text.  `module`: the text is a module that does nothing but export a literal.

    Raises BeyondLiterals.
    """
    reader = _Reader(text)
    reader.skip()
    if module:
        reader.take(_DIRECTIVES)
        reader.skip()
        if not reader.take(_EXPORT):
            raise reader.beyond("module.exports = is expected")
    value = reader.value()
    reader.skip()
    if module and reader.peek() == ";":
        reader.at += 1
        reader.skip()
    if reader.at < len(text):
        raise reader.beyond("the end of the file is expected")
    return value


@dataclass
class _Reader:
    text: str
    at: int = 0
    depth: int = 0
    counted: tuple[int, int] = (0, 1)
    """A place, and its line: lines are counted from there on."""

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match[0]

    def skip(self) -> None:
        self.take(_SPACE)

    def line(self) -> int:
        at, line = self.counted
        self.counted = self.at, line + self.text.count("\n", at, self.at)
        return self.counted[1]

    def beyond(self, what: str) -> BeyondLiterals:
        return BeyondLiterals(self.line(), what)

    def value(self) -> Any:
        self.skip()
        first = self.peek()
        if first in ("{", "["):
            self.depth += 1
            if self.depth > DEEPEST:
                raise self.beyond("too many objects within each other")
            found = self.table() if first == "{" else self.array()
            self.depth -= 1
            return found
        if first and first in "'\"`":
            return self.string()
        if first and first in "+-.0123456789":
            return self.product()
        word = self.take(_IDENTIFIER)
        if word not in _WORDS:
            raise self.beyond(f"{word or first or 'the end of the file'} is not understood")
        return _WORDS[word]

    def table(self) -> Table:
        table = Table(self.line())
        self.at += 1
        while not self.closed("}"):
            line = self.line()
            key = self.key()
            self.skip()
            if self.peek() != ":":
                raise self.beyond("a colon is expected")
            self.at += 1
            table[key] = self.value()
            table.lines[key] = line
            self.separator("}")
        return table

    def key(self) -> str:
        first = self.peek()
        if first and first in "'\"":
            return self.string()
        word = self.take(_IDENTIFIER)
        if not word or word == "__proto__":
            raise self.beyond("the name of a key is expected")
        return word

    def array(self) -> list[Any]:
        found: list[Any] = []
        self.at += 1
        while not self.closed("]"):
            found.append(self.value())
            self.separator("]")
        return found

    def closed(self, bracket: str) -> bool:
        self.skip()
        if self.peek() != bracket:
            return False
        self.at += 1
        return True

    def separator(self, bracket: str) -> None:
        self.skip()
        if self.peek() == ",":
            self.at += 1
        elif self.peek() != bracket:
            raise self.beyond(f"a comma or {bracket} is expected")

    def string(self) -> str:
        quote = self.peek()
        self.at += 1
        parts = []
        while True:
            parts.append(self.take(_PLAIN[quote]))
            character = self.peek()
            self.at += 1
            if character == quote:
                return "".join(parts)
            if character == "\\":
                parts.append(self.escape())
            elif character == "$" and self.peek() != "{":
                parts.append(character)
            else:
                self.at -= 1
                raise self.beyond("a template is not understood" if character == "$" else "a string is not closed")

    def escape(self) -> str:
        if pair := _PAIR.match(self.text, self.at):
            self.at = pair.end()
            return chr(0x10000 + (int(pair[1], 16) - 0xD800) * 0x400 + int(pair[2], 16) - 0xDC00)
        if match := _HEXADECIMAL.match(self.text, self.at):
            number = int(match[1] or match[2] or match[3], 16)
            if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
                raise self.beyond("half a character is not understood")
            self.at = match.end()
            return chr(number)
        character = self.peek()
        self.at += 1
        if not character or character in "0123456789xu\r":
            self.at -= 1
            raise self.beyond("an escape is not understood")
        return _ESCAPES.get(character, character)

    def product(self) -> int | float:
        """A number, or several with * between them: 24 * 60 * 1000."""
        found = self.number()
        while True:
            self.skip()
            if self.peek() != "*" or self.text.startswith("**", self.at):
                return found
            self.at += 1
            self.skip()
            found *= self.number()

    def number(self) -> int | float:
        sign = -1 if self.peek() == "-" else 1
        if self.peek() in ("-", "+"):
            self.at += 1
        written = self.take(_NUMBER)
        if (
            not written
            or re.match(r"0[0-9_]|.*(?:__|_\.|\._|_[eE]|_\Z)", written)
            or _IDENTIFIER.match(self.text, self.at)
        ):
            raise self.beyond("a number is not understood")
        digits = written.replace("_", "")
        number = int(digits, 16) if digits[:2] in ("0x", "0X") else float(digits)
        if number >= 1e21:
            raise self.beyond("a number is not understood")
        return sign * (int(number) if number == int(number) and abs(number) < 2**53 else number)
