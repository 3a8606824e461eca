"""Writes matplotlib figures into files: .png, .svg, or an HTML page that contains one.

The same figure always gives the same bytes, and an SVG is small, so that it can be kept in a repository.
"""

from __future__ import annotations

from html import escape
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from supervisor.detectorlab.compact_svg import compact
from supervisor.errors import OperationFailed


def figure(width: float, height: float) -> Any:
    """An empty figure; lengths in inches. Raises OperationFailed if matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise OperationFailed("pictures need matplotlib, which is not installed", "pip install '.[lab]'") from None
    return Figure(figsize=(width, height), layout="constrained")


def save(made: Any, path: Path) -> None:
    """Write a .png or .svg file. Raises OperationFailed if it cannot be written."""
    if path.suffix == ".svg":
        _write(path, b'<?xml version="1.0" encoding="utf-8"?>\n' + _svg(made).encode())
        return
    image = BytesIO()
    made.savefig(image, format=path.suffix[1:], dpi=120)
    _write(path, image.getvalue())


def save_page(made: Any, path: Path, title: str, body: str) -> None:
    """Write a page that needs no other file; `body` is HTML, below the picture."""
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><h1>{escape(title)}</h1>\n'
        f"{_svg(made)}{body}\n</html>\n"
    )
    _write(path, page.encode())


def _svg(made: Any) -> str:
    from matplotlib import rc_context

    drawn = StringIO()
    with rc_context({"svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans"]}):  # text stays text
        made.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return compact(drawn.getvalue())


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise OperationFailed(f"{path} cannot be written: {error.strerror}") from None
