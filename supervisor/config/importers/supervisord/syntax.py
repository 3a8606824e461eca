"""The syntax of supervisord.conf: sections, includes, `%(…)s` and the kinds of values, as supervisord 4.3.0 reads them.

supervisord reads with configparser and shlex of Python's standard library, and so does this module; each key keeps the
file and the line at which it stands.  Errors never contain the value of a key, which may be a secret.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from configparser import NoOptionError, ParsingError, RawConfigParser
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from supervisor.config.importers.imported import ImportRefused

HERE = "%(here)s"
YES, NO = ("yes", "true", "on", "1"), ("no", "false", "off", "0")
_MAIN = re.compile(r"^[ \t]*\[supervisord\]", re.MULTILINE)
_BYTES = {"kb": 1024, "mb": 1024**2, "gb": 1024**3}


class Where(NamedTuple):
    """A place in a file; line 0 is the whole file."""

    file: str
    line: int


class Skipped(NamedTuple):
    """Something that supervisord skips without an error: its place, the key, and one sentence."""

    where: Where
    key: str
    text: str


class Names(dict[str, str]):
    """What `%(…)s` can name.  `asked` collects the names that were used.

    `%s` without a name would stand for all of them at once, with every variable of the environment."""

    def __init__(self, *tables: Mapping[str, str]) -> None:
        super().__init__()
        self.asked: list[str] = []
        for table in tables:
            self.update(table)

    def __getitem__(self, name: str) -> str:
        self.asked.append(name)
        return super().__getitem__(name)

    def __str__(self) -> str:
        raise ValueError("%s without a name stands for all variables of supervisord; write %%s for the two characters")

    __repr__ = __str__


class _Section(dict[str, Any]):
    """The keys of a section, or the sections of the files.  Remembers where each key was read."""

    def __init__(self, reader: _Reader) -> None:
        super().__init__()
        self._reader = reader
        self.lines: dict[str, Where] = {}

    def __setitem__(self, key: str, value: Any) -> None:
        if isinstance(value, _Section):
            self._reader.sections_at.setdefault(key, self._reader.at)
            self._reader.keys_of[key] = value
        elif isinstance(value, list):  # a key of the file; later it is set again, with its lines joined
            self.lines[key] = self._reader.at
        super().__setitem__(key, value)


class _Reader(RawConfigParser):
    """configparser with the settings of supervisord."""

    def __init__(self) -> None:
        self.at = Where("", 0)
        self.sections_at: dict[str, Where] = {}
        self.keys_of: dict[str, _Section] = {}
        table: Any = partial(_Section, self)
        super().__init__(
            dict_type=table,
            inline_comment_prefixes=(";", "#"),
            strict=False,
        )

    def read_lines(self, lines: Iterable[str], file: str) -> None:
        self.read_file(self._counted(lines, file), file)

    def _counted(self, lines: Iterable[str], file: str) -> Iterator[str]:
        for number, line in enumerate(lines, 1):
            self.at = Where(file, number)
            yield line

    def expand_here(self, here: str) -> None:
        """Replace `%(here)s` in all that was read so far, as text."""
        for section in self.sections():
            for key, value in self.items(section):
                if HERE in value:
                    self.set(section, key, value.replace(HERE, here))


class Source(NamedTuple):
    """The files that one supervisord reads: a main file and those that it includes.

    `main` is None where only files were given that a main file would include: they have no [supervisord]."""

    main: Path | None
    others: tuple[Path, ...] = ()

    @property
    def first(self) -> Path:
        return self.main or self.others[0]


def sources(paths: Sequence[Path]) -> list[Source]:
    """The sources that files make up: each main file is one, and those without [supervisord] go with the first.

    Raises OSError where one cannot be read."""
    mains = [path for path in paths if _MAIN.search(path.read_text(errors="replace"))]
    others = tuple(path for path in paths if path not in mains)
    if not mains:
        return [Source(None, others)]
    return [Source(path, () if index else others) for index, path in enumerate(mains)]


class Ini:
    """All sections of a supervisord.conf and of the files that it includes.

    `here` is the folder of the main file.  `files` are those that were read, `skipped` what was not."""

    def __init__(self, source: Source, environment: Mapping[str, str], host: str, cwd: Path) -> None:
        """Read the files.  Raises ImportRefused where supervisord refuses them, and OSError where one cannot be
        read."""
        path = source.first
        self.file = str(path)
        self.here = os.path.dirname(os.path.abspath(os.path.join(cwd, path)))  # noqa: PTH100, PTH118, PTH120
        self.skipped: list[Skipped] = []
        self.files: list[str] = []
        self._reader = _Reader()
        if source.main is not None:
            with path.open(encoding="utf-8") as file:
                self._read(file, self.file)
            variables = {f"ENV_{name}": value for name, value in environment.items()}
            if self._reader.has_section("include"):
                self._include(Names({"here": self.here, "host_node_name": host}, variables))
        else:
            self._reader.add_section("supervisord")
        there = {os.path.realpath(file) for file in self.files}
        for other in source.others:
            if os.path.realpath(other) not in there:
                with other.open(encoding="utf-8") as file:
                    self._read(file, str(other))
                self._reader.expand_here(os.path.dirname(os.path.abspath(os.path.join(cwd, other))))  # noqa: PTH100, PTH118, PTH120

    def _read(self, lines: Iterable[str], file: str) -> None:
        self.files.append(file)
        try:
            self._reader.read_lines(lines, file)
        except ParsingError as error:
            line = next((number for number, _ in getattr(error, "errors", ())), self._reader.at.line)
            what = "File contains no section headers" if hasattr(error, "line") else "this is neither key=value"
            text = (
                "the line stands before any [section]"
                if what.startswith("File")
                else f"{what} nor a comment, a [section] or an indented line that goes on"
            )
            raise ImportRefused(file, line, text) from None
        except UnicodeDecodeError:
            raise ImportRefused(file, 0, "the file is not UTF-8") from None

    def _include(self, names: Names) -> None:
        self._reader.expand_here(self.here)
        where = self._reader.sections_at["include"]
        if not self.has("include", "files"):
            raise ImportRefused(*where, "[include] has no files")
        where = self.where("include", "files")
        try:
            patterns = expand(self.raw("include", "files"), names).split()
        except ValueError as error:
            raise ImportRefused(*where, f"files: {error}") from None
        for pattern in patterns:
            found = sorted(glob.glob(os.path.join(self.here, pattern)))  # noqa: PTH118, PTH207 - patterns are absolute
            if not found:
                self.skipped.append(Skipped(where, "files", f"{pattern} matches no file."))
            for file in found:
                self._read_included(file, where)

    def _read_included(self, file: str, where: Where) -> None:
        try:
            with open(file, encoding="utf-8") as lines:
                before = dict(self._reader.keys_of["include"])
                self._read(lines, file)
        except OSError as error:
            self.skipped.append(Skipped(where, "files", f"{file} cannot be read: {error.strerror}."))
            return
        if self._reader.keys_of["include"] != before:
            at = self._reader.keys_of["include"].lines["files"]
            self.skipped.append(Skipped(at, "include", "[include] in an included file is not followed."))
        self._reader.expand_here(os.path.dirname(os.path.abspath(file)))  # noqa: PTH100, PTH120

    @property
    def sections(self) -> list[str]:
        return self._reader.sections()

    def has(self, section: str, key: str) -> bool:
        return self._reader.has_option(section, key)

    def keys(self, section: str) -> list[str]:
        """The keys of a section, without those of [DEFAULT] that it does not set itself."""
        return [key for key in self._reader.options(section) if key in self._reader.keys_of[section].lines]

    def is_default(self, key: str) -> bool:
        """The key stands in [DEFAULT]."""
        return key in self._reader.defaults()

    @property
    def default_keys(self) -> list[str]:
        return list(self._reader.defaults())

    def raw(self, section: str, key: str) -> str:
        """The text of a key, not expanded.  Raises NoOptionError."""
        return self._reader.get(section, key)

    def where(self, section: str, key: str = "") -> Where:
        """Where a key of the section stands; without it, the section."""
        if not section:
            defaults = self._reader.defaults()
            return defaults.lines.get(key, Where(self.file, 0)) if isinstance(defaults, _Section) else Where("", 0)
        found = self._reader.keys_of[section].lines.get(key)
        if found is None and key and self.is_default(key):
            return self.where("", key)
        return found or self._reader.sections_at.get(section, Where(self.file, 0))


def expand(text: str, names: Names) -> str:
    """The text with each `%(name)s` replaced; `%%` is a percent sign.  Raises ValueError."""
    try:
        return text % names
    except KeyError as error:
        raise ValueError(f"%({error.args[0]})s has no value") from None
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        if str(error).startswith("%s without"):
            raise ValueError(str(error)) from None
        raise ValueError(f"a % is not followed by (name)s; write %% for a percent sign ({error})") from None


def boolean(text: str) -> bool:
    word = text.lower()
    if word not in YES + NO:
        raise ValueError(f"is not one of {', '.join(YES + NO)}")
    return word in YES


def integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("is not a whole number") from None


def size(text: str) -> int:
    """Bytes: a number, with KB, MB or GB of 1024."""
    word = text.lower()
    factor = _BYTES.get(word[-2:])
    return integer(word) if factor is None else integer(word[:-2]) * factor


def octal(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError:
        raise ValueError("is not an octal number") from None


def exit_codes(text: str) -> list[int]:
    codes = [integer(word) for word in text.split(",")] if text else []
    if not all(0 <= code <= 255 for code in codes):
        raise ValueError("is not a list of exit codes from 0 to 255")
    return codes


def restart_policy(text: str) -> str:
    """always, on-failure or never."""
    word = text.lower()
    if word in YES:
        return "always"
    if word in NO:
        return "never"
    if word != "unexpected":
        raise ValueError("is not unexpected, true or false")
    return "on-failure"


def signal_number(text: str) -> int:
    known = {name: int(getattr(signal, name)) for name in dir(signal) if name.startswith("SIG")}
    try:
        number = int(text)
    except ValueError:
        word = text.strip().upper()
        found = known.get(word if word.startswith("SIG") else f"SIG{word}")
        if found is None:
            raise ValueError("is not the name of a signal") from None
        number = found
    if number not in known.values():
        raise ValueError("is not a signal")
    return number


def name(text: str) -> str:
    """The name of a program, a process or a group."""
    text = text.strip()
    for character in " :/":
        if character in text:
            raise ValueError(f"is not a name, because of the character {character!r}")
    return text


def names_of(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")] if text else []


class Pairs(NamedTuple):
    """Variables, and the names of those after whose value something was read that is no comma."""

    values: dict[str, str]
    cut: list[str]


def pairs(text: str) -> Pairs:
    """`KEY=value,KEY2="value 2"` as supervisord cuts it up.  Raises ValueError, without the text."""
    lexer = shlex.shlex(text)
    lexer.wordchars += "/.+-():"
    try:
        tokens = list(lexer)
    except ValueError:
        raise ValueError("a quote is not closed") from None
    values: dict[str, str] = {}
    cut: list[str] = []
    for start in range(0, len(tokens), 4):
        key, *rest = tokens[start : start + 4]
        if len(rest) < 2 or rest[0] != "=":
            after = f" after {list(values)[-1]}" if values else ""
            raise ValueError(
                f"is not KEY=value,KEY=value{after}: a value with other characters than letters, digits and _/.+-(): "
                "needs quotes, and a comma stands between two"
            )
        values[key] = rest[1].strip("'\"")
        if len(rest) > 2 and rest[2] != ",":
            cut.append(key)
    if "#" in _unquoted(text):
        cut.append("")
    return Pairs(values, cut)


def _unquoted(text: str) -> str:
    """The text without what stands in quotes, as shlex sees them."""
    kept, quote = [], ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            kept.append(character)
    return "".join(kept)


__all__ = ["Ini", "Names", "NoOptionError", "Pairs", "Skipped", "Where"]
