"""The tests that can notice a change: those that run its line; where that cannot be told, those that import its module.

Those at the same place in tests/ as the module in its package come first, then those that import little: they are
quick, and find most changes.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from scripts.tools.mutation.lines import Lines
from scripts.tools.mutation.places import Place


def concerned(root: Path, place: Place, folders: Sequence[str], lines: Lines | None) -> list[str]:
    """Test files below `folders`, or single tests in them, the nearest first; all relative to `root`."""
    files = _by_imports(root, place.path, folders)
    run = lines.contexts(place) if lines else None
    if run is None:
        return files
    rank = {file: number for number, file in enumerate(files)}
    tests = [test for test in run if test.split("::")[0] in rank]
    return sorted(tests, key=lambda test: (rank[test.split("::")[0]], test))


def _by_imports(root: Path, module: str, folders: Sequence[str]) -> list[str]:
    """Test files whose imports reach the file `module`, directly or through others."""
    mirrored = str(Path("tests", *Path(module).parts[1:-1]))
    found = []
    for folder in folders:
        for path in sorted((root / folder).rglob("test_*.py")):
            test = str(path.relative_to(root))
            reached = _reached(root, test)
            if module in reached:
                found.append((not test.startswith(f"{mirrored}/"), len(reached), test))
    return [test for _, _, test in sorted(found)]


@cache
def _reached(root: Path, start: str) -> frozenset[str]:
    """All files that an import of `start` reads."""
    reached: set[str] = set()
    todo = [start]
    while todo:
        file = todo.pop()
        if file not in reached:
            reached.add(file)
            todo += _imported(root, file)
    return frozenset(reached)


@cache
def _imported(root: Path, file: str) -> tuple[str, ...]:
    """The files of the tree that `file` imports, wherever in it the import stands."""
    found: list[str] = []
    for node in ast.walk(ast.parse((root / file).read_bytes())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found += _files(root, alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += _files(root, node.module)
            for alias in node.names:
                found += _files(root, f"{node.module}.{alias.name}")
    return tuple(dict.fromkeys(found))


def _files(root: Path, module: str) -> list[str]:
    """The file of the module, if it is one of the tree, and the packages that it is in."""
    parts = module.split(".")
    packages = [Path(*parts[:n], "__init__.py") for n in range(1, len(parts) + 1)]
    return [str(p) for p in (*packages, Path(*parts).with_suffix(".py")) if (root / p).is_file()]
