"""Evidence as a page of the dashboard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from supervisor.dashboard.spans import Line, Span, clean, line
from supervisor.display.evidence import evidence_lines


def evidence_page(value: Any) -> Iterator[Line]:
    """A line for each line of the evidence; headings stand out."""
    for label, text in evidence_lines(value):
        yield line(Span(clean(label), "muted" if text else "accent"), clean(text))
