"""Imports point down only: cli → runtime → {engine | adapters | config} → core; dashboard → client → core."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "supervisor"

CORE_MAY_IMPORT = {
    "array", "bisect", "collections", "collections.abc", "contextlib", "dataclasses", "datetime", "difflib", "enum",
    "functools", "heapq", "itertools", "math", "re", "types", "typing", "__future__",
}  # fmt: skip

LAYERS = {
    # who → whom, beside itself and errors
    "core": {"core"},
    "config": {"core", "config"},
    "adapters": {"core", "adapters"},
    "client": {"core"},
    "display": {"core"},
    "dashboard": {"core", "client", "display"},
    "detectorlab": {"core", "config"},
    "launch": set(),
    "daemon/__main__": {"core", "adapters", "daemon.rehearsal", "daemon.runtime", "launch"},
    "daemon/runtime": {
        "core", "adapters", "daemon.parts", "daemon.previous_run", "daemon.checkpoints", "daemon.control",
        "daemon.effects", "daemon.recovery", "daemon.service_manager",
    },
    "daemon/control": {"core", "adapters", "launch", "daemon.parts", "daemon.reload", "daemon.upgrade"},
    "daemon/effects": {"core", "adapters", "daemon.parts"},
    "daemon/recovery": {"core", "daemon.previous_run", "daemon.reload"},
    "daemon/rehearsal": {"core", "adapters", "daemon.previous_run"},
    "daemon/upgrade": {"core", "adapters", "launch", "daemon.engine"},
    "daemon/service_manager": {"core", "adapters", "daemon.parts"},
    "daemon/parts": {"core", "adapters", "daemon.engine", "daemon.previous_run"},
    "daemon/previous_run": {"core", "adapters"},
    "daemon/reload": {"core"},
    "daemon/engine": {"core"},
    "daemon/checkpoints": {"core"},
}  # fmt: skip

HEAVY = {
    "pydantic", "pydantic_core", "click", "rich", "textual", "tenacity", "apprise", "asyncio", "logging", "email",
    "http.client", "urllib.request", "ssl", "tempfile", "uuid", "psutil", "h11", "prometheus_client", "tomllib",
}  # fmt: skip


def imports(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    """Every module that the file imports, TYPE_CHECKING blocks left out."""
    tree = ast.parse(path.read_text())
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if top_level_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "supervisor":
                yield from (f"supervisor.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""
        todo += ast.iter_child_nodes(node)


def modules(layer: str) -> list[Path]:
    place = ROOT / layer
    return sorted(place.rglob("*.py")) if place.is_dir() else [ROOT / f"{layer}.py"]


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_down(layer: str) -> None:
    for path in modules(layer):
        for name in imports(path):
            if name.startswith("supervisor."):
                allowed = LAYERS[layer] | {layer.replace("/", "."), "errors", "__version__"}
                assert any(f"{name}.".startswith(f"supervisor.{below}.") for below in allowed), (
                    f"{path.relative_to(ROOT)} imports {name}"
                )


def test_the_core_is_pure() -> None:
    for path in modules("core"):
        for name in imports(path):
            if not name.startswith("supervisor."):
                assert name in CORE_MAY_IMPORT, f"{path.name} imports {name}"


def test_nothing_sleeps_in_the_core_or_reads_a_clock() -> None:
    for path in modules("core"):
        tree = ast.parse(path.read_text())
        calls = {ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
        assert not calls & {"time.time", "time.monotonic", "time.sleep", "datetime.now", "open", "print"}, path.name


def loaded_by(code: str) -> set[str]:
    """Names of the modules that a fresh interpreter holds after `code`."""
    command = [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_the_daemon_does_not_pay_for_what_it_does_not_need() -> None:
    assert not HEAVY & loaded_by("import supervisor.daemon.__main__, supervisor.daemon.runtime")


def test_status_does_not_pay_for_what_it_does_not_need() -> None:
    click = loaded_by("import click")
    assert not HEAVY & (loaded_by("import supervisor.cli.status, supervisor.client") - click)


def test_the_diagram_is_what_the_rules_do() -> None:
    """`scripts/diagram` draws it from the transcripts into ARCHITECTURE.md."""
    command = [sys.executable, "-m", "scripts.tools.docs.diagram", "--check"]
    result = subprocess.run(command, cwd=ROOT.parent, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_reference_is_what_the_schema_says() -> None:
    """`scripts/reference` writes docs/configuration.md."""
    command = [sys.executable, "-m", "scripts.tools.docs.reference", "--check"]
    result = subprocess.run(command, cwd=ROOT.parent, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
