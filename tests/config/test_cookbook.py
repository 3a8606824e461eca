"""Every recipe of docs/cookbook.md is accepted without a note, and has a heartbeat unless it is a job."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from supervisor.config.load import load
from supervisor.core.model.spec import ServiceType

PAGE = (Path(__file__).parents[2] / "docs/cookbook.md").read_text()
RECIPES = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.mark.parametrize("recipe", RECIPES, ids=[re.findall(r"services\.(\w+)", text)[0] for text in RECIPES])
def test_a_recipe_is_accepted(recipe: str, tmp_path: Path) -> None:
    file = tmp_path / "services.toml"
    file.write_text(recipe)
    notes: list[str] = []
    plan = load(file, {"PATH": "/usr/bin:/bin"}, notes.append, tolerate_missing=True)
    assert not notes
    first = plan.services[0]
    assert first.type is ServiceType.ONESHOT or first.heartbeat is not None


def test_each_program_has_a_recipe_of_few_lines() -> None:
    heads = re.findall(r"^## (.+)$", PAGE, re.M)
    wanted = (
        "redis",
        "PostgreSQL",
        "nginx",
        "gunicorn",
        "uvicorn",
        "Celery",
        "Node",
        "Java",
        "php-fpm",
        "shell",
        "job",
    )
    assert all(any(word in head for head in heads) for word in wanted)
    assert len(RECIPES) == len(heads) + 1, "two for a job at certain times"
    assert all(3 <= len([line for line in text.splitlines() if line]) <= 15 for text in RECIPES)
