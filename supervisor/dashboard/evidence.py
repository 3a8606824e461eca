"""Formats evidence of any structure as a page, so that the dashboard need not know the structure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from supervisor.dashboard.spans import Line, Span, clean, line


def evidence_lines(value: Any, depth: int = 0) -> Iterator[Line]:
    """Mappings as headed sections, lists and long texts line by line."""
    pad = "  " * depth
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, dict | list) or "\n" in str(inner):
                yield (Span(f"{pad}{clean(str(key))}", "accent"),)
                yield from evidence_lines(inner, depth + 1)
            else:
                yield line(Span(f"{pad}{clean(str(key)):<16} ", "muted"), clean(str(inner)))
    elif isinstance(value, list):
        for inner in value:
            yield from evidence_lines(inner, depth)
    else:
        for text in str(value).splitlines():
            yield (Span(pad + clean(text)),)
