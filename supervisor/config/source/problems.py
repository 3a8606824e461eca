"""Everything that is wrong with one file, gathered, put in the order of its lines and raised as one error."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from supervisor.config.source.key_path import Key, dotted
from supervisor.errors import ConfigError

SHOWN = 1000
"""More problems than this are counted only: nobody reads them, and each costs a search for the nearest word."""

Report = Callable[..., None]
"""report(message, *key): what is wrong with a key of the service at hand."""


class Problems:
    """The problems of the file that the user calls `shown`."""

    def __init__(self, shown: str, text: str) -> None:
        self._shown, self._text = shown, text
        self._found: list[tuple[Key, str | Callable[[], str]]] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, key: Key, message: str | Callable[[], str]) -> None:
        """`message` says what is wrong with `key`; costly ones are given as a function."""
        self._found.append((key, message))

    def of(self, service: str) -> Report:
        """What adds a problem of `service`."""
        return lambda message, *key: self._found.append((("services", service, *key), message))

    def line(self, key: Key) -> int:
        """Where `key` stands: on its own line, else where [defaults] gives it, else where its table begins."""
        if key[:1] == ("services",) and key not in self._lines and ("defaults", *key[2:]) in self._lines:
            return self._lines["defaults", *key[2:]]
        while key and key not in self._lines:
            key = key[:-1]
        return self._lines.get(key, 1)

    def raise_any(self) -> None:
        """ConfigError with one line per problem, if there is any."""
        if not self._found:
            return
        found = sorted(((self.line(key), key, message) for key, message in self._found), key=lambda f: f[0])
        lines = [
            visible(f"{self._shown}:{line}: {dotted(key)}: {message if isinstance(message, str) else message()}")
            for line, key, message in found[:SHOWN]
        ]
        if len(found) > SHOWN:
            lines.append(f"… and {len(found) - SHOWN} more")
        raise ConfigError("\n".join(dict.fromkeys(lines)))

    @cached_property
    def _lines(self) -> dict[Key, int]:
        from supervisor.config.source.lines import line_numbers  # only a file with an error pays for it

        return line_numbers(self._text)


def visible(text: str) -> str:
    """`text` in one line and without what a terminal would obey: such characters are shown as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
