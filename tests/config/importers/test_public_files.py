"""Twelve files of each kind and more: each can be imported, and what is hard in them is listed in docs/import.md."""

from collections import Counter
from pathlib import Path

import pytest

from supervisor.config.importers.formats import format_of, read_files
from supervisor.config.importers.services_toml import services_toml
from supervisor.config.source.read import parse
from tests.config.importers.public_files import PublicFile, public_files

ALL = list(public_files())
DOCS = Path(__file__).parents[3] / "docs" / "import.md"


def test_there_are_twelve_of_each_kind() -> None:
    counted = Counter(one.tool for one in ALL)
    assert set(counted) == {"supervisord", "procfile", "pm2", "systemd", "compose", "circus"}
    assert min(counted.values()) >= 12
    told = DOCS.read_text()
    for tool, count in counted.items():
        assert f"| {tool} | {count} |" in told


@pytest.mark.parametrize("one", [one for one in ALL if one.tool in ("compose", "circus")], ids=lambda one: one.name)
def test_a_file_of_a_public_project_is_taken_over(one: PublicFile, tmp_path: Path) -> None:
    if one.tool == "compose":
        pytest.importorskip("yaml")
    path = one.write(tmp_path)
    assert format_of(path).tool == one.tool
    imported = read_files([path], {"PATH": "/usr/bin:/bin", **one.environment})
    text = services_toml(imported, "init")
    assert list(parse(text, "services.toml")["services"]) == [service.name for service in imported.services] != []
