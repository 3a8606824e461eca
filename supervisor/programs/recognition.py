"""Finds the name of the program that a command runs; for an interpreter or a wrapper, the name of what it runs."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

_PYTHON = re.compile(r"(python|pypy)[0-9.]*")
_VERSION = re.compile(r"[-_]?[0-9]+(\.[0-9]+)*")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_WRAPPERS = {
    "exec": (),
    "nohup": (),
    "tini": (),
    "dumb-init": (),
    "setsid": (),
    "nice": ("-n",),
    "ionice": ("-c", "-n"),
}
"""Programs that run the rest of their arguments, with the options of each that take a value."""
_VALUES_OF_PYTHON = ("-W", "-X", "--check-hash-based-pycs")
_VALUES_OF_JAVA = ("-cp", "-classpath", "--class-path", "-p", "--module-path", "--add-modules")


def program_words(command: Sequence[str]) -> tuple[str, ...]:
    """The words from the program's own name on: (`gunicorn`, `app:app`) for `python -m gunicorn app:app`.

    The first one is a bare name, without a folder, and without the version at its end.  Empty where no name can be
    told, as for a shell's `-c`.
    """
    words = tuple(command)
    while words:
        name = posixpath.basename(words[0])
        if name == "env":
            words = _after_options(words[1:], ("-u", "-C", "-S"), assignments=True)
        elif name in _WRAPPERS:
            words = _after_options(words[1:], _WRAPPERS[name])
        elif _PYTHON.fullmatch(name):
            return _of_python(words[1:])
        elif name == "bundle" and words[1:2] == ("exec",):
            words = words[2:]
        elif name == "ruby":
            words = _after_options(words[1:], ("-I", "-r"))
        elif name == "java":
            return _of_java(words)
        else:
            return (without_version(name), *words[1:])
    return ()


def _of_python(words: tuple[str, ...]) -> tuple[str, ...]:
    while words and words[0].startswith("-"):
        if words[0] == "-m" and len(words) > 1:
            return (words[1].partition(".")[0], *words[2:])
        if words[0] == "-c":
            return ()
        words = words[2:] if words[0] in _VALUES_OF_PYTHON else words[1:]
    return (without_version(posixpath.basename(words[0]).removesuffix(".py")), *words[1:]) if words else ()


def _of_java(words: tuple[str, ...]) -> tuple[str, ...]:
    """The last part of the class's name; `java` where a jar, or nothing, is run."""
    rest = words[1:]
    while rest and rest[0].startswith("-"):
        if rest[0] in ("-jar", "-m", "--module"):
            return ("java", *words[1:])
        rest = rest[2:] if rest[0] in _VALUES_OF_JAVA else rest[1:]
    return (rest[0].rpartition(".")[2], *rest[1:]) if rest else ("java", *words[1:])


def _after_options(words: tuple[str, ...], with_value: Sequence[str], *, assignments: bool = False) -> tuple[str, ...]:
    while words and (words[0].startswith("-") or (assignments and _ASSIGNMENT.match(words[0]))):
        if words[0] == "--":
            return words[1:]
        words = words[2:] if words[0] in with_value else words[1:]
    return words


def without_version(name: str) -> str:
    """`php-fpm` for `php-fpm8.2`; a name that is a version as a whole stays."""
    match = re.search(rf"{_VERSION.pattern}$", name)
    return name[: match.start()] if match and match.start() else name
