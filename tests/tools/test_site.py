"""The site that scripts/site builds: its navigation, its links, and that it is whole without a network."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from scripts.tools.docs import site

INDEX = (site.ROOT / "docs/README.md").read_text()


def names(entry: object) -> list[str]:
    if isinstance(entry, dict):
        return [name for inner in entry.values() for name in names(inner)]
    return [name for inner in entry for name in names(inner)] if isinstance(entry, list) else [str(entry)]


def test_navigation_has_every_page_once_and_the_tutorial_first() -> None:
    shown = names(list(site.navigation_of(INDEX)))
    assert shown[:2] == ["index.md", "tutorial.md"]
    assert len(set(shown)) == len(shown)
    pages = {site.place(page) for page in (site.ROOT / "docs").rglob("*.md")}
    assert pages - {"pages.md"} <= set(shown)
    assert {"import/index.md", "import/pm2.md", "api.md", "changelog.md", "SECURITY.md"} <= set(shown)


def test_links_lead_to_places_in_the_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "fetch_scripts", lambda _: set())
    site.Site(tmp_path).write()
    pages = tmp_path / "pages"
    index = (pages / "index.md").read_text()
    assert "](img/" in index, "a picture of docs/"
    assert "](examples/celery/services.toml.md)" in index
    assert "````toml" in (pages / "examples/celery/services.toml.md").read_text()
    assert "[Installing, and where its files are](install.md)" in (pages / "tutorial.md").read_text()
    for page in pages.rglob("*.md"):
        for found in site.LINK.finditer(site.FENCE.sub("", page.read_text())):
            assert "://" in found[2] or (page.parent / found[2]).is_file(), f"{page.name}: {found[0]}"


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mkdocs") is None or find_spec("material") is None, reason="needs the extra site")
def test_the_site_is_built_and_loads_nothing_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(site, "fetch_scripts", lambda _: set())
    assert site.build(tmp_path) == 0, capfd.readouterr().err
    for page in tmp_path.rglob("*.html"):
        assert not re.findall(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(?:https?:)?//', page.read_text()), page
    found = json.loads((tmp_path / "search/search_index.json").read_text())["docs"]
    assert any("Let it hang" in entry["title"] for entry in found)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mkdocs") is None or find_spec("material") is None, reason="needs the extra site")
def test_a_link_that_leads_nowhere_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(site, "fetch_scripts", lambda _: set())
    write = site.Site.write

    def with_a_broken_link(self: site.Site) -> None:
        write(self)
        with (self.pages / "tutorial.md").open("a") as page:
            page.write("\n[gone](install.md#gone)\n")

    monkeypatch.setattr(site.Site, "write", with_a_broken_link)
    assert site.build(tmp_path) != 0
    assert "#gone" in capfd.readouterr().err
