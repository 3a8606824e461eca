"""The pictures in docs/img are small, and drawing the same input again gives the same bytes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.tools.docs.compact_screenshot import compact as compact_screenshot
from supervisor.detectorlab.compact_svg import compact, simplified
from supervisor.detectorlab.compareplot import draw
from supervisor.detectorlab.comparison import compare
from supervisor.detectorlab.experiment import Setup
from supervisor.detectorlab.scenarios import named

ROOT = Path(__file__).parents[2]
PICTURES = sorted({*(ROOT / "docs/img").glob("*.svg")} - {ROOT / "docs/img/recording.svg"})  # test_recording.py has it
MOST_BYTES = 60_000


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_small_and_bears_no_date(path: Path) -> None:
    text = path.read_text()
    assert len(text.encode()) <= MOST_BYTES
    assert "<dc:date>" not in text
    assert "http" not in re.sub(r"http://www\.w3\.org/|https?://www\.textualize\.io", "", text)


def test_the_same_comparison_gives_the_same_bytes(tmp_path: Path) -> None:
    found = compare(Setup(6000, 1, 1), [named("normal"), named("timer")], ["timeout", "phi", "akka", "adaptive"])
    first, second = tmp_path / "first.svg", tmp_path / "second.svg"
    draw(found, first)
    draw(found, second)
    text = first.read_text()
    assert text == second.read_text()
    assert "mistakes a million beats" in text, "text is text"
    assert len(text) < 20_000


def test_the_pictures_of_detection_are_what_the_rules_do() -> None:
    """`scripts/pictures` draws them from the rules."""
    command = [sys.executable, "-m", "scripts.tools.docs.pictures", "--check"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_line_is_simplified_within_the_tolerance() -> None:
    assert simplified([(0, 0), (1, 0.1), (2, 0), (3, 5), (3, 5)], 0.25) == [(0, 0), (2, 0), (3, 5)]
    assert simplified([(0, 0), (9, 0), (5, 0)], 0.25) == [(0, 0), (9, 0), (5, 0)], "a line may turn back"


def test_what_is_referred_to_keeps_its_id_and_the_rest_goes() -> None:
    drawn = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">
      <metadata>made today</metadata>
      <g id="figure_1"><defs><path id="m0f3" d="M 0 0 L 0 3.512345 "/></defs>
      <g id="line2d_1"><use xlink:href="#m0f3" x="1.2345678" style="fill: none; stroke: #ff0000"/></g></g></svg>"""
    text = compact(drawn)
    assert text.splitlines() == [
        '<svg xmlns="http://www.w3.org/2000/svg"><defs><path id="i0" d="M0 0l0 3.5"/>',
        "</defs>",
        '<use x="1.2" href="#i0" class="c0"/>',
        "<style>*{stroke-linejoin:round}",
        ".c0{fill:none;stroke:#ff0000}</style></svg>",
    ]


def test_a_screenshot_keeps_its_texts_and_colours() -> None:
    cells = "".join(
        f'<rect fill="{fill}" x="{x}" y="{y}" width="12.2" height="24.65" shape-rendering="crispEdges"/>'
        for y in (1.5, 25.9)
        for x, fill in ((0, "#111111"), (12.2, "#111111"), (24.4, "#222222"))
    )
    drawn = (
        '<svg><style>@font-face { src: url("elsewhere") } .terminal-7-r1 { fill: red }</style><defs>'
        '<clipPath id="terminal-7-line-0"><rect x="0"/></clipPath></defs><g>' + cells + "</g>"
        '<text class="terminal-7-r1" x="0" clip-path="url(#terminal-7-line-0)">a&#160;b</text>'
        '<text class="terminal-7-r1" x="9" clip-path="url(#terminal-7-line-0)">&#160;</text></svg>'
    )
    assert compact_screenshot(drawn).splitlines() == [
        '<svg><style>.r1 { fill: red }</style><defs></defs><g><g shape-rendering="crispEdges">'
        '<rect fill="#111111" x="0" y="1.5" width="24.4" height="49.05"/>',
        '<rect fill="#222222" x="24.4" y="1.5" width="12.2" height="49.05"/>',
        "</g>",
        '</g><text class="r1" x="0">a\N{NO-BREAK SPACE}b</text></svg>',
    ]


def test_a_screenshot_stays_as_it_is_when_it_is_made_small_again() -> None:
    text = (ROOT / "docs/img/dashboard.svg").read_text()
    assert compact_screenshot(text) == text
