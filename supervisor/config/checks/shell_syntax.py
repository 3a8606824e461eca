"""Finds shell syntax in commands, which no shell reads: the program gets it as plain arguments.

That is seldom meant and never an error: a program may take `|` as its argument.  So these are notes, not problems.
Where the first word is one that only a shell understands, the program is missing, and the error says so.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from supervisor.config.source.key_path import Key
from supervisor.config.units import quoted
from supervisor.core.model.spec import ServiceSpec

_OPERATORS = re.compile(r"&&|\|\|?|&|[0-9]?(?:>>?|<)(?:&[0-9])?|[0-9]?>>?[\w./-]+|&>.*")
_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)(?:[/:.].*)?")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_BUILT_IN = {".", ":", "cd", "eval", "exec", "export", "set", "source", "trap", "ulimit", "umask", "unset", "wait"}
_SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "fish", "busybox", "su", "runuser", "ssh"}

_WITH_A_SHELL = 'for a shell write ["sh", "-c", "…"]'


def of_a_shell(program: str) -> str:
    """What to write instead of a missing program that only a shell understands; empty for any other."""
    if _ASSIGNMENT.match(program):
        return '; variables have a key of their own: environment = { NAME = "value" }'
    if program in _BUILT_IN:
        return f"; it is built into shells, and no shell reads the command: {_WITH_A_SHELL}"
    return ""


def notes(spec: ServiceSpec) -> Iterator[tuple[Key, str]]:
    """(key, note) of each command of the service that looks as if it was written for a shell; one note a command."""
    commands: list[tuple[Key, Sequence[str] | None]] = [
        (("command",), spec.command),
        (("reload_check",), spec.reload_check),
        (("ready", "exec"), spec.ready.exec if spec.ready else None),
        (("heartbeat", "exec"), spec.heartbeat.exec if spec.heartbeat else None),
        *((("hooks", index, "run"), hook.run) for index, hook in enumerate(spec.hooks)),
    ]
    for key, words in commands:
        if words and posixpath.basename(words[0]) not in _SHELLS and (note := _note(words)):
            yield ("services", spec.name, *key), note


def _note(words: Sequence[str]) -> str | None:
    for word in words:
        if _OPERATORS.fullmatch(word):
            return (
                f"{quoted(word)} goes to the program as an argument, because no shell reads the command; "
                f"{_WITH_A_SHELL}"
            )
        if word == "~" or word.startswith("~/"):
            return f"{quoted(word)} goes to the program as it is; write {quoted('${HOME}' + word[1:])}"
        if match := _VARIABLE.fullmatch(word):
            name = match[1]
            return (
                f"{quoted(word)} goes to the program as it is; {quoted('${' + name + '}' + word[len(name) + 1 :])} "
                "takes the variable of the supervisor's environment"
            )
    return None
