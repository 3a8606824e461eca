"""What the pages show can be typed: each command has these options, each piece of services.toml passes `check`."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import pytest
import tomlkit

from supervisor.cli.commands import SECTIONS, cli
from supervisor.cli.daemon_target import DaemonTarget
from supervisor.config.export.json_schema import schema
from supervisor.config.load import load
from supervisor.errors import ConfigError

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
SPAN = re.compile(r"`(supervisor [^`]+)`")
PLACEHOLDER = re.compile(r"…|[A-Z]{4,}| / |\bN\b|\bT\b")
"""What the text of a page leaves to the reader, in a command that is not there to be copied."""
END_OF_COMMAND = frozenset({"&&", "||", ";", "|", "&", ">", ">>", "<", "(", ")", "do", "then"})


def commands_in(line: str) -> Iterator[list[str]]:
    """The arguments of each `supervisor` in a line of the shell."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    words.commenters = "#"
    command: list[str] = []
    for word in [*words, ";"]:
        if word not in END_OF_COMMAND:
            command.append(word)
            continue
        while command and ("=" in command[0] or command[0] == "sudo"):
            del command[0]
        if command and Path(command[0]).name == "supervisor":
            yield command[1:]
        command = []


def blocks(page: Path, *languages: str) -> Iterator[str]:
    return (text for language, text in BLOCK.findall(page.read_text()) if language in languages)


def shown_lines() -> Iterator[tuple[str, str]]:
    """Page and line of everything that a reader can copy into a shell."""
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        for text in blocks(page, "sh"):
            yield from ((name, line) for line in text.replace("\\\n", " ").splitlines())
        for text in blocks(page, "console"):
            yield from ((name, line[2:]) for line in text.splitlines() if line.startswith("$ "))


def understood(arguments: list[str]) -> None:
    """Raise what click says of these arguments, without running the command."""
    with patch.object(click.Command, "invoke", lambda *_: None):
        cli.main(arguments, prog_name="supervisor", standalone_mode=False, obj=DaemonTarget())


SHOWN = [(page, " ".join(words), words) for page, line in shown_lines() for words in commands_in(line)]


@pytest.mark.parametrize(("page", "words"), [(page, words) for page, _, words in SHOWN], ids=[s[1] for s in SHOWN])
def test_a_shown_command_has_these_options_and_arguments(page: str, words: list[str]) -> None:
    understood(words)


def test_blocks_of_commands_are_found() -> None:
    assert len(SHOWN) > 70
    assert list(
        commands_in("export A=b; A=1 supervisor -f x up -d && /opt/bin/supervisor ls | supervisor-x > f  # not")
    ) == [
        ["-f", "x", "up", "-d"],
        ["ls"],
    ]


@pytest.mark.parametrize(
    "arguments", (["status", "--jsonn"], ["stauts"], ["why"], ["why", "a", "b"], ["wait", "a", "--for", "soon"])
)
def test_a_wrong_command_would_be_found(arguments: list[str]) -> None:
    with pytest.raises(click.ClickException):
        understood(arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_text_have_these_options(page: Path) -> None:
    """Also without an argument that the sentence does not need, as in `supervisor why`."""
    if page.name == "CHANGELOG.md":
        return  # it speaks of earlier commands, too
    text = re.sub(r"\s+", " ", BLOCK.sub("", page.read_text()))
    for span in SPAN.findall(text):
        if PLACEHOLDER.search(span) or ": " in span:
            continue
        try:
            understood(shlex.split(span)[1:])
        except click.UsageError as error:
            if type(error).__name__ not in ("MissingParameter", "NoArgsIsHelpError"):  # the second since click 8.2
                raise


@pytest.mark.parametrize("name", [name for names in SECTIONS.values() for name in names])
def test_examples_in_the_help_have_these_options(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    inner = command.commands.values() if isinstance(command, click.Group) else ()
    for help_text in (each.help or "" for each in [command, *inner]):
        for example in re.findall(r"(?:Example: |^ *)(supervisor .+?)(?:   .*)?$", help_text, re.M):
            for words in commands_in(example):
                understood(words)


PIECES = [(str(page.relative_to(ROOT)), text) for page in PAGES for text in blocks(page, "toml")]
TABLES = schema()["properties"]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOST_ADDRESS": "10.0.0.1"}


def whole(piece: str, folder: Path) -> dict[str, Any]:
    """A piece of services.toml with what its page leaves out: the head of its table, commands, and other services."""
    document = tomllib.loads(piece.replace("/etc/phi/", f"{folder}/").replace("./", f"{folder}/"))
    if document.keys() - TABLES.keys():
        document = {"services": {"web": document}}
    for name in document.get("include", ()):
        if "*" not in name:
            (folder / name).touch()
    services = document.setdefault("services", {"web": {}})
    for group in document.get("groups", {}):
        services["web"]["group_name"] = group
    for service in list(services.values()):
        service.setdefault("command", "true")
        if "{port}" in str(service):
            service.setdefault("ports", "18000-18031")
        if "placement" in service:
            document.setdefault("cluster", {"hosts": "127.0.0.1:2181", "session_timeout": "20s"})
        for other in service.get("depends_on", ()):
            needs = other if isinstance(other, dict) else {"service": other}
            if needs.get("required", True):
                oneshot = {"type": "oneshot"} if needs.get("condition") == "completed" else {}
                services.setdefault(needs["service"], {"command": "true"} | oneshot)
    return document


@pytest.mark.parametrize("piece", [text for _, text in PIECES], ids=[page for page, _ in PIECES])
def test_a_shown_piece_of_services_toml_passes_check(
    piece: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.config.checks.host._sandbox_refusal", lambda _: "")  # not every host allows one
    for name in re.findall(r"(?:/etc/phi|\.)/([\w.-]+)\"", piece):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o700)
    file = tmp_path / "services.toml"
    file.write_text(tomlkit.dumps(whole(piece, tmp_path)))
    notes: list[str] = []
    load(file, ENVIRONMENT, notes.append, tolerate_missing=True)
    assert not notes


def test_a_piece_with_an_unknown_key_would_be_found(tmp_path: Path) -> None:
    for piece in ('restrat = "never"', "[services.web]\nrestrat = 1", "[cluster]\nhost = 1"):
        file = tmp_path / "services.toml"
        file.write_text(tomlkit.dumps(whole(piece, tmp_path)))
        with pytest.raises(ConfigError, match="unknown key"):
            load(file, ENVIRONMENT, tolerate_missing=True)
