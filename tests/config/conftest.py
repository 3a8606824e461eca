"""A folder with a services.toml, and the result of loading it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.config.load import load
from supervisor.core.model.spec import Plan
from supervisor.errors import ConfigError

Load = Callable[[str], Plan]
Complain = Callable[[str], list[str]]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The host's environment: its PATH leads to `true` and `sleep` alone."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("true", "sleep"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    return {"PATH": str(programs), "HOME": "/home/x", "EMPTY": "", "PORT": "8000"}


@pytest.fixture
def plan(tmp_path: Path, env: dict[str, str]) -> Load:
    """Write the text to services.toml, and load it."""

    def run(text: str) -> Plan:
        file = tmp_path / "services.toml"
        file.write_text(text)
        return load(file, env)

    return run


@pytest.fixture
def complaints(plan: Load, tmp_path: Path) -> Complain:
    """The lines of the error that the text gives, without the folder's name."""

    def run(text: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            plan(text)
        return str(caught.value).replace(f"{tmp_path}/", "").split("\n")

    return run
