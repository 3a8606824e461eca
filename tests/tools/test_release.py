"""`scripts/release` refuses what must not be released, before it tests or builds anything."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHANGELOG = (
    "# Changelog\n\n## Unreleased\n\n## 1.2.3 - 2026-01-31\n\n- It works.\n\n## 1.2.2 - 2026-01-01\n\n- It begins.\n"
)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with the script, version 1.2.3, and a test suite that fails."""
    for folder in ("scripts", "supervisor"):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / "scripts/release", tmp_path / "scripts/release")
    (tmp_path / "scripts/test").write_text("#!/bin/sh\necho tested\nexit 9\n")
    (tmp_path / "scripts/test").chmod(0o755)
    (tmp_path / "supervisor/__init__.py").write_text('__version__ = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    return tmp_path


def git(place: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=A", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=place, check=True, capture_output=True)


def commit(place: Path) -> None:
    git(place, "add", "-A")
    git(place, "commit", "-qm", "a change")


def release(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(place / "scripts/release"), *arguments]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)


def test_the_tests_come_first_and_their_failure_ends_it(clone: Path) -> None:
    result = release(clone, "--dry-run")
    assert (result.returncode, result.stdout, result.stderr) == (9, "tested\n", "")
    assert not (clone / "dist").exists()


def test_a_tree_with_changes_is_refused(clone: Path) -> None:
    (clone / "new.py").write_text("")
    result = release(clone, "--dry-run")
    assert result.returncode == 1
    assert "the working tree is not clean" in result.stderr


def test_a_version_that_is_tagged_is_refused(clone: Path) -> None:
    git(clone, "tag", "v1.2.3")
    assert "the tag v1.2.3 exists" in release(clone).stderr


@pytest.mark.parametrize(
    ("changelog", "says"),
    [
        (CHANGELOG.replace("1.2.3", "1.2.30"), 'has no section "## 1.2.3"'),
        (CHANGELOG.replace("\n\n- It works.\n\n", "\n"), 'the section "## 1.2.3" of CHANGELOG.md is empty'),
    ],
)
def test_a_version_without_notes_is_refused(clone: Path, changelog: str, says: str) -> None:
    (clone / "CHANGELOG.md").write_text(changelog)
    commit(clone)
    assert says in release(clone, "--dry-run").stderr


def test_what_it_does_not_know_is_no_release(clone: Path) -> None:
    result = release(clone, "--quick")
    assert result.returncode == 2
    assert "scripts/release --dry-run" in result.stderr
