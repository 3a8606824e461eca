"""The spawn of a plain service by posix_spawn, and when it is left to another way."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.linux.mounts import MountTable
from supervisor.adapters.processes.direct import spawn_directly
from supervisor.adapters.processes.spawn import Spawner
from supervisor.core.model.spec import ServiceSpec


def run(tmp_path: Path, *command: str, **keys: Any) -> str:
    """Spawn, wait for success; what it wrote."""
    output = tmp_path / "output"
    spec = ServiceSpec(name="web", command=command, **keys)
    with output.open("wb") as file:
        pid = Spawner(os.environ, "id", "/notify").spawn(spec, "web", 1, file.fileno())
        assert os.waitpid(pid, 0)[1] == 0
    return output.read_text()


def program(path: Path, text: str, mode: int = 0o755) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


@pytest.fixture
def no_popen(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("three times the cost for nothing")

    monkeypatch.setattr(subprocess, "Popen", refuse)


@pytest.mark.usefixtures("no_popen")
def test_it_begins_in_its_directory_and_the_daemon_stays_in_its_own(tmp_path: Path) -> None:
    there, here = tmp_path / "there", Path.cwd()
    program(there / "tool", "#!/bin/sh\npwd; readlink /proc/$$/cwd; cat /proc/$$/stat")
    first, second, stat = run(tmp_path, "./tool", directory=str(there)).splitlines()
    assert (first, second) == (str(there), str(there))
    pid, _, _, _, _, session, *_ = stat.split()
    assert pid == session
    assert Path.cwd() == here


@pytest.mark.usefixtures("no_popen")
def test_a_program_is_looked_for_in_the_path_of_the_service(tmp_path: Path) -> None:
    program(tmp_path / "a" / "tool", "#!/bin/sh\necho a", 0o644)
    (tmp_path / "b" / "tool").mkdir(parents=True)
    program(tmp_path / "c" / "tool", "#!/bin/sh\necho c")
    path = ":".join(str(tmp_path / place) for place in ("none", "a", "b", "c"))
    assert run(tmp_path, "tool", directory="/", environment=(("PATH", path),)) == "c\n"


@pytest.mark.usefixtures("no_popen")
@pytest.mark.parametrize(
    ("command", "directory", "error", "name"),
    [
        ("no-such-program", "/", FileNotFoundError, "no-such-program"),
        ("/etc/passwd/x", "/", NotADirectoryError, "/etc/passwd/x"),
        ("/etc/passwd", "/", PermissionError, "/etc/passwd"),
        ("true", "/no/such", FileNotFoundError, "/no/such"),
    ],
)
def test_why_a_program_cannot_be_executed(
    tmp_path: Path, command: str, directory: str, error: type[OSError], name: str
) -> None:
    here = Path.cwd()
    with pytest.raises(error) as raised:
        run(tmp_path, command, directory=directory)
    assert raised.value.filename == name
    assert Path.cwd() == here


@pytest.mark.usefixtures("no_popen")
def test_a_text_without_interpreter_is_no_program(tmp_path: Path) -> None:
    program(tmp_path / "tool", "echo a shell would take this")
    with pytest.raises(OSError, match="Exec format error"):
        run(tmp_path, str(tmp_path / "tool"), directory="/")


def test_a_umask_is_set_by_popen(tmp_path: Path) -> None:
    assert run(tmp_path, "sh", "-c", "umask", directory="/", umask=0o27).strip() in ("0027", "027")


@pytest.mark.usefixtures("no_popen")
def test_popen_is_asked_where_the_c_library_cannot_begin_a_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def old(*_: object, **__: object) -> None:
        raise NotImplementedError("The POSIX_SPAWN_SETSID flag is not supported")

    monkeypatch.setattr(os, "posix_spawn", old)
    with pytest.raises(AssertionError, match="three times"):
        run(tmp_path, "true", directory="/")


@pytest.mark.usefixtures("no_popen")
def test_popen_is_asked_where_the_daemon_is_on_a_file_system_that_may_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MountTable, "is_home_remote", lambda _table: True)
    with pytest.raises(AssertionError, match="three times"):
        run(tmp_path, "true", directory="/")


def test_no_descriptor_overwrites_another(tmp_path: Path) -> None:
    assert spawn_directly(("true",), str(tmp_path), {}, (5, 0, 1)) is None
