"""Collects everything that is wrong with one file, and raises it as one error in the order of lines."""

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


class Problems:
    """The problems of one file; `shown` is its name for the user."""

    def __init__(self, shown: str, text: str) -> None:
        self._shown, self._text = shown, text
        self._found: list[tuple[Key, str | Callable[[], str]]] = []
        self._missing: list[tuple[Key, str]] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, key: Key, message: str | Callable[[], str]) -> None:
        """Add a problem with `key`. A message that is costly to make is given as a function."""
        self._found.append((key, message))

    def within(self, table: str) -> bool:
        """Whether there is a problem in the table of this name."""
        return any(key[:1] == (table,) for key, _ in self._found)

    def of(self, service: str) -> Report:
        """A function that adds a problem of `service`."""

        def report(message: str, *key: str | int, missing: bool = False) -> None:
            (self._missing if missing else self._found).append((("services", service, *key), message))

        return report

    def missing(self, service: str) -> list[tuple[Key, str]]:
        """The keys of `service` with what this machine does not have."""
        return [(key, message) for key, message in self._missing if key[1] == service]

    def excuse(self, key: Key) -> None:
        """What is missing there is none of the file's problems."""
        self._missing = [found for found in self._missing if found[0] != key]

    def where(self, key: Key) -> str:
        """`services.toml:LINE: key.path`"""
        return f"{self._shown}:{self.line(key)}: {dotted(key)}"

    def line(self, key: Key) -> int:
        """The line of `key` itself, else where [defaults] gives it, else of its table."""
        if key[:1] == ("services",) and key not in self._lines and ("defaults", *key[2:]) in self._lines:
            return self._lines["defaults", *key[2:]]
        while key and key not in self._lines:
            key = key[:-1]
        return self._lines.get(key, 1)

    def raise_any(self, *, but_missing: bool = False) -> None:
        """Raise ConfigError with one line per problem, if there are any; `but_missing`: beside what is missing."""
        if not self._found and (but_missing or not self._missing):
            return
        problems = [*self._found, *self._missing]
        found = sorted(((self.line(key), key, message) for key, message in problems), key=lambda f: f[0])
        lines = [
            self.told(key, message if isinstance(message, str) else message()) for _, key, message in found[:SHOWN]
        ]
        if len(found) > SHOWN:
            lines.append(f"… and {len(found) - SHOWN} more")
        raise ConfigError("\n".join(dict.fromkeys(lines)))

    def told(self, key: Key, message: str) -> str:
        """One line for the user: the file, the line, the key and the message."""
        return visible(f"{self._shown}:{self.line(key)}: {dotted(key)}: {message}")

    @cached_property
    def _lines(self) -> dict[Key, int]:
        from supervisor.config.source.lines import line_numbers  # imported only for a file with errors

        return line_numbers(self._text)


def visible(text: str) -> str:
    """`text` in one line; control characters, which a terminal would obey, are shown as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
