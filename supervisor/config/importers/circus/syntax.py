"""The syntax of circus.ini as circus 0.19.0 reads it, each value with its line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from supervisor.config.importers.imported import ImportRefused

_SECTION = re.compile(r"\[(?P<header>.+)\]")
_OPTION = re.compile(r"(?P<option>.*?)\s*(?:=|:)\s*(?P<value>.*)")
_NAME = r"[\w.\-]+"
_REFERENCE = re.compile(rf"\$\(circus\.({_NAME})\)|\(\(circus\.({_NAME})\)\)", re.IGNORECASE)
_VARIABLE = re.compile(r"\$([A-Z]+[A-Z0-9_]*)")
_TRUE, _FALSE = ("yes", "true", "on", "1"), ("no", "false", "off", "0")


@dataclass
class Option:
    """A value, and where its key stands. The lines of a continued value are joined by newlines."""

    value: str
    file: str
    line: int


@dataclass
class Section:
    """A section of all files together; the first value of a key counts. `later` are places of further ones."""

    name: str
    file: str
    line: int
    options: dict[str, Option] = field(default_factory=dict)
    later: list[tuple[str, int, str]] = field(default_factory=list)


def parse(text: str, file: str, sections: dict[str, Section]) -> None:
    """Add what the file has to `sections`. Raises ImportRefused for a line that circus refuses."""
    section: Section | None = None
    option: Option | None = None
    bogus = 0
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line[0] in "#;" or (line[0] in "rR" and line.split(None, 1)[0].lower() == "rem"):
            continue
        if line[0].isspace() and section is not None and option is not None:
            option.value += "\n" + line.strip()
        elif header := _SECTION.match(line):
            name = header["header"]
            section = sections.setdefault(name, Section(name, file, number))
            option = None
        elif section is None:
            raise ImportRefused(file, number, "there is no section header before this line")
        elif match := _OPTION.fullmatch(line):
            value, key = match["value"], match["option"].rstrip()
            comment = value.find(";")
            if comment > 0 and value[comment - 1].isspace():
                value = value[:comment]
            value = value.strip()
            option = Option("" if value == '""' else value, file, number)
            if key in section.options:
                section.later.append((file, number, key))
                option = section.options[key]
            else:
                section.options[key] = option
            if not key:  # a value without a name does not go on
                option = None
        else:
            bogus = bogus or number
    if bogus:
        raise ImportRefused(file, bogus, "it is no KEY = VALUE")


def truth(option: Option) -> bool:
    """A boolean. Raises ImportRefused."""
    word = option.value.lower().strip()
    if word not in _TRUE + _FALSE:
        raise ImportRefused(option.file, option.line, "it is not a boolean: yes, true, on, 1, no, false, off or 0")
    return word in _TRUE


def number(option: Option, kind: Callable[[str], float] = int) -> float:
    """A number. Raises ImportRefused."""
    try:
        return kind(option.value)
    except ValueError:
        raise ImportRefused(option.file, option.line, "it is not a number") from None


def referred(text: str, values: Mapping[str, str]) -> str:
    """The text with `$(circus.NAME)` and `((circus.NAME))` replaced, in any case of NAME; unknown ones stay."""

    def value(match: re.Match[str]) -> str:
        return values.get((match[1] or match[2]).lower(), match[0])

    return _REFERENCE.sub(value, text)


def names_in(text: str) -> list[str]:
    """The names in the references of the text, in lower case."""
    return [(match[1] or match[2]).lower() for match in _REFERENCE.finditer(text)]


def with_variables(text: str, value: Callable[[str], str]) -> str:
    """The value of a variable in [env]: `$NAME` in capitals is replaced by the `value` of the name."""
    return _VARIABLE.sub(lambda match: value(match[1]), text).strip()
