"""A daemon of build 5600521 is upgraded to this version: by its interpreter, and after its files were replaced."""

from __future__ import annotations

import ast
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

import supervisor
from tests.e2e.conftest import ROOT, Daemon, wait_gone

BUILD = "5600521"
Start = Callable[..., Daemon]

SERVICES = f"""
[services.counter]
command = ["{sys.executable}", "-u", "-c", '''
import itertools, time
for n in itertools.count(1):
    print(n)
    time.sleep(0.01)
''']
log = {{ max_size = "4KiB", keep = 500 }}
[services.steady]
command = ["sleep", "1000"]
restart = {{ initial = "10ms" }}
[services.web]
command = ["sleep", "1001"]
sockets = ["unix:web.sock"]
restart = {{ initial = "10ms" }}
[[services.web.hooks]]
on = ["restarted"]
run = ["sh", "-c", "cat > hooked.new; mv hooked.new hooked"]
[services.beater]
command = ["{sys.executable}", "-c", '''
from supervisor import heartbeat
import time
heartbeat.ready()
while True:
    heartbeat.beat()
    time.sleep(0.05)
''']
ready = {{ notify = true }}
heartbeat = {{ source = "notify", interval = "50ms", target = {{ detect_within = "5s", max_false_restarts = "1/1d" }} }}
[services.done]
type = "oneshot"
command = ["true"]
[services.flapping]
command = ["false"]
restart = {{ initial = "1h", maximum = "1h", jitter = 0.0 }}
[services.broken]
command = ["false"]
restart = {{ initial = "1ms", max_restarts = 2, window = "1h", cooldown = "1h" }}
[services.off]
command = ["sleep", "1002"]
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package `supervisor` of that build, out of this repository's history."""
    archive = subprocess.run(["git", "archive", BUILD, "supervisor"], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode != 0:
        pytest.skip(f"this checkout's history does not reach back to build {BUILD}: {archive.stderr.decode().strip()}")
    directory = tmp_path_factory.mktemp("build")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(directory, filter="data")
    return directory


@pytest.fixture
def old(daemon: Start, sources: Path, tmp_path: Path) -> tuple[Daemon, Path]:
    """A daemon of that build from a copy of its files, with every service where it belongs; and the copy."""
    place = tmp_path / "installed"
    shutil.copytree(sources, place)
    one = daemon(SERVICES, start=False)
    one.start(prefix=["env", f"PYTHONPATH={place}"])
    for instance, state in (("beater", "running"), ("done", "exited"), ("flapping", "backoff"), ("broken", "failed")):
        wait_for(one, instance, state)
    assert one.client.post("/v1/stop", {"services": ["off"]})
    wait_for(one, "off", "stopped")
    return one, place


def wait_for(one: Daemon, name: str, state: str) -> None:
    """Follow the stream until the instance is in that state."""
    with one.client.stream(["status"], interval=0.2) as stream:
        for message in stream:
            rows = {row["name"]: row for row in message[1]["instances"]} if message[0] == "status" else {}
            if name in rows and rows[name]["state"] == state:
                return
    raise AssertionError(f"the daemon ended before {name} was {state}")


KEPT = (
    "name",
    "goal",
    "state",
    "ready",
    "pid",
    "incarnation",
    "restarts",
    "breaker",
    "exit_code",
    "signal",
    "detector",
)


def rows(one: Daemon) -> dict[str, dict[str, object]]:
    """What an upgrade must not change of any instance."""
    return {row["name"]: {key: row[key] for key in KEPT} for row in one.client.get("/v1/status")["instances"]}


def counted(one: Daemon) -> list[int]:
    """All that the counter has said, as the daemon tells it."""
    shown = one.cli("logs", "-n", "1000000", "counter").stdout.split()
    return [int(word) for word in shown if word.isdecimal()]


def upgraded(one: Daemon, python: str = sys.executable) -> None:
    """The daemon is this version now, every instance is what it was, and no line of output is lost."""
    before, said = rows(one), len(counted(one))
    pid = one.client.get("/v1/status")["supervisor"]["pid"]
    run = one.cli("upgrade", "--python", python)
    assert run.returncode == 0, run.stderr
    now = one.client.get("/v1/status")["supervisor"]
    assert (now["pid"], now["version"]) == (pid, supervisor.__version__)
    assert now["upgraded_from"]
    assert rows(one) == before
    assert one.cli("restart", "steady").returncode == 0
    while len(numbers := counted(one)) <= said:
        pass  # until it has said something to the new version
    assert numbers == list(range(1, len(numbers) + 1))
    assert one.stop() == 0
    for row in before.values():
        if row["pid"] is not None:
            wait_gone(int(str(row["pid"])))


def test_by_the_interpreter_of_this_version(old: tuple[Daemon, Path], tmp_path: Path) -> None:
    """The old files stay where they are, as with two virtual environments."""
    one, _ = old
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    upgraded(one, str(python))


def test_after_its_files_were_replaced(old: tuple[Daemon, Path]) -> None:
    """As `pip install --upgrade` does; until it is upgraded, the daemon goes on doing all that it could."""
    one, place = old
    replace(place)
    assert one.client.get("/openapi.json")["openapi"].startswith("3.1")
    assert one.client.get("/v1/instances/web")["command"]
    hooked = one.directory / "hooked"
    before = one.status("web")
    os.kill(before["pid"], 9)  # its socket takes it through the old build's own fork and exec
    with one.client.stream(["status"], interval=0.2) as stream:
        for message in stream:
            if message[0] == "status" and hooked.exists():
                row = next(row for row in message[1]["instances"] if row["name"] == "web")
                if row["incarnation"] == before["incarnation"] + 1 and row["state"] == "running":
                    break
    assert json.loads(hooked.read_text())["instance"] == "web"
    upgraded(one)


def replace(place: Path) -> None:
    shutil.rmtree(place / "supervisor")
    shutil.copytree(
        Path(supervisor.__file__).parent, place / "supervisor", ignore=shutil.ignore_patterns("__pycache__")
    )


def test_whatever_that_build_imports_late_is_there(sources: Path) -> None:
    """No function of a module that its daemon loads imports a module that cannot be found any more."""
    here = Path(supervisor.__file__).parent.parent
    late = _late_imports(sources)
    assert "supervisor.upgrade" in late
    assert [name for name in late if not (here / f"{name.replace('.', '/')}.py").exists()] == []


AT_THE_START = {
    *("supervisor.adapters.inherited", "supervisor.adapters.systemd", "supervisor.adapters.tls"),
    *("supervisor.adapters.token", "supervisor.managed", "supervisor.recovery", "supervisor.settling"),
}
"""Imported in functions that run while that daemon starts, or never after."""


def _late_imports(root: Path) -> list[str]:
    """Modules that are imported inside functions of the daemon's modules, and all that these import in turn."""
    early: set[str] = set()
    late: set[str] = set()
    todo = ["supervisor.daemon", "supervisor.runtime"]
    while todo:
        name = todo.pop()
        if name not in early:
            early.add(name)
            top, inner = _imports(root, name)
            todo += top
            late |= inner
    while True:
        more = {found for name in late for half in _imports(root, name) for found in half} - late
        if not more - early:
            return sorted(late - early - AT_THE_START)
        late |= more - early


def _imports(root: Path, module: str) -> tuple[set[str], set[str]]:
    """Modules of the supervisor that `module` imports at its top, and in functions."""
    top: set[str] = set()
    inner: set[str] = set()

    def visit(node: ast.AST, found: set[str]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.ImportFrom) and (child.module or "").split(".")[0] == "supervisor":
                for alias in child.names:
                    full = f"{child.module}.{alias.name}"
                    found.add(full if _file(root, full).exists() else str(child.module))
            visit(child, inner if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else found)

    visit(ast.parse(_file(root, module).read_text()), top)
    return top, inner


def _file(root: Path, module: str) -> Path:
    path = root / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def test_the_old_names_serve_nothing_else() -> None:
    with pytest.raises(ImportError, match="only serves daemons of build"):
        __import__("supervisor.adapters.sse")
