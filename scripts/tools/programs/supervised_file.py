"""The file supervised.toml: what the last run of `scripts/programs --supervise --write` has seen of each program."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomlkit

if TYPE_CHECKING:
    from scripts.tools.programs.under_load import Outcome

PATH = Path(__file__).parent / "supervised.toml"
STEPS = ("starts", "reload", "broken file", "SIGSTOP", "starved", "SIGKILL", "stop")
LOAD = Path(__file__).parent / "under_load.toml"
LOAD_HEAD = "# Written by `scripts/programs --under-load --write`; docs/programs.md shows it.\n"
HEAD = "# Written by `scripts/programs --supervise --write`; docs/programs.md shows it.\n"


def kept() -> dict[str, dict[str, Any]]:
    """The rows, by program."""
    return tomllib.loads(PATH.read_text()) if PATH.exists() else {}


def keep(name: str, row: Mapping[str, Any]) -> None:
    """Put the row of one program into the file, in the order of names."""
    rows = {**kept(), name: {key: row.get(key, "–") for key in ("version", "on", *STEPS)} | dict(row)}
    PATH.write_text(HEAD + "\n" + tomlkit.dumps(dict(sorted(rows.items()))))


def summary(outcome: Outcome, seconds: float, loops: int) -> dict[str, Any]:
    """What docs/programs.md tells of a run under load."""
    loads, pressures = outcome.loads, outcome.pressures
    return {
        "on": datetime.now(UTC).date(),
        "minutes": round(seconds / 60),
        "loops": loops,
        "programs": outcome.programs,
        "beating": outcome.beating,
        "load": [round(value) for value in (min(loads), sum(loads) / len(loads), max(loads))],
        "pressure": round(sum(pressures) / len(pressures)) if pressures else 0,
        "suspicions": outcome.suspicions,
        "holds": outcome.holds,
        "ended": len(outcome.violations),
    }


def keep_load(row: Mapping[str, Any]) -> None:
    LOAD.write_text(LOAD_HEAD + "\n" + tomlkit.dumps(row))


def kept_load() -> dict[str, Any]:
    """The last run under load; empty: none."""
    return tomllib.loads(LOAD.read_text()) if LOAD.exists() else {}
