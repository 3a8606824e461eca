"""The file supervised.toml: what the last run of `scripts/programs --supervise --write` has seen of each program."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit

PATH = Path(__file__).parent / "supervised.toml"
STEPS = ("starts", "reload", "broken file", "SIGSTOP", "SIGKILL", "stop")
HEAD = "# Written by `scripts/programs --supervise --write`; docs/programs.md shows it.\n"


def kept() -> dict[str, dict[str, Any]]:
    """The rows, by program."""
    return tomllib.loads(PATH.read_text()) if PATH.exists() else {}


def keep(name: str, row: Mapping[str, Any]) -> None:
    """Put the row of one program into the file, in the order of names."""
    rows = {**kept(), name: {key: row.get(key, "–") for key in ("version", "on", *STEPS)} | dict(row)}
    PATH.write_text(HEAD + "\n" + tomlkit.dumps(dict(sorted(rows.items()))))
