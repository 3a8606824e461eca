"""The commands that README and docs/commands.md show for a day, in their order, by the real command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE, ROOT

SERVICES = """\
[services.web]
command = "sleep 1000"

[services.worker]
command = "sleep 1000"
"""
INSTEAD = {
    "supervisor up": "supervisor up -d",  # as the comment beside it says; the dashboard has tests of its own
    "supervisor logs -f web worker": "supervisor logs web worker",  # it would not end; test_tutorial.py follows
}
ON_ITS_OWN = ("supervisor init", "supervisor balance web")
"""init: in an empty folder; balance: it needs HAProxy, and has tests of its own."""


def day(page: str, heading: str) -> list[str]:
    """The commands of the first block below a heading, without comments."""
    block = re.search(rf"^## {heading}\n+```sh\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S)
    assert block is not None
    return [line.partition("  ")[0].strip() for line in block[1].splitlines()]


class Reader:
    """Has a folder, and types commands into it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SUPERVISOR_", "COVERAGE"))}
        self.environment = kept | {"PATH": path}

    def type(self, command: str) -> str:
        done = subprocess.run(
            command.split(),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=4 * PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.mark.parametrize(
    ("page", "heading", "count"), [("README.md", "Five commands", 5), ("docs/commands.md", "A day with it", 15)]
)
def test_a_day_of_commands_works_in_its_order(page: str, heading: str, count: int, tmp_path: Path) -> None:
    commands = day(page, heading)
    assert len(commands) == count
    reader = Reader(tmp_path / "app")
    own = f'[supervisor]\nruntime_dir = "{tmp_path}/r"\nstate_dir = "{tmp_path}/s"\n'
    (reader.folder / "services.toml").write_text(own + SERVICES)
    try:
        printed = {
            command: reader.type(INSTEAD.get(command, command)) for command in commands if command not in ON_ITS_OWN
        }
    finally:
        if (tmp_path / "r/control.sock").exists():  # a command before `down` failed
            subprocess.run(
                ["supervisor", "down"], cwd=reader.folder, env=reader.environment, timeout=PATIENCE, check=False
            )
    assert re.search(r"^web +running +yes", printed["supervisor status"], re.M)
    assert "web" in printed["supervisor why web"]
    assert list(reader.folder.glob("report.html")) or "supervisor report --html" not in commands


def test_the_first_file_is_written_and_passes_check(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "empty")
    reader.type("supervisor init")
    assert "1 service" in reader.type("supervisor check")
