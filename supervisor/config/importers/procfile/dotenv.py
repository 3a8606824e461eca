"""Reads `.env` as foreman 0.87.2 and as honcho 2.0.0 do, and compares that with what `environment_file` makes of it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from supervisor.config.source.expand import parse_environment_file

_ASSIGNMENT = re.compile(r"([A-Za-z_0-9]+)=(.*)")
_QUOTED = re.compile(r"'(.*)'|\"(.*)\"")
_ESCAPED = re.compile(r"\\(.)")
_HONCHO_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_NEARLY = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=.*")
_BOM = "\ufeff"


@dataclass(frozen=True)
class Variable:
    """A value, and its line: the last one that assigns it."""

    value: str
    line: int


def lines_of(text: str) -> list[str]:
    """The lines as foreman sees them: CRLF ends a line, and a CR alone does not."""
    return text.replace("\r\n", "\n").split("\n")


def foreman(text: str) -> dict[str, Variable]:
    """What foreman assigns: `KEY=` at the beginning of a line, and all that follows, comments and spaces included.

    Double quotes round the whole value decode `\\n` and take the backslash from other characters; single quotes do
    nothing; references are not expanded. A name keeps the place of its first assignment, which counts where foreman
    replaces names in commands.
    """
    found: dict[str, Variable] = {}
    for number, line in enumerate(lines_of(text), 1):
        if match := _ASSIGNMENT.fullmatch(line):
            found[match[1]] = Variable(_unquoted(match[2]), number)
    return found


def _unquoted(value: str) -> str:
    quoted = _QUOTED.fullmatch(value)
    if not quoted:
        return value
    if quoted[1] is not None:
        return quoted[1]
    return _ESCAPED.sub(r"\1", quoted[2].replace("\\n", "\n"))


def honcho(text: str) -> dict[str, str]:
    """What honcho assigns. Raises ValueError where honcho ends with an error: quotes that are not closed.

    It takes each line to pieces as shlex does, and puts the pieces behind `=` together without the spaces between.
    """
    found = {}
    for line in text.splitlines():
        words = list(shlex.shlex(line, posix=True))
        if len(words) > 2 and words[1] == "=" and _HONCHO_NAME.match(words[0]):
            found[words[0]] = "".join(words[2:]).replace("\\n", "\n").replace("\\t", "\t")
    return found


def ignored(text: str) -> dict[int, str]:
    """The lines that foreman ignores, apart from empty ones and comments, with the name that such a line seems to
    assign, or ""."""
    found = {}
    for number, line in enumerate(lines_of(text), 1):
        if not _ASSIGNMENT.fullmatch(line) and line.strip() and not line.lstrip(f" \t{_BOM}").startswith("#"):
            nearly = _NEARLY.fullmatch(line.removeprefix(_BOM))
            found[number] = nearly[1] if nearly else ""
    return found


@dataclass(frozen=True)
class Comparison:
    """What `environment_file` would make of a file, compared with what foreman makes of it.

    `refused` are the lines for which `environment_file` refuses the whole file. `same` are the variables with equal
    values, `other` those that it would not set, or to another value, and `more` those that it alone would set.
    """

    refused: list[int] = field(default_factory=list)
    same: set[str] = field(default_factory=set)
    other: set[str] = field(default_factory=set)
    more: set[str] = field(default_factory=set)


def compared(text: str, variables: Mapping[str, Variable]) -> Comparison:
    """The text as `environment_file` reads it against `variables`, those that foreman finds in it."""
    ours, errors = parse_environment_file(text.removeprefix(_BOM))
    same = {name for name, variable in variables.items() if ours.get(name) == variable.value}
    return Comparison(
        refused=[line for line, _ in errors],
        same=same,
        other=variables.keys() - same,
        more=ours.keys() - variables.keys(),
    )
