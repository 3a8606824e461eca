"""Pictures into files: .png, .svg, or a page that holds one."""

from __future__ import annotations

from html import escape
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from supervisor.errors import OperationFailed


def figure(width: float, height: float) -> Any:
    """An empty one; inches.  OperationFailed where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise OperationFailed("pictures are drawn by matplotlib, which is not here", "pip install '.[lab]'") from None
    return Figure(figsize=(width, height), layout="constrained")


def save(made: Any, path: Path) -> None:
    """A .png or .svg file.  OperationFailed where it cannot be written."""
    image = BytesIO()
    made.savefig(image, format=path.suffix[1:], dpi=120)
    _write(path, image.getvalue())


def save_page(made: Any, path: Path, title: str, body: str) -> None:
    """A page that needs nothing else; `body` is HTML, below the picture."""
    svg = StringIO()
    made.savefig(svg, format="svg")
    drawn = svg.getvalue()
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><h1>{escape(title)}</h1>\n'
        f"{drawn[drawn.index('<svg') :]}\n{body}\n</html>\n"
    )
    _write(path, page.encode())


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise OperationFailed(f"{path} cannot be written: {error.strerror}") from None
