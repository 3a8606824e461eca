"""The tests of a stage that run the line of a change: a run of the unchanged tree under coverage tells.

What does not run such a line cannot notice a change in it.  Statements outside of functions run at the import of their
module, whoever imports it, so that nothing is known of them here.
"""

from __future__ import annotations

import ast
from pathlib import Path

from coverage import CoverageData

from scripts.tools.mutation.places import Place


class Lines:
    """What one stage runs; `data` is the file that coverage wrote, with a context for each test where it knows any."""

    def __init__(self, root: Path, data: Path) -> None:
        self._root = root
        self._data = CoverageData(str(data))
        self._data.read()

    def contexts(self, place: Place) -> set[str] | None:
        """The tests that run a line of the place's statement, as pytest names them, or "" for a stage without names.

        None: it cannot be told."""
        lines = lines_of((self._root / place.path).read_bytes(), place)
        if lines is None:
            return None
        known = self._data.contexts_by_lineno(str(self._root / place.path))
        return {context.split("|")[0] for line in lines for context in known.get(line, ())}


def lines_of(source: bytes, place: Place) -> range | None:
    """The innermost statement around the place, or its head where it has a body.  None outside of functions."""
    begins = [0]
    for line in source.splitlines(keepends=True):
        begins.append(begins[-1] + len(line))

    def holds(node: ast.stmt | ast.expr) -> bool:
        assert node.end_lineno is not None and node.end_col_offset is not None
        begin = begins[node.lineno - 1] + node.col_offset
        return begin <= place.begin and place.end <= begins[node.end_lineno - 1] + node.end_col_offset

    innermost: ast.stmt | None = None
    inside = False
    body: list[ast.stmt] = list(ast.parse(source).body)
    while body:
        node = body.pop()
        if not holds(node):
            continue
        inside = inside or isinstance(innermost, ast.FunctionDef | ast.AsyncFunctionDef)
        innermost = node
        body = [part for part in _statements(node) if holds(part)]
    if innermost is None or not inside:
        return None
    parts = [part.lineno for part in _statements(innermost)]
    end = min(parts) - 1 if parts else innermost.end_lineno or innermost.lineno
    return range(innermost.lineno, max(end, innermost.lineno) + 1)


def _statements(node: ast.stmt) -> list[ast.stmt]:
    """The statements directly in it."""
    found: list[ast.stmt] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            found.append(child)
        elif isinstance(child, ast.ExceptHandler | ast.match_case):
            found += child.body
    return found
