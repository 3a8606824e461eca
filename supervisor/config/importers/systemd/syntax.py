"""The syntax of systemd's unit files and environment files, as systemd 252 reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

SPACE = " \t\n\r"
_COMMENT = "#;"
_ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34, "'": 39, "s": 32}
_NUMBERED = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([0-3][0-7]{2})")
_REFERENCE = re.compile(r"\$\$|\$\{([^}:]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PREFIXES = "@-:+!"
_SPAN = re.compile(r"\s*([0-9]*\.?[0-9]+|[0-9]+\.)\s*([A-Za-zµ]*)")
_SECONDS = {
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604_800.0),
    **dict.fromkeys(("M", "month", "months"), 2_629_800.0),
    **dict.fromkeys(("y", "year", "years"), 31_557_600.0),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("us", "usec", "µs"), 1e-6),
}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([BKMGTPE]?)")
_YES, _NO = frozenset(("1", "yes", "y", "true", "t", "on")), frozenset(("0", "no", "n", "false", "f", "off"))


@dataclass(frozen=True)
class Setting:
    """One `Key=value` of a unit file. `line` is that on which it begins, from 1."""

    section: str
    key: str
    value: str
    file: str
    line: int


@dataclass(frozen=True)
class Complaint:
    """A line that systemd ignores with a warning, or (`fatal`) for which it refuses the file.

    Nothing but the key is taken from the line, as the rest may be secret."""

    line: int
    key: str
    text: str
    fatal: bool = False


def settings(text: str, file: str) -> tuple[list[Setting], list[Complaint]]:
    """The settings of a unit file in their order, and the lines that systemd does not take."""
    found: list[Setting] = []
    complaints: list[Complaint] = []
    section = ""
    for number, line in _logical_lines(text):
        if line.startswith("["):
            if not line.endswith("]"):
                complaints.append(Complaint(number, "", "The header of a section does not end with ].", fatal=True))
                return found, complaints
            section = line[1:-1]
            continue
        key, equals, value = line.partition("=")
        key = key.rstrip(SPACE)
        if not section:
            complaints.append(Complaint(number, key if equals else "", "It stands before any section."))
        elif not equals:
            complaints.append(Complaint(number, "", "The line has no `=`."))
        else:
            found.append(Setting(section, key, value.strip(SPACE), file, number))
    return found, complaints


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number of the first line, text) of each line that counts, after continued ones are joined."""
    begun, joined = 0, ""
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = raw.rstrip("\r")
        if line.lstrip(SPACE).startswith(tuple(_COMMENT)):
            continue
        joined, begun = joined + line, begun or number
        if (len(joined) - len(joined.rstrip("\\"))) % 2:
            joined = joined[:-1] + " "
            continue
        if stripped := joined.strip(SPACE):
            yield begun, stripped
        begun, joined = 0, ""
    if stripped := joined.strip(SPACE):
        yield begun, stripped


class Unbalanced(ValueError):
    """A quote is not closed, or an escape is unknown where that is refused."""


def first_word(text: str, start: int, *, strict: bool = False, plain: bool = False) -> tuple[str | None, int]:
    """The word that begins at `start` or after spaces there, without its quotes and escapes, and where the next one
    begins. None: no more words.

    `strict`: an unknown escape raises Unbalanced, else it stays, with the character after the backslash. `plain`: as
    systemd splits the value of a variable: a backslash only goes away, and a quote may stay open.
    """
    end = len(text)
    while start < end and text[start] in SPACE:
        start += 1
    if start == end:
        return None, end
    word, quote, at = bytearray(), "", start
    while at < end:
        char = text[at]
        if char == quote:
            quote = ""
        elif not quote and char in "\"'":
            quote = char
        elif not quote and char in SPACE:
            break
        elif char == "\\" and plain:
            at += 1
            word += text[at : at + 1].encode(errors="surrogateescape")
        elif char == "\\":
            value, length = _unescaped(text, at + 1)
            if not length and strict:
                raise Unbalanced("has an unknown escape")
            word += value if length else text[at : at + 2].encode(errors="surrogateescape")
            at += length or 1
        else:
            word += char.encode(errors="surrogateescape")
        at += 1
    if quote and not plain:
        raise Unbalanced("has a quote that is not closed")
    while at < end and text[at] in SPACE:
        at += 1
    return word.decode(errors="surrogateescape"), at


def _unescaped(text: str, at: int) -> tuple[bytes, int]:
    """What follows a backslash, and its length in characters; 0 if it is unknown."""
    char = text[at : at + 1]
    if char in _ESCAPES and char:
        return bytes([_ESCAPES[char]]), 1
    match = _NUMBERED.match(text, at)
    if match is None:
        return b"", 0
    value = int(match[1] or match[2] or match[3] or "0", 16) or int(match[4] or "0", 8)
    if not value or value > 0x10FFFF:
        return b"", 0
    return (bytes([value]) if match[1] or match[4] else chr(value).encode(errors="surrogatepass")), len(match[0])


def words(text: str, *, strict: bool = False, plain: bool = False) -> list[str]:
    """All words of `text`; see first_word."""
    found: list[str] = []
    word, at = first_word(text, 0, strict=strict, plain=plain)
    while word is not None:
        found.append(word)
        word, at = first_word(text, at, strict=strict, plain=plain)
    return found


@dataclass(frozen=True)
class ExecLine:
    """One command of an `Exec…=`. `prefixes`: those before the program, such as `-`, in their order."""

    words: tuple[str, ...]
    prefixes: str
    file: str
    line: int


def exec_lines(setting: Setting) -> list[ExecLine]:
    """The commands of one `Exec…=`, before specifiers and variables. Raises Unbalanced where systemd refuses it."""
    text, at = setting.value, 0
    found: list[ExecLine] = []
    while True:
        first, at = first_word(text, at, strict=True)
        if first is None:
            return found
        program = first.lstrip(_PREFIXES)
        if not program:
            raise Unbalanced("names no program")
        command, prefixes = [program], first[: len(first) - len(program)]
        while at < len(text):
            after = text[at + 1 : at + 2]
            if text[at] == ";" and (not after or after in SPACE):
                at += 1
                break
            if text.startswith("\\;", at) and (text[at + 2 : at + 3] or " ") in SPACE:
                command.append(";")
                at += 2
                while at < len(text) and text[at] in SPACE:
                    at += 1
                continue
            word, at = first_word(text, at)
            if word is not None:
                command.append(word)
        found.append(ExecLine(tuple(command), prefixes, setting.file, setting.line))


def assignments(value: str) -> tuple[list[str], str]:
    """The words of an `Environment=`, and why systemd ignores its rest; empty where it takes all."""
    found: list[str] = []
    at = 0
    try:
        while True:
            word, at = first_word(value, at, strict=True)
            if word is None:
                return found, ""
            found.append(word)
    except Unbalanced as error:
        return found, str(error)


def is_name(text: str) -> bool:
    """Whether systemd takes it as the name of an environment variable."""
    return _NAME.fullmatch(text) is not None


class _FileReader:
    """The state of a reader of an environment file: the key and the value that are being read."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.ignored: list[tuple[int, str]] = []
        self.key, self.value, self.bare = "", "", 0

    def push(self, line: int) -> None:
        name = self.key.rstrip(SPACE)
        kept = self.value[: self.bare] + self.value[self.bare :].rstrip(SPACE)
        if is_name(name):
            self.values[name] = kept
        else:
            self.ignored.append((line, name))
        self.key, self.value, self.bare = "", "", 0

    def keep(self, text: str) -> None:
        """Add text whose spaces are kept at the end of the value."""
        self.value += text
        self.bare = len(self.value)


def environment_file(text: str) -> tuple[dict[str, str], list[tuple[int, str]]]:
    """The variables of a file that `EnvironmentFile=` names, and (line, key) of each assignment that systemd ignores.

    A line without `=` is left out without a message, as in systemd.
    """
    reader, line, at, end = _FileReader(), 1, 0, len(text)
    state = "before key"
    while at < end:
        char, line = text[at], line + (text[at] == "\n")
        at += 1
        new_line = char in "\n\r"
        if state == "before key":
            if char in _COMMENT:
                state = "comment"
            elif char not in SPACE:
                reader.key, state = char, "key"
        elif state == "comment":
            if char == "\\":
                at += 1
                line += text[at - 1 : at] == "\n"
            elif new_line:
                state = "before key"
        elif state == "key":
            if new_line:
                reader.key, state = "", "before key"
            elif char == "=":
                state = "before value"
            else:
                reader.key += char
        elif state in ("before value", "value") and new_line:
            reader.push(line - 1)
            state = "before key"
        elif state == "before value" and char in "\"'":
            state = char
        elif state in ("before value", "value"):
            if char == "\\":
                state, at = "value", at + 1
                line += text[at - 1 : at] == "\n"
                reader.keep(text[at - 1 : at].strip("\n\r"))
            elif state == "value" or char not in SPACE:
                state = "value"
                reader.value += char
        elif char == state:
            reader.bare, state = len(reader.value), "before value"
        elif state == '"' and char == "\\" and at < end:
            at += 1
            escaped = text[at - 1]
            reader.value += escaped if escaped in '"\\`$' else "" if escaped == "\n" else "\\" + escaped
        else:
            reader.value += char
    if state not in ("before key", "comment", "key"):
        if state in "\"'":
            reader.bare = len(reader.value)
        reader.push(line)
    return reader.values, reader.ignored


@dataclass(frozen=True)
class Variable:
    """A variable within a word whose value is not known yet."""

    name: str


Word = list[str | Variable]


def substituted(
    command: Iterable[str], known: Mapping[str, str], later: Iterable[str] = ()
) -> Iterator[str | Variable | Word]:
    """The arguments after variables are replaced: a text, a Variable that is a word of its own and to be split, or a
    word with Variables in it.

    `later`: the names that are left as Variables. What is neither known nor later is empty, as in systemd.
    """
    kept = frozenset(later)
    for word in command:
        if word[:1] == "$" and word[1:2] not in ("{", "$"):
            if word[1:] in kept:
                yield Variable(word[1:])
            else:
                yield from words(known.get(word[1:], ""), plain=True)
            continue
        parts = _within(word, known, kept)
        yield "".join(map(str, parts)) if not any(isinstance(part, Variable) for part in parts) else parts


def _within(word: str, known: Mapping[str, str], kept: frozenset[str]) -> Word:
    """A word with each `${NAME}` replaced, and each `$$` by a dollar sign."""
    parts: Word = []
    text, at = "", 0
    for match in _REFERENCE.finditer(word):
        text, at = text + word[at : match.start()], match.end()
        if match[0] == "$$":
            text += "$"
        elif match[1] in kept:
            parts += [text, Variable(match[1])]
            text = ""
        else:
            text += known.get(match[1], "")
    text += word[at:]
    return [*parts, text] if text or not parts else parts


def boolean(value: str) -> bool | None:
    """None: systemd ignores the line."""
    low = value.lower()
    return True if low in _YES else False if low in _NO else None


def seconds(value: str) -> float | None:
    """A time span such as `1min 30s`; infinity for `infinity`, None for what systemd ignores."""
    if value.strip(SPACE) == "infinity":
        return float("inf")
    total, at, text = 0.0, 0, value.strip(SPACE)
    while at < len(text):
        match = _SPAN.match(text, at)
        if match is None or match[2] not in _SECONDS:
            return None
        total, at = total + float(match[1]) * _SECONDS[match[2]], match.end()
    return total if text else None


def size(value: str) -> int | None:
    """Bytes of a size to the base 1024, such as `1.5G`; None for what systemd ignores."""
    match = _SIZE.fullmatch(value.strip(SPACE))
    return int(float(match[1]) * 1024 ** ("BKMGTPE".index(match[2] or "B"))) if match else None
