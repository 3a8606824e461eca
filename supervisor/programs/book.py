"""Reads what is known of a program: `book/NAME.toml`.

The first line of each file is `names = [...]`: the names by which the program is called.  To find a name, only first
lines are read; the rest is read of one file alone.  docs/programs.md is made from the same files.

The table `seen` is measured by `scripts/programs` and says what one version did on one day.  The other tables, written
by hand, say what follows from it; all keys are optional:

application true where it runs the user's code, which may send READY=1 and WATCHDOG=1 itself.
once        Options, and words after the name, with which it does one thing and ends, for example `nginx -t`.  What the
            book says is not of such a command.  `--help` and `--version` are so for all.
foreground  `one_of`: options of which one keeps it in the foreground; `none_of`: options that send it to the
            background; `file`: the line of its own configuration that does the same as an option; `with`: this holds
            only where one of these options is given; `value`: true where an option of `none_of` has a value after it;
            `first`: true where options come before the rest; `instead`: the word to write in place of that of
            `none_of`.
needs       `option` that it needs beside that for the foreground, and `because`: why; `with`: as above; `file`: the
            line of its own configuration that does the same.
ready       `needs`: options of which one makes it send READY=1; `instead`: what to write where it sends none.
heartbeat   `above`: seconds of WATCHDOG_USEC that it must be given more than; `instead`: as above.
stop        `signal`: what ends it as an operator expects where TERM does not; `timeout`: seconds that a stop may take;
            `command`: the words to write in place of its name and of `with`; `because`: why; `with`: as above; `but`:
            not with one of these, which are exact; `file`: nor where its own configuration has this.
reload      `signal`; `means`: what it does to what runs under the program; `check`: a command that fails for a
            configuration that it cannot read.  One of the program itself gets the arguments of the service as well; in
            one of another program FILE stands for the value of the option `file`, and [FILE] may be left out.
ends        `code` of an exit, and what it `means`; `with`, `but`: as above; `policy`: the restart policy that it needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from supervisor.programs.recognition import program_words, without_version

BOOK = Path(__file__).parent / "book"

_ONCE = ("--help", "--version")
_OFF = ("no", "false", "off", "0")
_LETTER = re.compile(r"-[A-Za-z0-9?]")
_LETTERS = re.compile(r"-[A-Za-z0-9?]+")
_NAME = re.compile(r'"([^"]+)"')

Table = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One program; the tables are those of its file."""

    names: list[str]
    title: str
    seen: Table
    application: bool = False
    once: list[str] = field(default_factory=list)
    foreground: Table = field(default_factory=dict)
    needs: list[Table] = field(default_factory=list)
    ready: Table = field(default_factory=dict)
    heartbeat: Table = field(default_factory=dict)
    stop: Table = field(default_factory=dict)
    reload: Table = field(default_factory=dict)
    ends: list[Table] = field(default_factory=list)

    @property
    def notifies(self) -> bool:
        """It sent READY=1, itself or by a child."""
        return any("READY=1" in said for said in self.seen["start"])

    @property
    def beats(self) -> bool:
        """It sent WATCHDOG=1."""
        return any("WATCHDOG=1" in said for said in self.seen["start"])

    def meanings(self, code: int, arguments: Sequence[str]) -> Iterator[str]:
        """What an exit code of it may mean, by what was seen: sentences without a full stop."""
        for end in self.ends:
            if end["code"] == code and applies(end, arguments):
                yield end["means"]
        exit_ = f"exit {code}"
        if code and exit_ in _ends(self.seen.get("broken_start", "")):
            reload = ", also at a reload" if exit_ in _ends(self.seen.get("broken_reload", "")) else ""
            lacks = "cannot load or run its application" if self.application else "cannot read its configuration"
            yield f"{self.title} exits {code} where it {lacks}{reload}"
        signals = [name for name, said in self.seen["stop"].items() if exit_ in _ends(said)]
        if exit_ in _ends(self.seen["hangup"]):
            signals.append("HUP")
        if signals:
            listed = " or ".join(filter(None, (", ".join(signals[:-1]), signals[-1])))
            yield f"{self.title} exits {code} when it is sent {listed}"


def applies(table: Table, arguments: Sequence[str]) -> bool:
    """Whether a table holds for a program with these arguments.

    `but` is compared by whole words, because the 1 of `--workers 1` stands in 16, too."""
    given = {*arguments, *map(" ".join, pairwise(arguments))}
    return ("with" not in table or any_option(arguments, table["with"])) and given.isdisjoint(table.get("but", ()))


def any_option(arguments: Sequence[str], options: Sequence[str]) -> bool:
    return any(has_option(arguments, option) for option in options)


def has_option(arguments: Sequence[str], option: str) -> bool:
    """Whether an option is given: `-F`, `--workers` (also as `--workers=2`), or, as two words, `-g daemon off;`."""
    name, _, value = option.partition(" ")
    for index, argument in enumerate(arguments):
        if name.startswith("--") and argument.startswith(f"{name}="):
            given = argument.partition("=")[2]
            return value in given if value else given not in _OFF
        if argument == name and value in "".join(arguments[index + 1 : index + 2]):
            return True
    return False


def any_flag(arguments: Sequence[str], options: Sequence[str]) -> bool:
    """Whether one of the options is given, also among letters that share one dash, as `-D` in `sshd -De`.

    An option that has such a letter in its value counts, too: nothing is said where it is not sure."""
    letters = {option[1] for option in options if _LETTER.fullmatch(option)}
    return any_option(arguments, options) or any(
        not letters.isdisjoint(argument[1:]) for argument in arguments if _LETTERS.fullmatch(argument)
    )


def recognized(command: Sequence[str]) -> tuple[Program, tuple[str, ...]] | None:
    """The program that a command runs, with the arguments that it gets; None for one that the book does not have, or
    that does one thing and ends."""
    words = program_words(command)
    path = _files().get(words[0]) if words else None
    if path is None:
        return None
    program, arguments = read(path), words[1:]
    flags = [option for option in program.once if option.startswith("-")]
    ends = any_flag(arguments, [*flags, *_ONCE]) or (bool(arguments) and arguments[0] in program.once)
    return None if ends else (program, arguments)


def read(path: Path) -> Program:
    """All of one file."""
    from tomllib import loads

    return Program(**loads(path.read_text()))


@cache
def _files() -> dict[str, Path]:
    """The file of each name, as it is without a version (`apache` for apache2), by first lines alone."""
    files: dict[str, Path] = {}
    for path in BOOK.glob("*.toml"):
        with open(path) as file:
            files |= dict.fromkeys(map(without_version, _NAME.findall(file.readline())), path)
    return files


def _ends(seen: str) -> list[str]:
    """`exit 0` of `exit 0; STOPPING=1`."""
    return seen.split("; ")[:1]
