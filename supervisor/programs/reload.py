"""The command that tells, before a reload signal is sent, whether a known program can read its configuration."""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Sequence

from supervisor.programs.book import Program
from supervisor.programs.recognition import program_words

FILE, OPTIONAL_FILE = "FILE", "[FILE]"


def ends_at_reload(program: Program) -> str:
    """How it ends when it is told to read a configuration with an error, `exit 1`; empty where it goes on."""
    seen: str = program.seen.get("broken_reload", "goes on")
    end = seen.partition("; ")[0]
    return "" if end == "goes on" else end


def reload_check(program: Program, command: Sequence[str]) -> list[str] | None:
    """The check for a service with this command, which runs `program`; None where none is known or installed.

    A check by the program itself is the command with the words of the check after the program's name."""
    words = program.reload.get("check", "").split()
    if not words:
        return None
    arguments = program_words(command)[1:]
    at = len(command) - len(arguments)
    if words[0] in program.names:
        return [*command[:at], *words[1:], *command[at:]]
    tool = _tool(words[0], posixpath.dirname(command[at - 1]))
    file = _value(arguments, program.reload.get("file", ""))
    if tool is None or (file is None and FILE in words):
        return None
    filled = (file if word in (FILE, OPTIONAL_FILE) else word for word in words[1:])
    return [tool, *(word for word in filled if word is not None)]


def _tool(name: str, folder: str) -> str | None:
    """The name of an installed program; with its path where it lies only beside the one that it is for."""
    return name if shutil.which(name) else shutil.which(name, path=folder or None)


def _value(arguments: Sequence[str], option: str) -> str | None:
    """What follows an option: `-c FILE`, `-cFILE` or `--config=FILE`."""
    for index, argument in enumerate(arguments):
        if argument == option:
            return next(iter(arguments[index + 1 :]), None)
        if option.startswith("--") and argument.startswith(f"{option}="):
            return argument.partition("=")[2]
        if len(option) == 2 and argument.startswith(option):
            return argument[2:]
    return None
