"""Adds the tables of included files to those of services.toml, and remembers which file each table is in."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from supervisor.config.schema.tables import FILE
from supervisor.config.source.expand import expand
from supervisor.config.source.key_path import Key
from supervisor.config.source.problems import Problems
from supervisor.config.source.read import LARGEST, parse, read_text
from supervisor.config.units import quoted
from supervisor.core.text.nearest import did_you_mean
from supervisor.errors import ConfigError

TABLES = ("services", "templates", "groups")
"""What an included file may have beside `include`."""
DEEPEST = 8
MOST = 1000
"""Files that are included, and how deep: a pattern that finds more is a mistake."""

Identity = tuple[int, int]
NOTHING: Mapping[Path, Path] = {}


@dataclass
class _Source:
    """A file that names others.  `number`: by which `Problems` knows it.  `chain`: the files from services.toml to
    it, each with its name for the user."""

    path: Path
    shown: str
    number: int
    chain: dict[Identity, str]


def with_included(
    path: Path,
    shown: str,
    raw: dict[str, Any],
    problems: Problems,
    env: Mapping[str, str],
    on_file: Callable[[str], object] | None = None,
    instead: Mapping[Path, Path] = NOTHING,
) -> dict[str, Any]:
    """The tables of the file and of all that it includes.  What is wrong with an included file is a problem of the
    file that names it, or of its own line.  `on_file` is called with the name of each.  `instead`: what is read in
    place of files with these resolved paths.

    ConfigError for one that is not TOML."""
    reading = _Reading(dict(raw), problems, env, on_file, instead)
    reading.include(_Source(path, shown, 0, {_identity(path): shown}), reading.tables.pop("include"))
    return reading.tables


def explain_paths(problems: Problems, folder: Path) -> None:
    """Say of a relative path that is not there that it would be if it began in the folder of its own file.  `folder`:
    where relative paths begin."""

    def more(key: Key, message: str) -> str:
        beside = Path(problems.shown(problems.giver(key) or key)).parent
        for word in message.split():
            path = word.strip("\"'`,;:").removeprefix(f"{folder}/")
            if "/" in word and not path.startswith("/") and (beside / path).exists() and not (folder / path).exists():
                there = os.path.normpath(beside / path)
                return f"; relative paths begin in the folder of services.toml: {there} is there"
        return ""

    problems.explain_missing(more)


class _Reading:
    def __init__(
        self,
        tables: dict[str, Any],
        problems: Problems,
        env: Mapping[str, str],
        on_file: Callable[[str], object] | None,
        instead: Mapping[Path, Path],
    ) -> None:
        self.tables, self._problems, self._env, self._on_file = tables, problems, env, on_file
        self._instead = instead
        self._seen: set[Identity] = set()
        self._size = 0
        for kind in TABLES:
            if isinstance(tables.get(kind), dict):
                tables[kind] = dict(tables[kind])

    def include(self, source: _Source, patterns: object) -> None:
        """Read what the patterns of `source` find."""

        def wrong(message: str, *index: int) -> None:
            self._problems.add(("include", *index), message, source.number)

        if not isinstance(patterns, list):
            wrong(f'expected a list of patterns, for example ["conf.d/*.toml"], not {quoted(patterns)}')
            return
        self._seen |= source.chain.keys()
        for index, pattern in enumerate(patterns):
            try:
                found, by_wildcard = self._found(source, pattern)
            except ValueError as error:
                wrong(str(error), index)
                continue
            for one in found:
                try:
                    self._read(source, one, by_wildcard)
                except ValueError as error:
                    wrong(str(error), index)

    def _found(self, source: _Source, pattern: object) -> tuple[list[str], bool]:
        """The paths that a pattern means, as they are written from the folder of `source`, and whether it has a
        wildcard.  ValueError."""
        if not isinstance(pattern, str) or not pattern:
            raise ValueError(f"expected a path or a pattern, not {quoted(pattern)}")
        pattern = expand(pattern, self._env)
        if "\x00" in pattern:
            raise ValueError("holds a NUL character")
        if "**" in pattern:
            raise ValueError(f"{quoted(pattern)}: ** is not understood; write a pattern for each folder")
        if not glob.has_magic(pattern):
            return [pattern], False
        return _matches(source.path.parent, pattern), True

    def _read(self, source: _Source, written: str, by_wildcard: bool) -> None:
        """Take in one file.  ValueError where it cannot be read, ConfigError where it is not TOML or one too many."""
        path, shown = source.path.parent / written, os.path.join(os.path.dirname(source.shown), written)  # noqa: PTH118, PTH120
        try:
            status = path.stat()
        except FileNotFoundError:
            raise ValueError(f"{shown} does not exist") from None
        except OSError as error:
            raise ValueError(f"{shown} cannot be read: {error.strerror}") from None
        if stat.S_ISDIR(status.st_mode):
            raise ValueError(f"{shown} is a directory; write {written.rstrip('/')}/*.toml")
        identity = status.st_dev, status.st_ino
        if by_wildcard and identity == list(source.chain)[-1]:
            return
        if identity in source.chain:
            around = list(source.chain.values())[list(source.chain).index(identity) :]
            raise ValueError(f"include cycle: {' → '.join([*around, shown])}")
        if identity in self._seen:
            return
        if len(source.chain) > DEEPEST:
            raise ValueError(f"{shown} is included more than {DEEPEST} deep: {' → '.join(source.chain.values())}")
        self._seen.add(identity)
        if len(self._seen) > MOST:
            raise self._too_much(source, f"more than {MOST} files")
        try:
            text = read_text(self._instead.get(path.resolve(), path) if self._instead else path)
        except ConfigError as error:
            raise ValueError(error.message.replace(str(path), shown, 1)) from None
        self._size += len(text)
        if self._size > LARGEST:
            raise self._too_much(source, "the files are too large for a configuration: the limit of all is 4 MiB")
        number = self._problems.add_file(shown, text)
        if self._on_file is not None:
            self._on_file(shown)
        raw = parse(text, shown)
        self._take(raw, number)
        if "include" in raw:
            chain = source.chain | {identity: shown}
            self.include(_Source(path, shown, number, chain), raw["include"])

    def _too_much(self, source: _Source, message: str) -> ConfigError:
        return ConfigError(f"{self._problems.at(('include',), source.number)}: include: {message}")

    def _take(self, raw: Mapping[str, Any], number: int) -> None:
        """Add the tables of a file to those that there are."""
        for kind, tables in raw.items():
            if kind == "include":
                continue
            if kind not in TABLES:
                self._problems.add((kind,), _misplaced(kind), number)
            elif not isinstance(tables, dict):
                self._problems.add((kind,), f"expected a table, not {quoted(tables)}", number)
            elif isinstance(there := self.tables.setdefault(kind, {}), dict):
                for name, table in tables.items():
                    key = (kind, name)
                    if name in there:
                        self._problems.add(key, f"is defined in {self._problems.at(key)}, too", number)
                    else:
                        there[name] = table
                        self._problems.place(key, number)


def _misplaced(kind: str) -> str:
    if kind == "defaults":
        return 'stands in services.toml alone; what services of this file share: [templates.NAME], and extends = "NAME"'
    if kind in FILE["fields"]:
        return "stands in services.toml alone, not in a file that it includes"
    return f"unknown table{did_you_mean(kind, (*TABLES, 'include'))}"


def _matches(folder: Path, pattern: str) -> list[str]:
    """The paths that a pattern finds, sorted; as glob.glob does, which leaves out what it cannot read.  ValueError."""
    found = ["/" if pattern.startswith("/") else ""]
    parts = [part for part in pattern.split("/") if part]
    for depth, part in enumerate(parts, 1):
        found = [path for base in found for path in _step(folder, base, part, is_last=depth == len(parts))]
    return sorted(found)


def _step(folder: Path, base: str, part: str, *, is_last: bool) -> list[str]:
    """The paths below `base` that one part of a pattern means; directories, unless it is the last part."""
    try:
        if not glob.has_magic(part):
            (folder / base / part).lstat()
            return [base + part + ("" if is_last else "/")]
        with os.scandir(folder / base) as entries:
            names = [
                entry.name
                for entry in entries
                if fnmatchcase(entry.name, part) and (entry.name[0] != "." or part[0] == ".")
                if is_last or entry.is_dir()
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ValueError(f"{base}{'' if glob.has_magic(part) else part} cannot be read: {error.strerror}") from None
    return [base + name + ("" if is_last else "/") for name in names]


def _identity(path: Path) -> Identity:
    status = path.stat()
    return status.st_dev, status.st_ino
