"""A process whose files are replaced goes on with the sources that it kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import supervisor
from supervisor import own_sources
from supervisor.adapters.control import openapi
from supervisor.errors import ConfigError, OperationFailed
from tests.test_architecture import graph, loaded_by

DAEMON = "import supervisor.daemon.__main__, supervisor.daemon.runtime"
REPLACE = """
import pathlib, supervisor
for file in pathlib.Path(supervisor.__file__).parent.rglob("*.py"):
    file.write_text("raise SystemExit('another version')")
"""
"""Code that replaces the files of the package by an incompatible version's."""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A copy of the package, in a directory for PYTHONPATH."""
    place = tmp_path / "installed"
    package = Path(supervisor.__file__).parent
    shutil.copytree(package, place / "supervisor", ignore=shutil.ignore_patterns("__pycache__"))
    return place


def run(place: Path, *code: str) -> str:
    """What an interpreter with that package prints when it has kept its sources and then runs `code`."""
    text = "\n".join([DAEMON, "from supervisor import own_sources", "own_sources.keep()", *code])
    command = [sys.executable, "-c", text]
    environment = {**os.environ, "PYTHONPATH": str(place)}
    done = subprocess.run(command, env=environment, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_kept_sources_are_in_no_memory_of_the_daemon(installed: Path) -> None:
    """They are needed by few daemons, and late."""
    shown = "import os; print(os.readlink(f'/proc/self/fd/{own_sources._kept._fd}'))"
    assert run(installed, shown).startswith("/var/tmp/#")
    size = run(
        installed,
        "import os; print(os.fstat(own_sources._kept._fd).st_size < own_sources._ROOM, 'zlib' in dir(own_sources))",
    )
    assert size.split() == ["True", "False"]


@pytest.mark.parametrize("lack", ["own_sources._KEPT_IN = '/nowhere'", "own_sources._ROOM = 1 << 62"])
def test_where_the_disk_takes_no_file_the_sources_are_kept_in_memory(installed: Path, lack: str) -> None:
    look = "from supervisor.daemon import upgrade; print(upgrade.__loader__)"
    where = "import os; print(os.readlink(f'/proc/self/fd/{own_sources._kept._fd}'))"
    fd, loader = run(installed, lack, "own_sources.keep()", REPLACE, where, look).splitlines()
    assert fd.startswith("/memfd:sources")
    assert "_Finder" in loader


def test_whatever_a_daemon_may_import_later_is_kept(installed: Path) -> None:
    edges, found, todo = graph(), set[str](), ["daemon.__main__"]
    while todo:
        module = todo.pop()
        if module not in found:
            found.add(module)
            todo += edges[module]
    later = {f"supervisor.{module}" for module in found} - loaded_by(DAEMON)
    assert "supervisor.daemon.upgrade" in later
    later -= loaded_by(f"{DAEMON}; import supervisor.daemon.web.view")  # all at once, when the daemon starts
    kept = set(run(installed, "print(*own_sources._kept._known)").split())
    assert later - kept == set()


def test_what_children_import_is_kept() -> None:
    """The process that becomes a program imports nothing else of ours, and the runner of hooks nothing at all."""
    loaded = loaded_by("import supervisor.adapters.processes.become, supervisor.adapters.hooks.runner")
    ours = {name for name in loaded if name.partition(".")[0] == "supervisor"}
    assert ours | {"supervisor.own_sources"} == own_sources.OF_CHILDREN
    hooks = {name for name in loaded_by("import supervisor.adapters.hooks.runner") if name.startswith("supervisor")}
    assert hooks == {
        "supervisor",
        "supervisor.adapters",
        "supervisor.adapters.hooks",
        "supervisor.adapters.hooks.runner",
    }


LATER = "from supervisor.adapters.diagnosis.examiner import Examiner; from supervisor.daemon.upgrade import upgrade"


def test_a_module_is_imported_from_its_kept_source_where_its_file_was_replaced(installed: Path) -> None:
    assert run(installed, REPLACE, LATER, "print(Examiner.__name__)") == "Examiner\n"


def test_a_module_is_imported_from_its_kept_source_where_its_file_is_gone(installed: Path) -> None:
    gone = "import shutil; shutil.rmtree(supervisor.__path__[0])"
    there = "print(Examiner.__name__, supervisor.adapters.diagnosis.__file__)"
    package = installed / "supervisor" / "adapters" / "diagnosis" / "__init__.py"
    assert run(installed, gone, LATER, there) == f"Examiner {package}\n"


def test_a_module_whose_file_is_the_same_is_imported_from_it(installed: Path) -> None:
    """The sources are not unpacked, and the interpreter's cache of compiled code serves as always."""
    shown = "print(type(Examiner.__init__.__globals__['__loader__']).__name__, own_sources._kept._finder)"
    assert run(installed, LATER, shown) == "SourceFileLoader None\n"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param("", False, id="nothing"),
        pytest.param(REPLACE, True, id="all files"),
        pytest.param("open(supervisor.__path__[0] + '/config/load.py', 'a').write('pass')", True, id="the compiler"),
        pytest.param("open(supervisor.__path__[0] + '/core/newer.py', 'w')", True, id="one more file"),
        pytest.param("import shutil; shutil.rmtree(supervisor.__path__[0])", True, id="all is gone"),
        pytest.param("open(supervisor.__path__[0] + '/cli/up.py', 'a').write('pass')", False, id="the command line"),
    ],
)
def test_it_is_told_whether_files_were_replaced(installed: Path, change: str, told: bool) -> None:
    assert run(installed, change, "print(own_sources.replaced())") == f"{told}\n"


def test_children_run_the_files_where_only_others_were_replaced(installed: Path) -> None:
    """So that few files are looked at for each hook."""
    change = "open(supervisor.__path__[0] + '/config/load.py', 'a').write('pass')"
    shown = "print(own_sources.of_children(), own_sources.main_module('supervisor.adapters.hooks.runner'))"
    assert run(installed, change, shown) == "('', {}) ['-m', 'supervisor.adapters.hooks.runner']\n"


def test_nothing_was_replaced_where_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_sources, "_kept", None)
    assert not own_sources.replaced()
    assert own_sources.main_module("supervisor.adapters.hooks.runner") == ["-m", "supervisor.adapters.hooks.runner"]
    assert own_sources.of_children() == ("", {})


APART = """
import os
from supervisor.adapters.processes.apart import popen_apart
from supervisor.adapters.processes.become import Identity
from supervisor.core.model.spec import SandboxSpec
def start():
    reader, writer = os.pipe()
    pid = popen_apart(
        ["sh", "-c", "echo $GREETING"], directory="/", environment={**os.environ, "GREETING": "hello"},
        identity=Identity(umask=0o77), stdin=0, output=1, errors=2, report=writer,
    )
    os.close(writer)
    assert os.read(reader, 4096) == b""
    assert os.waitpid(pid, 0)[1] == 0
start()
"""


def test_a_program_is_started_apart_by_kept_sources(installed: Path) -> None:
    assert run(installed, APART, REPLACE, "start()") == "hello\nhello\n"


RUNNER = """
import subprocess, sys
job = b'{"run": ["echo", "done"], "event": {}}'
def hook():
    command = [sys.executable, "-P", *own_sources.main_module("supervisor.adapters.hooks.runner")]
    return subprocess.run(command, input=job).returncode
"""


def test_a_hook_is_run_by_the_kept_runner(installed: Path) -> None:
    assert run(installed, RUNNER, "print(hook())", REPLACE, "print(hook())") == "0\n0\n"


COMPILE = """
from supervisor.daemon.compilation import compile_file
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.core.model.spec import Plan, SupervisorSpec
loop = EventLoop()
def done(result):
    print(type(result).__name__, result)
    loop.stop()
compile_file(loop, Plan(supervisor=SupervisorSpec(), services=(), path="services.toml"), done)
print("asked")
loop.run()
"""


def test_the_compiler_of_another_version_is_not_asked(installed: Path) -> None:
    """The answer comes after the call, as that of the compiler does."""
    (installed / "services.toml").write_text('[services.web]\ncommand = ["true"]\n')
    words = f"{own_sources.REPLACED}\n  It applies the edited file, too."
    assert run(installed, COMPILE).startswith("asked\nPlan ")
    assert run(installed, REPLACE, COMPILE) == f"asked\n{ConfigError.__name__} {words}\n"


def test_the_api_of_another_version_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_sources, "replaced", lambda: True)
    with pytest.raises(OperationFailed, match=own_sources.REPLACED):
        openapi.document()
