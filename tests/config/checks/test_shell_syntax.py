"""Commands that look as if a shell read them: a note, and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.config.load import load

ARGUMENT = "goes to the program as an argument, because no shell reads the command"


def found(tmp_path: Path, text: str) -> list[str]:
    """The notes on a file, without its folder."""
    file = tmp_path / "services.toml"
    file.write_text(text)
    notes: list[str] = []
    load(file, {"PATH": "/bin:/usr/bin"}, note=notes.append)
    return [note.replace(f"{tmp_path}/", "") for note in notes]


@pytest.mark.parametrize(
    ("command", "note"),
    [
        ("echo a && echo b", f'"&&" {ARGUMENT}'),
        ("echo a || echo b", f'"||" {ARGUMENT}'),
        ("cat x | sort", f'"|" {ARGUMENT}'),
        ("echo a > /tmp/x", f'">" {ARGUMENT}'),
        ("echo a >>log", f'">>log" {ARGUMENT}'),
        ("echo a 2>&1", f'"2>&1" {ARGUMENT}'),
        ("echo a 2>/dev/null", f'"2>/dev/null" {ARGUMENT}'),
        ("echo a &", f'"&" {ARGUMENT}'),
        ("cat ~/x", '"~/x" goes to the program as it is; write "${HOME}/x"'),
        (
            "cat $HOME/x",
            '"$HOME/x" goes to the program as it is; "${HOME}/x" takes the variable of the supervisor\'s environment',
        ),
    ],
)
def test_a_note(tmp_path: Path, command: str, note: str) -> None:
    (one,) = found(tmp_path, f'[services.web]\ncommand = "{command}"')
    assert one.startswith(f"services.toml:2: services.web.command: {note}")


@pytest.mark.parametrize(
    "command",
    [
        '["sh", "-c", "a && b > $HOME/x | c"]',
        '["/bin/bash", "-c", "$1", "x", ">"]',
        '"find . -exec true {} ;"',
        '"grep ^a$ file"',
        '"awk {print>$1} file"',
        '"curl http://h/?a=1&b=2"',
        '"echo a>b ->x"',
    ],
)
def test_no_note(tmp_path: Path, command: str) -> None:
    assert found(tmp_path, f"[services.web]\ncommand = {command}") == []


def test_probes_and_hooks_are_commands_too(tmp_path: Path) -> None:
    text = """
[services.web]
command = "true"
ready.exec = "test -e x && true"
heartbeat = { source = "exec", exec = "cat ~/x" }
[[services.web.hooks]]
on = ["failed"]
run = "echo > x"
"""
    keys = [note.split(": ")[1] for note in found(tmp_path, text)]
    assert keys == ["services.web.ready.exec", "services.web.heartbeat.exec", "services.web.hooks[0].run"]
