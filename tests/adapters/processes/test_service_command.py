"""What a command beside a service gets, and what is told where that cannot be had."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.adapters.processes.service_command import (
    Refused,
    Running,
    environment_of,
    environment_of_process,
    execute_as,
)
from supervisor.core.model.spec import HeartbeatSpec, ServiceSpec

WEB = ServiceSpec(
    name="web",
    command=("true",),
    environment=(("KEY", "own"),),
    unset_environment=("AWAY",),
    heartbeat=HeartbeatSpec(source="notify"),
)
RUN = """
import json, sys
from supervisor.adapters.processes.service_command import Running, execute_as
from supervisor.core.model.spec import ServiceSpec
from supervisor.core.model.plain import from_plain
spec, words, group, main = json.loads(sys.argv[1])
running = Running(0, main, group) if group or main else None
try:
    execute_as(from_plain(ServiceSpec, spec), "web", words, {b"PATH": b"/usr/bin:/bin"}, running, print)
except OSError as error:
    print(type(error).__name__, error.filename, error.strerror)
"""


def ran(words: list[str], group: str | None = None, main: int | None = None, **spec: object) -> str:
    """What the command prints, run in a process of its own."""
    given = json.dumps([{"name": "web", "command": ["true"], **spec}, words, group, main])
    command = [sys.executable, "-u", "-c", RUN, given]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_it_cannot_speak_for_the_service() -> None:
    inherited = {"KEY": "inherited", "AWAY": "1", "PATH": "/bin", "NOTIFY_SOCKET": "/up", "SUPERVISOR_ID": "of another"}
    found = environment_of(WEB, "web@2", 7, inherited, {"SUPERVISOR_EPOCH": "4"})
    assert found == {
        b"KEY": b"own",
        b"PATH": b"/bin",
        b"SUPERVISOR_SERVICE": b"web",
        b"SUPERVISOR_INSTANCE": b"web@2",
        b"SUPERVISOR_INCARNATION": b"7",
        b"SUPERVISOR_EPOCH": b"4",
    }


def test_the_environment_of_a_process() -> None:
    found = environment_of_process(os.getpid())
    assert found is not None and found["PATH"]
    assert environment_of_process(2**22 + 1) is None, "there is none"


def test_directory_and_limits_of_the_definition() -> None:
    code = "import os, resource; print(os.getcwd(), resource.getrlimit(7), os.nice(0))"
    before = os.nice(0)
    out = ran([sys.executable, "-c", code], directory="/usr", limits=[["nofile", 99]], nice=min(19, before + 1))
    assert out == f"/usr (99, 99) {min(19, before + 1)}\n"


def test_the_limits_that_the_main_process_has_now() -> None:
    with subprocess.Popen(["sh", "-c", "ulimit -n 77; echo; exec sleep 1000"], stdout=subprocess.PIPE) as main:
        try:
            assert main.stdout is not None and main.stdout.readline()
            assert ran(["sh", "-c", "ulimit -n"], main=main.pid, limits=[["nofile", 99]]) == "77\n"
        finally:
            main.kill()


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("there-is-no-such", "FileNotFoundError there-is-no-such not found in the PATH of the service"),
        ("/etc/passwd", "PermissionError /etc/passwd Permission denied"),
    ],
)
def test_a_program_that_cannot_be_executed(word: str, told: str) -> None:
    assert ran([word]).strip() == told


def test_a_directory_that_is_gone() -> None:
    assert ran(["true"], directory="/there/is/none").strip() == "Refused /there/is/none No such file or directory"


def test_a_cgroup_that_is_out_of_reach_is_told(tmp_path: Path) -> None:
    (tmp_path / "exec:web").mkdir()
    (tmp_path / "exec:web" / "cgroup.procs").mkdir()  # cannot be written to
    told, out = ran(["echo", "ran"], group=str(tmp_path)).splitlines()
    assert told == "it runs in the cgroup of the caller, without the limits of the service's: Is a directory"
    assert out == "ran", "it runs all the same"


def test_another_user_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    spec = ServiceSpec(name="web", command=("true",), user=99)
    with pytest.raises(Refused) as refused:
        execute_as(spec, "web", ["true"], {}, Running(0, None, None), print)
    assert refused.value.errno == errno.EPERM and "only root" in str(refused.value.strerror)
