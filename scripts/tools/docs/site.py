"""Builds a site of all pages that can be searched, also without a network: build/site/index.html.

Usage: scripts/site [FOLDER]

The order of its navigation is that of docs/README.md. Files that a page links to (examples, sources) become pages.
Nothing is loaded from elsewhere. Where npm is installed, diagrams are drawn by mermaid, which is then part of the site;
otherwise their text is shown. The theme is maintained until May 2027; Zensical is its successor.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "build" / "site"
SCRIPTS = {
    "mermaid.min.js": ("mermaid@11.17.2", "package/dist/mermaid.min.js"),  # draws diagrams
    "iframe-worker.js": ("iframe-worker@1.0.4", "package/shim/index.js"),  # the search where no server serves the page
}
"""Package of npm and file in it, which the theme would load from elsewhere."""
WITHOUT = {
    "mermaid.min.js": "diagrams are shown as text",
    "iframe-worker.js": "the search works only where the site is served, not in a page opened as a file",
}
SHIM = re.compile(r'<script src="https://unpkg.com/iframe-worker/shim"></script>')
LINK = re.compile(r"\[((?:\[[^\]]*\]|[^\[\]])*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"^```.*?^```$", re.M | re.S)
HEADINGS = re.compile(r"^## (.+)$", re.M)
AS_THEY_ARE = (".svg", ".png", ".html")
MORE = {"Changes": ("CHANGELOG.md",)}
"""What docs/README.md does not list, by its heading in the navigation."""

CONFIGURATION = """\
site_name: phi-supervisor
site_description: A process supervisor for Linux that notices a hang, not only an exit, and says why.
docs_dir: pages
use_directory_urls: false
theme:
  name: material
  font: false
  language: en
  features: [navigation.sections, navigation.indexes, navigation.top, navigation.footer, search.suggest, search.highlight, content.code.copy, toc.follow]
  icon: {logo: material/pulse}
  palette:
    - {media: "(prefers-color-scheme: light)", scheme: default, primary: indigo, toggle: {icon: material/weather-night, name: Dark}}
    - {media: "(prefers-color-scheme: dark)", scheme: slate, primary: indigo, toggle: {icon: material/weather-sunny, name: Light}}
extra: {generator: false}
extra_css: [site.css]
plugins: [search, offline]
validation: {nav: {omitted_files: ignore, not_found: warn}, links: {not_found: warn, anchors: warn, absolute_links: warn, unrecognized_links: warn}}
markdown_extensions:
  - tables
  - attr_list
  - sane_lists
  - mdx_truly_sane_lists: {nested_indent: 2}
  - pymdownx.highlight
  - pymdownx.superfences:
      custom_fences:FENCES
  - toc: {permalink: true, toc_depth: "2-3", slugify: !!python/object/apply:pymdownx.slugs.slugify {kwds: {case: lower}}}
"""
MERMAID_FENCE = """
        - name: mermaid
          class: mermaid
          format: !!python/name:pymdownx.superfences.fence_code_format"""
STYLE = """\
.md-grid { max-width: 66rem; }
.md-typeset table:not([class]) { font-size: .68rem; }
.md-typeset table:not([class]) th { min-width: 0; }
@media (min-width: 60em) { .md-typeset td:first-child > code:only-child { white-space: nowrap; } }
.md-typeset h1, .md-typeset h2 { font-weight: 600; color: inherit; letter-spacing: normal; }
"""


def place(path: Path) -> str:
    """Where a file of the project is in the site; a source file becomes a page."""
    name = str(path.relative_to(ROOT))
    if name == "README.md":
        return "index.md"
    if name == "docs/README.md":
        return "pages.md"
    if path.suffix == ".md" and path.with_suffix("").is_dir():
        return f"{path.stem}/index.md"
    if path.suffix == ".md":
        return re.sub(r"(^|/)README\.md$", r"\1index.md", name.removeprefix("docs/")).replace("CHANGELOG", "changelog")
    return name.removeprefix("docs/") + ("" if path.suffix in AS_THEY_ARE else ".md")


class Site:
    """The pages as MkDocs reads them, in a folder that is made anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pages = folder / "pages"
        self.scripts: set[str] = set()
        self._written: set[Path] = set()

    def write(self) -> None:
        self.pages.mkdir(parents=True)
        self.scripts = fetch_scripts(self.pages)
        for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
            self._page(page)
        (self.pages / "site.css").write_text(STYLE)
        fences = MERMAID_FENCE if "mermaid.min.js" in self.scripts else " []"
        navigation = json.dumps(list(navigation_of((ROOT / "docs/README.md").read_text())))
        text = f"{CONFIGURATION.replace('FENCES', fences)}nav: {navigation}\n"
        (self.folder / "mkdocs.yml").write_text(text)

    def _page(self, page: Path) -> None:
        here = place(page)

        def moved(found: re.Match[str]) -> str:
            text, path, anchor = found[1], found[2], found[3] or ""
            target = (page.parent / path).resolve()
            target = target / "services.toml" if target.is_dir() else target
            if "://" in path or not target.is_file():
                return found[0]  # MkDocs says what is wrong with it
            if target.suffix != ".md":
                self._file(target)
            elif text.endswith(".md"):  # a name of a file, which is not to be seen here
                text = title(target)
            return f"[{text}]({os.path.relpath(place(target), Path(here).parent)}{anchor})"

        text = outside_fences(page.read_text(), lambda part: LINK.sub(moved, part))
        if "mermaid.min.js" in self.scripts and "```mermaid" in text:
            script = os.path.relpath("mermaid.min.js", Path(here).parent)
            text += f'\n<script src="{script}"></script>\n'
        self._put(here, text)

    def _file(self, path: Path) -> None:
        """A picture as it is; any other file as a page with its text."""
        if path in self._written:
            return
        self._written.add(path)
        if path.suffix in AS_THEY_ARE:
            target = self.pages / place(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            return
        language = {".yml": "yaml", ".py": "python", ".rb": "ruby", ".js": "js"}.get(path.suffix, path.suffix[1:])
        text = path.read_text().rstrip()
        self._put(place(path), f"# {path.relative_to(ROOT)}\n\n````{language}\n{text}\n````\n")

    def _put(self, name: str, text: str) -> None:
        target = self.pages / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def outside_fences(text: str, change: Callable[[str], str]) -> str:
    parts, end = [], 0
    for fence in FENCE.finditer(text):
        parts += [change(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, change(text[end:])])


def navigation_of(index: str) -> Iterator[dict[str, object]]:
    """The start page, then each section of docs/README.md with its pages in their order."""
    yield {"Start": "index.md"}
    headings = HEADINGS.findall(index)
    for heading, section in zip(headings, HEADINGS.split(index)[2::2], strict=True):
        pages = [(ROOT / "docs" / found[2]).resolve() for found in LINK.finditer(section)]
        yield {heading: [entry for page in pages for entry in entries(page)]}
    for heading, names in MORE.items():
        yield {heading: [{title(ROOT / name): place(ROOT / name)} for name in names]}


def entries(page: Path) -> Iterator[dict[str, object]]:
    """A page, and below it those of the folder that belongs to it."""
    folder = page.parent if page.name == "README.md" else page.with_suffix("")
    if folder.is_dir():
        yield {title(page): [place(page), *({title(p): place(p)} for p in sorted(folder.glob("*.md")) if p != page)]}
    else:
        yield {title(page): place(page)}


def title(page: Path) -> str:
    found = re.search(r"^# (.+)$", page.read_text(), re.M)
    assert found is not None
    return found[1]


def fetch_scripts(pages: Path) -> set[str]:
    """Put the scripts beside the pages.  Returns those that npm has fetched; none where it is not installed."""
    fetched: set[str] = set()
    for name, (package, member) in SCRIPTS.items() if shutil.which("npm") else ():
        with tempfile.TemporaryDirectory() as folder:
            npm = ["npm", "pack", "--silent", package]
            if subprocess.run(npm, cwd=folder, stdout=subprocess.DEVNULL, check=False).returncode:
                continue
            with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
                script = archive.extractfile(member)
                assert script is not None
                (pages / name).write_bytes(script.read())
                fetched.add(name)
    return fetched


def build(target: Path) -> int:
    """Build the site; warnings, for example of a link that leads nowhere, are errors."""
    with tempfile.TemporaryDirectory(prefix="site-") as folder:
        site = Site(Path(folder))
        site.write()
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target.resolve())]
        quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # an advertisement on stderr
        done = subprocess.run(command, cwd=folder, env=quiet, stderr=subprocess.PIPE, text=True, check=False)
    print(
        "".join(line for line in done.stderr.splitlines(True) if not line.startswith("INFO")), end="", file=sys.stderr
    )
    for page in target.rglob("*.html") if done.returncode == 0 else ():
        shim = os.path.relpath(target / "iframe-worker.js", page.parent)
        here = f'<script src="{shim}"></script>' if "iframe-worker.js" in site.scripts else ""
        page.write_text(SHIM.sub(here, page.read_text()))
    for name in SCRIPTS.keys() - site.scripts:
        print(f"without {name}, which npm fetches: {WITHOUT[name]}", file=sys.stderr)
    return done.returncode


def main() -> int:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    failed = build(target)
    if not failed:
        print(f"{target / 'index.html'}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
