"""The style sheet: its colours have the contrast of WCAG 2.1 AA in both looks.  `scripts/browser` tries whole pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from supervisor.web import pages

STYLE = (Path(pages.__file__).parent / "style.css").read_text()
TEXT = ("ink", "soft", "link", "good", "busy", "warn", "alarm", "off")
"""Tokens of text, which stands on `ground` and `panel`, and on a row of a service, which mixes `idle` into it."""


def looks() -> dict[str, dict[str, tuple[float, ...]]]:
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    first = colours(light)
    return {"light": first, "dark": first | colours(dark)}


def colours(block: str) -> dict[str, tuple[float, ...]]:
    found = {}
    for name, digits in re.findall(r"--(\w+): #([0-9a-f]{3,6});", block):
        whole = digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)
        found[name] = tuple(int(whole[at : at + 2], 16) / 255 for at in (0, 2, 4))
    return found


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """WCAG 2.1, relative luminance and contrast ratio."""

    def luminance(colour: tuple[float, ...]) -> float:
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("look", ["light", "dark"])
def test_text_can_be_read(look: str) -> None:
    tokens = looks()[look]
    row = tuple(0.45 * idle + 0.55 * panel for idle, panel in zip(tokens["idle"], tokens["panel"], strict=True))
    for name in TEXT:
        for ground in (tokens["ground"], tokens["panel"], row):
            assert contrast(tokens[name], ground) >= 4.5, (look, name)


@pytest.mark.parametrize("look", ["light", "dark"])
def test_a_failure_stands_out_of_the_strip(look: str) -> None:
    tokens = looks()[look]
    assert contrast(tokens["down"], tokens["idle"]) >= 3.0


def test_every_colour_of_the_sheet_is_a_token() -> None:
    rest = re.sub(r":root \{.*?\}", "", STYLE, flags=re.DOTALL)
    assert re.findall(r"#[0-9a-f]{3,6}\b(?=[;\s])", rest) == []
    assert "@import" not in STYLE and "url(" not in STYLE
