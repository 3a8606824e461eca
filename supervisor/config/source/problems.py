"""Collects all that is wrong with a configuration, and raises it as one error in the order of files and lines."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from supervisor.config.source.key_path import Key, dotted
from supervisor.errors import ConfigError

SHOWN = 1000
"""Problems that are listed; further ones are only counted, because each costs a search for the nearest word."""

Report = Callable[..., None]
"""report(message, *key): reports a problem with a key of the service being checked; `missing=True`: that only something
of this machine is not there."""


class _File:
    """A file of the configuration: its name for the user, and its text."""

    def __init__(self, shown: str, text: str) -> None:
        self.shown, self._text = shown, text

    @cached_property
    def lines(self) -> dict[Key, int]:
        from supervisor.config.source.lines import line_numbers  # imported only for a file with errors

        return line_numbers(self._text)


class Problems:
    """The problems of a configuration.  Its first file has all tables that `place` puts in no other one; `shown` is
    that file's name for the user."""

    def __init__(self, shown: str, text: str) -> None:
        self._files = [_File(shown, text)]
        self._places: dict[Key, int] = {}
        """The file of each table (or of all tables of a kind) that is not in the first one."""
        self._parents: dict[Key, tuple[Key, ...]] = {}
        self._found: list[tuple[int | None, Key, str | Callable[[], str]]] = []
        self._missing: list[tuple[Key, str]] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add_file(self, shown: str, text: str) -> int:
        """Another file; returns the number by which `place` and `add` know it."""
        self._files.append(_File(shown, text))
        return len(self._files) - 1

    def place(self, table: Key, file: int) -> None:
        """The table is in this file: ("services", "web"), or all of a kind, ("services",)."""
        self._places[table] = file

    def inherit(self, table: Key, parents: tuple[Key, ...]) -> None:
        """What the table of a service does not have itself comes from these tables, the nearest first."""
        self._parents[table] = parents

    def parents(self, table: Key) -> tuple[Key, ...]:
        """The tables from which this one takes what it does not have itself; the nearest first."""
        return self._parents.get(table, ())

    def add(self, key: Key, message: str | Callable[[], str], file: int | None = None) -> None:
        """Add a problem with `key`. A message that is costly to make is given as a function.  `file`: the one that has
        the key, where its table is in several."""
        self._found.append((file, key, message))

    def within(self, table: str) -> bool:
        """Whether there is a problem in the table of this name."""
        return any(key[:1] == (table,) for _, key, _ in self._found)

    def of(self, service: str) -> Report:
        """A function that adds a problem of `service`."""

        def report(message: str, *key: str | int, missing: bool = False) -> None:
            if missing:
                self._missing.append((("services", service, *key), message))
            else:
                self.add(("services", service, *key), message)

        return report

    def missing(self, service: str) -> list[tuple[Key, str]]:
        """The keys of `service` with what this machine does not have."""
        return [(key, message) for key, message in self._missing if key[1] == service]

    def explain_missing(self, more: Callable[[Key, str], str]) -> None:
        """Add to each message about what this machine does not have what `more` knows of it."""
        self._missing = [(key, message + more(key, message)) for key, message in self._missing]

    def excuse(self, key: Key) -> None:
        """What is missing there is none of the file's problems."""
        self._missing = [found for found in self._missing if found[0] != key]

    def where(self, key: Key) -> str:
        """`services.toml:LINE: key.path`"""
        return f"{self.at(key)}: {dotted(key)}"

    def at(self, key: Key, file: int | None = None) -> str:
        """`services.toml:LINE`"""
        number, line = self._position(key, file)
        return f"{self._files[number].shown}:{line}"

    def giver(self, key: Key) -> Key | None:
        """The table that gives a key of a service: its own, a parent's, or [defaults]; None: no table does."""
        for table in (key[:2], *self.parents(key[:2]), ("defaults",)):
            if (*table, *key[2:]) in self._files[self._file(table)].lines:
                return table
        return None

    def place_of(self, key: Key) -> tuple[str, int]:
        """The name for the user of the file that has `key`, and the line in it."""
        number, line = self._position(key)
        return self._files[number].shown, line

    def shown(self, key: Key) -> str:
        """The name for the user of the file that has the table."""
        return self._files[self._file(key)].shown

    def _file(self, key: Key) -> int:
        return self._places.get(key[:2], self._places.get(key[:1], 0))

    def _position(self, key: Key, file: int | None = None) -> tuple[int, int]:
        """The file and the line of `key` itself, else where a parent or [defaults] gives it, else of its table."""
        if file is None and key[:1] in (("services",), ("templates",)) and key[2:] and (table := self.giver(key)):
            key = (*table, *key[2:])
        number = self._file(key) if file is None else file
        lines = self._files[number].lines
        while key and key not in lines:
            key = key[:-1]
        return number, lines.get(key, 1)

    def raise_any(self, *, but_missing: bool = False) -> None:
        """Raise ConfigError with one line per problem, if there are any; `but_missing`: beside what is missing."""
        if not self._found and (but_missing or not self._missing):
            return
        problems = [*self._found, *((None, key, message) for key, message in self._missing)]
        found = sorted(((self._position(key, file), file, key, message) for file, key, message in problems), key=_first)
        lines = [
            self.told(key, message if isinstance(message, str) else message(), file)
            for _, file, key, message in found[:SHOWN]
        ]
        if len(found) > SHOWN:
            lines.append(f"… and {len(found) - SHOWN} more")
        raise ConfigError("\n".join(dict.fromkeys(lines)))

    def told(self, key: Key, message: str, file: int | None = None) -> str:
        """One line for the user: the file, the line, the key and the message."""
        return visible(f"{self.at(key, file)}: {dotted(key)}: {message}")


def _first(found: tuple[tuple[int, int], *tuple[object, ...]]) -> tuple[int, int]:
    return found[0]


def visible(text: str) -> str:
    """`text` in one line; control characters, which a terminal would obey, are shown as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
