"""Each program of the book, as its README starts it from a shell and as `init` writes it.

Each trap is named with what to write: the background, and what it costs to leave out what `init` adds.  Nothing is
noted on what is right.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import pytest

from scripts.tools.programs.__main__ import HERE
from supervisor.config.importers.services_toml import service_toml
from supervisor.config.load import load
from supervisor.programs.book import BOOK, Program, applies, has_option, read, recognized
from supervisor.programs.reload import ends_at_reload
from supervisor.programs.suggestion import suggestion

RECIPES = {
    name: recipe
    for file in sorted((HERE / "recipes").glob("*.toml"))
    for name, recipe in tomllib.loads(file.read_text()).items()
    if "sh" not in recipe["command"]  # a shell runs it, and nothing is known of what that does
}
BACKGROUND = {name: recipe for name, recipe in RECIPES.items() if "background" in recipe}
NOTE = re.compile(r": services\.it\.([a-z_.]+): .*?(?:[,;] write |; add |[,;] leave it out)")


@pytest.fixture(autouse=True)
def no_installed_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the tool of a check is the one beside the program."""
    monkeypatch.setenv("PATH", "/nowhere")


def test_all_programs_of_the_book_are_here() -> None:
    assert {path.stem for path in BOOK.glob("*.toml")} - RECIPES.keys() == {"cron"}


@pytest.mark.parametrize("name", RECIPES)
def test_each_trap_of_the_bare_command_is_named_with_what_to_write(name: str, tmp_path: Path) -> None:
    command = words(RECIPES[name]["command"], name, tmp_path)
    assert sorted(noted({"command": command}, tmp_path)) == sorted(traps(name, command))


@pytest.mark.parametrize("name", BACKGROUND)
def test_the_command_of_a_shell_is_noted_with_what_to_write(name: str, tmp_path: Path) -> None:
    command = words(BACKGROUND[name]["background"], name, tmp_path)
    assert "command" in noted({"command": command}, tmp_path)


@pytest.mark.parametrize("way", ["command", "background"])
@pytest.mark.parametrize("name", RECIPES)
def test_nothing_is_noted_on_what_init_writes(name: str, way: str, tmp_path: Path) -> None:
    made = suggestion(words(RECIPES[name].get(way, RECIPES[name]["command"]), name, tmp_path))
    assert noted({"command": made.command, **made.keys}, tmp_path) == []


def traps(name: str, command: list[str]) -> Iterator[str]:
    """The keys of what is to be noted, by the facts of the book, on a command that stays in the foreground."""
    recognition = recognized(command)
    assert recognition is not None or not book(name).names  # those are not found by a name
    if recognition is None:
        return
    program, arguments = recognition
    assert not book(name).names or program == book(name)
    if any(applies(need, arguments) and not has_option(arguments, need["option"]) for need in program.needs):
        yield "command"
    if program.stop and applies(program.stop, arguments):
        yield from (
            key for key in ("stop_signal", "stop_timeout", "command") if key.removeprefix("stop_") in program.stop
        )
    if ends_at_reload(program) and "check" in program.reload:
        yield "reload_check"
    if any("policy" in end and applies(end, arguments) for end in program.ends):
        yield "restart.policy"


def noted(table: dict[str, Any], tmp_path: Path) -> list[str]:
    """The keys of the notes, each of which says what to write."""
    file = tmp_path / "services.toml"
    file.write_text(service_toml("it", table))
    notes: list[str] = []
    load(file, {"PATH": "/bin:/usr/bin"}, note=notes.append, tolerate_missing=True)  # postfix: a path, not in PATH
    matches = [NOTE.search(note) for note in notes]
    assert all(matches), notes
    return [match[1] for match in matches if match]


def words(command: list[str], name: str, place: Path) -> list[str]:
    """The command with a program of that name in `place`, beside which the tool of its check lies."""
    filled = [word.replace("$dir", str(place)).replace("$port", "8000") for word in command]
    tool = book(name).reload.get("check", "").split()[:1]
    at = next(index for index, word in enumerate(filled) if "=" not in word and word != "env")
    for program in {PurePath(filled[at]).name, *tool}:
        (place / program).write_text("#!/bin/sh\n")
        (place / program).chmod(0o755)
    return [*filled[:at], str(place / PurePath(filled[at]).name), *filled[at + 1 :]]


def book(name: str) -> Program:
    return read(BOOK / f"{name}.toml")
