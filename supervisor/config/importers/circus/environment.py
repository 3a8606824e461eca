"""The variables of circus's watchers: [env], [env:PATTERN], and references to them and to those of circusd."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatch

from supervisor.config.importers.circus.syntax import Section, referred, with_variables
from supervisor.config.importers.imported import Expanded, Imported, Kind

_FIRST_MARK = 0xE000
_GLOB = re.compile(r"[*?[]")
_MARKS = "\ue000-\uf8ff"
_PLAIN = re.compile(r"[^\s'\"\\]+")


class Environments:
    """Values as texts in which a mark, one character, stands for each variable of circusd's own environment, so that
    they can be split into words and then be written as `${NAME}`."""

    def __init__(self, sections: Mapping[str, Section], environment: Mapping[str, str], result: Imported) -> None:
        self._sections, self._environment, self._result = sections, environment, result
        self._names: list[str] = []
        own = {f"env.{name.lower()}": self._mark(name) for name in environment}
        self._shared: dict[str, str] = {}
        if "env" in sections:
            self._shared = {key: referred(option.value, own) for key, option in sections["env"].options.items()}
        self._by_name: dict[str, list[int]] = {}
        self._by_pattern: list[tuple[int, str]] = []
        self._own: list[dict[str, str]] = []
        """The variables of each [env:…]; the others hold which of them go to a watcher."""
        for section in sections.values():
            if section.name.startswith("env:"):
                self._add(section)

    def _add(self, section: Section) -> None:
        for pattern in map(str.strip, section.name.removeprefix("env:").split(",")):
            if _GLOB.search(pattern):
                self._by_pattern.append((len(self._own), pattern))
            else:
                self._by_name.setdefault(pattern, []).append(len(self._own))
        self._own.append({key: option.value for key, option in section.options.items()})

    def raw(self, watcher: str) -> dict[str, str]:
        """The variables of the sections for the watcher, as they stand."""
        values = dict(self._shared)
        matching = (number for number, pattern in self._by_pattern if fnmatch(watcher, pattern))
        for number in sorted({*self._by_name.get(watcher, ()), *matching}):
            values |= self._own[number]
        return values

    def of(self, watcher: str, service: str) -> dict[str, str]:
        """What the processes of the watcher get of them: `$NAME` is a variable of circusd, or nothing."""

        def value(name: str) -> str:
            if name in self._environment:
                return self._mark(name)
            told = f"${name} in [env] is empty, as circusd's environment would not have it where the import ran."
            self._result.lose(Kind.IGNORED, *self._place(watcher), name, told, service)
            return ""

        return {key.strip(): self.final(with_variables(text, value)) for key, text in self.raw(watcher).items()}

    def _place(self, watcher: str) -> tuple[str, int]:
        section = self._sections[f"watcher:{watcher}"]
        return section.file, section.line

    def known(self, watcher: str) -> dict[str, str]:
        """What `$(circus.env.NAME)` is for a watcher, by its name in lower case behind `env.`."""
        values = {name: self._mark(name) for name in self._environment} | self.raw(watcher)
        return {f"env.{name.lower()}": value for name, value in values.items()}

    def _mark(self, name: str) -> str:
        if name not in self._names:
            self._names.append(name)
        return chr(_FIRST_MARK + self._names.index(name))

    def real(self, text: str) -> str:
        """The text with the values of the variables."""
        return re.sub(f"[{_MARKS}]", lambda match: self._environment[self._name(match[0])], text)

    def for_words(self, text: str) -> tuple[str, list[str]]:
        """The text, to be split into words: with the value of a variable, not its mark, where a value has spaces,
        quotes or backslashes; and the names of those."""
        names = dict.fromkeys(self._name(mark) for mark in re.findall(f"[{_MARKS}]", text))
        written = [name for name in names if not _PLAIN.fullmatch(self._environment[name])]
        for name in written:
            text = text.replace(self._mark(name), self._environment[name])
        return text, written

    def final(self, text: str) -> str:
        """The text for services.toml: with `${NAME}` for each mark, and every other `$` kept."""
        if not re.search(f"[{_MARKS}]", text):
            return text
        kept = re.sub(rf"\$(?=[${{{_MARKS}])", "$$", text)
        return Expanded(re.sub(f"[{_MARKS}]", lambda match: f"${{{self._name(match[0])}}}", kept))

    def _name(self, mark: str) -> str:
        return self._names[ord(mark) - _FIRST_MARK]
