"""The pages of the project: their links, the files that they name, and the places where scripts write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from supervisor.cli.commands import SECTIONS
from supervisor.core.detection.detectors.registry import KNOWN

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAMED = re.compile(r"`((?:scripts|supervisor|tests|docs|examples)/[\w./-]+)(?=[`\s:])")
IN_THE_PACKAGE = re.compile(r"`((?:adapters|cli|config|core|daemon|dashboard|detectorlab|display)/[\w/]+\.\w+)`")
MARKS = {
    "docs/benchmarks.md": ("<!-- comparison: scripts/comparison -->",),
    "docs/performance.md": ("<!-- bench: scripts/bench -->",),
    "docs/comparison.md": ("<!-- comparison: scripts/comparison -->",),
    "ARCHITECTURE.md": ("<!-- diagram: scripts/diagram -->",),
}


def heads(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them from its headings."""
    found = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in heads(target), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page: Path) -> None:
    for name in NAMED.findall(page.read_text()):
        assert (ROOT / name.rstrip("./")).exists(), f"{page.name} names {name}"
    for name in IN_THE_PACKAGE.findall(page.read_text()):
        assert (ROOT / "supervisor" / name).exists(), f"{page.name} names {name}"


def test_each_command_and_each_detector_has_a_row() -> None:
    commands = "\n".join(re.findall(r"^\| (`.*?) \|", (ROOT / "docs/commands.md").read_text(), re.M))
    for command in [name for section in SECTIONS.values() for name in section]:
        assert re.search(rf"`{command}\b", commands), f"docs/commands.md has no row for {command}"
    detection = (ROOT / "docs/detection.md").read_text()
    for detector in KNOWN:
        assert f"\n| `{detector}` |" in detection, f"docs/detection.md has no row for {detector}"


def test_messages_that_troubleshooting_quotes_are_printed_somewhere() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "supervisor").rglob("*.py"))
    quoted = re.findall(r"^> `(.+)`$", (ROOT / "docs/troubleshooting.md").read_text(), re.M)
    assert len(quoted) > 10
    for message in quoted:
        for part in message.split("…"):
            assert part.strip() in code, f"no message says {part.strip()!r}"


def test_each_page_is_in_the_index() -> None:
    linked = {(ROOT / "docs" / link).resolve() for link in LINK.findall((ROOT / "docs/README.md").read_text())}
    assert {page for page in (ROOT / "docs").glob("*.md") if page.name != "README.md"} <= linked
    records = set((ROOT / "docs/decisions").glob("[0-9]*.md"))
    index = (ROOT / "docs/decisions/README.md").read_text()
    assert records == {ROOT / "docs/decisions" / link for link in LINK.findall(index) if link[0].isdigit()}


@pytest.mark.parametrize("page", MARKS)
def test_scripts_find_the_place_where_they_write(page: str) -> None:
    text = (ROOT / page).read_text()
    for begin in MARKS[page]:
        end = f"<!-- end of {begin.split()[1].rstrip(':')} -->"
        assert text.count(begin) == text.count(end) == 1
        assert text.index(begin) < text.index(end)


def test_the_readme_names_the_command_that_tests_everything() -> None:
    readme = (ROOT / "README.md").read_text()
    assert re.search(r"^scripts/test\b", readme, re.M), "CI takes it from there"
    assert "scripts/demo" in readme
    assert len(readme.splitlines()) < 90
