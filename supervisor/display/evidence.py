"""Lays out evidence of any structure as lines, so that a reader need not know the structure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def evidence_lines(value: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """A label and a text for each line: mappings as headed sections, lists and long texts line by line."""
    pad = "  " * depth
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, dict | list) or "\n" in str(inner):
                yield f"{pad}{key}", ""
                yield from evidence_lines(inner, depth + 1)
            else:
                yield f"{pad}{key:<16} ", str(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from evidence_lines(inner, depth)
    else:
        for text in str(value).splitlines():
            yield pad, text
