"""The copies of a program (numprocs) in the words of services.toml, and whether one service can stand for all of them.

Copies can be replicas where they are equal, or differ in one number that counts up by one: `{replica}` stands for it.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from supervisor.config.importers.imported import Expanded
from supervisor.config.importers.supervisord.logs import STREAMS, LogFiles
from supervisor.config.importers.supervisord.programs import Copy, Marks

REPLICA, INSTANCE = "{replica}", "{instance}"
_NUMBER = re.compile(r"(\d+)")
_ZEROS = re.compile(r"0\d")
HIGHEST_FIRST = 1_000_000
"""The highest `first_replica`."""


@dataclass(frozen=True)
class Translated:
    """One copy, or several as replicas.  `literal` are the variables whose values stand in the texts."""

    name: str
    command: list[str]
    environment: dict[str, str]
    directory: str | None
    logs: LogFiles
    literal: tuple[str, ...] = ()
    first: int | None = None
    """`first_replica`, where `{replica}` stands in a text."""


class Translator:
    """Puts `${NAME}` for the marks, and makes paths absolute as seen from `cwd`, the directory of supervisord."""

    def __init__(self, marks: Marks, environment: Mapping[str, str], cwd: str) -> None:
        self._environment, self._cwd = environment, cwd
        self._reals = marks.reals(environment)
        self._names = {mark: name for name, mark in marks.names.items()}
        self._mark = re.compile(r"zqPHIz[a-j]{4}zq")

    def copy(self, copy: Copy, shared: Mapping[str, str], shared_marked: Mapping[str, str] | None) -> Translated:
        """One copy.  `shared` is the environment of [supervisord].  Raises ValueError for a command that cannot be
        split into words."""
        texts, marked = copy.texts, copy.marked
        words = shlex.split(texts.command)
        try:
            marked_words = shlex.split(marked.command) if marked else []
        except ValueError:
            marked_words = []
        if len(marked_words) != len(words):
            marked_words = words
        environment = dict(shared) | texts.environment.values
        marked_environment = dict(shared_marked or {}) | (marked.environment.values if marked else {})
        command = [self._text(real, mark) for real, mark in zip(words, marked_words, strict=True)]
        variables = {name: self._text(value, marked_environment.get(name)) for name, value in environment.items()}
        directory = texts.directory
        if directory is not None:
            directory = self._path(directory, marked.directory if marked else None)
        logs: dict[str, str | None] = {}
        real: dict[str, str | None] = {}
        for stream in STREAMS:
            path = texts.logs[stream]
            other = marked.logs[stream] if marked else None
            if path and path != "syslog":
                logs[stream] = self._path(self._home(path), other)
                real[stream] = os.path.join(self._cwd, self._home(path))  # noqa: PTH118
            else:
                logs[stream] = real[stream] = path
        return Translated(
            texts.name,
            command,
            variables,
            directory,
            LogFiles(logs["stdout"], logs["stderr"], real),
            self._literal(copy, [*command, *variables.values(), directory, *logs.values()]),
        )

    def _literal(self, copy: Copy, written: Sequence[str | None]) -> tuple[str, ...]:
        """Variables that were used, and of which no reference is left."""
        everything = "\n".join(text for text in written if isinstance(text, Expanded))
        return tuple(name for name in copy.literal if f"${{{name}}}" not in everything)

    def _home(self, path: str) -> str:
        """The path with `~` expanded, as supervisord does for logs alone."""
        if not path.startswith("~"):
            return path
        home = self._environment.get("HOME")
        first, slash, rest = path.partition("/")
        return f"{home}{slash}{rest}" if first == "~" and home else str(Path(path).expanduser())

    def _path(self, real: str, marked: str | None) -> str:
        if real.startswith("/"):
            return self._text(real, marked)
        return os.path.normpath(os.path.join(self._cwd, real))  # noqa: PTH118

    def _text(self, real: str, marked: str | None) -> str:
        """The text with references, if these stand for just what the text has now."""
        if marked is None or not (found := self._mark.findall(marked)):
            return real
        if any(mark not in self._reals for mark in found) or self._put_reals(marked) != real:
            return real
        return Expanded(self._mark.sub(lambda m: f"${{{self._names[m[0]]}}}", marked.replace("$", "$$")))

    def _put_reals(self, text: str) -> str:
        return self._mark.sub(lambda m: self._reals[m[0]], text)


def as_replicas(copies: Sequence[Translated]) -> Translated | str:
    """One service for all copies, in the order of their numbers; or a text that says in what they differ."""
    first = copies[0]
    if any(copy.directory != first.directory for copy in copies):
        return "their directories"
    if any(len(copy.command) != len(first.command) for copy in copies):
        return "the number of their arguments"
    if any(copy.environment.keys() != first.environment.keys() for copy in copies):
        return "the names of their variables"
    numbers: set[int] = set()
    command: list[str] = []
    for words in zip(*(copy.command for copy in copies), strict=True):
        made = _counted(words, numbers)
        if made is None:
            return "a number in their commands that {replica} cannot stand for"
        command.append(made)
    environment: dict[str, str] = {}
    for name in first.environment:
        made = _counted([copy.environment[name] for copy in copies], numbers)
        if made is None:
            return f"a number in {name} that {{replica}} cannot stand for"
        environment[name] = made
    if len(numbers) > 1:
        return f"{len(numbers)} different numbers"
    if numbers and not 0 <= min(numbers) <= HIGHEST_FIRST:
        return "a number that is too high for first_replica"
    logs = {}
    for stream in STREAMS:
        try:
            logs[stream] = _named([getattr(copy.logs, stream) for copy in copies])
        except ValueError:
            return f"their {stream}_logfile"
    literal = tuple(dict.fromkeys(name for copy in copies for name in copy.literal))
    files = LogFiles(logs["stdout"], logs["stderr"], first.logs.real)
    number = min(numbers) if numbers else None
    return Translated(first.name, command, environment, first.directory, files, literal, number)


def _counted(texts: Sequence[str], numbers: set[int]) -> str | None:
    """One text for all copies, with `{replica}` for the number that counts; None where there is none.

    The first number of each is added to `numbers`."""
    if len(set(texts)) == 1:
        return texts[0]
    parts = [_NUMBER.split(text) for text in texts]
    if len({len(part) for part in parts}) > 1:
        return None
    made = []
    for column in zip(*parts, strict=True):
        if len(set(column)) == 1:
            made.append(column[0])
            continue
        if not all(_NUMBER.fullmatch(text) and text.isascii() and not _ZEROS.match(text) for text in column):
            return None
        start = int(column[0])
        if any(int(text) != start + index for index, text in enumerate(column)):
            return None
        numbers.add(start)
        made.append(REPLICA)
    text = "".join(made)
    return Expanded(text) if isinstance(texts[0], Expanded) else text


def _named(paths: Sequence[str | None]) -> str | None:
    """One path for all copies, with `{instance}` for the number in which the names of the files differ.

    Raises ValueError where there is none."""
    first = paths[0]
    if len(set(paths)) == 1:
        return first
    given = [path for path in paths if path]
    if len(given) < len(paths) or len({os.path.dirname(path) for path in given}) > 1:  # noqa: PTH120
        raise ValueError("their directories differ")
    parts = [_NUMBER.split(path) for path in given]
    if len({len(part) for part in parts}) > 1:
        raise ValueError("they differ in more than numbers")
    made = []
    for column in zip(*parts, strict=True):
        if len(set(column)) == 1:
            made.append(column[0])
        elif all(_NUMBER.fullmatch(text) for text in column):
            made.append(INSTANCE)
        else:
            raise ValueError("they differ in more than numbers")
    text = "".join(made)
    return Expanded(text) if isinstance(first, Expanded) else text
