"""Orphans of an earlier daemon are found by their mark, and no other process is killed in their place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux import procfs
from supervisor.adapters.processes import marks, orphans
from supervisor.adapters.processes.attribution import Attribution
from supervisor.adapters.processes.command_trees import CommandTrees
from supervisor.core.services.adoption import MarkedProcess

PATIENCE = 60.0


@pytest.fixture
def marked(tmp_path: Path):  # type: ignore[no-untyped-def]
    """A process with the supervisor's mark, after its exec."""
    marks = {"SUPERVISOR_ID": tmp_path.name, "SUPERVISOR_INSTANCE": "web", "SUPERVISOR_INCARNATION": "3"}
    child = subprocess.Popen(
        ["sh", "-c", "echo up; read line"],
        env=marks | os.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout is not None
    child.stdout.readline()
    yield child
    child.kill()
    child.wait()


def test_a_marked_process_is_found_with_what_it_is(marked: subprocess.Popen[bytes], tmp_path: Path) -> None:
    start = procfs.start_time(marked.pid)
    assert orphans.find(tmp_path.name, "/nowhere") == [MarkedProcess(marked.pid, start or 0, "web", 3, True)]
    assert orphans.find("somebody-else", "/nowhere") == []
    assert orphans.describe(orphans.find(tmp_path.name, "/nowhere")[0]) in {f"{marked.pid} sh ({s})" for s in "SR"}


def test_what_only_fled_into_a_session_of_its_own_is_no_main_process(tmp_path: Path) -> None:
    program = "import os; os.fork() or (os.setsid(), os.write(1, b'up\\n'), os.read(0, 1)); os.wait()"
    mark = {"SUPERVISOR_ID": tmp_path.name, "SUPERVISOR_INSTANCE": "web", "SUPERVISOR_INCARNATION": "3"}
    child = subprocess.Popen(
        [sys.executable, "-S", "-c", program],
        env=mark | os.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert child.stdout is not None
        child.stdout.readline()
        assert {f.pid == child.pid: f.leader for f in orphans.find(tmp_path.name, "/")} == {True: True, False: False}
    finally:
        child.communicate(b"x")


def test_one_without_environment_is_known_by_its_number(tmp_path: Path) -> None:
    with marks.inherited_by_children(marks.mark_for(tmp_path.name, "web")):
        child = subprocess.Popen(["sleep", "1000"], env={}, start_new_session=True)
    try:
        found = orphans.find(tmp_path.name, "/nowhere", ["db", "web"])
        assert [(f.pid, f.instance, f.incarnation, f.leader) for f in found] == [(child.pid, "web", None, True)]
        assert orphans.find(tmp_path.name, "/nowhere", ["db"]) == []
    finally:
        child.kill()
        child.wait()


def test_a_probe_or_hook_is_no_part_of_its_instance(tmp_path: Path) -> None:
    """Not by its environment, nor by its number where it has cleared that."""
    command = CommandTrees(EventLoop(), tmp_path.name, set()).begin("web@1")
    with marks.inherited_by_children(command.mark):
        told = subprocess.Popen(["sleep", "1000"], env=command.environment, start_new_session=True)
        bare = subprocess.Popen(["sleep", "1000"], env={}, start_new_session=True)
    try:
        found = {f.pid: (f.instance, f.incarnation) for f in orphans.find(tmp_path.name, "/nowhere", ["web@1"])}
        assert found == {told.pid: ("a probe or hook of web@1", None), bare.pid: ("a probe or hook", None)}
        assert marks.identity(told.pid) == (tmp_path.name, "command 0")
        assert Attribution({}, None, tmp_path.name).resolve(told.pid) != "web@1"
    finally:
        for child in (told, bare):
            child.kill()
            child.wait()


@pytest.mark.parametrize("pipe", ["web", "web@stderr"])
def test_what_is_between_two_programs_is_known_by_its_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pipe: str
) -> None:
    os.mkfifo(tmp_path / pipe)
    fd = os.open(tmp_path / pipe, os.O_RDWR)
    child = subprocess.Popen(["sleep", "1000"], stdout=fd, start_new_session=True)
    os.close(fd)
    read = procfs.read

    def hidden(path: str, maximum: int = 1 << 20) -> bytes | None:
        return b"" if path == f"/proc/{child.pid}/environ" else read(path, maximum)

    monkeypatch.setattr(procfs, "read", hidden)
    try:
        found = orphans.find(tmp_path.name, str(tmp_path))
        assert [(f.pid, f.instance, f.incarnation, f.leader) for f in found] == [(child.pid, "web", None, True)]
    finally:
        child.kill()
        child.wait()


def test_a_stray_is_ended_and_gone_on_return(marked: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert orphans.end(orphans.find(tmp_path.name, "/nowhere")) == []
    assert marked.wait(PATIENCE) == -9


def test_another_process_of_that_number_is_left_alone(marked: subprocess.Popen[bytes], tmp_path: Path) -> None:
    (found,) = orphans.find(tmp_path.name, "/nowhere")
    assert orphans.end([found._replace(start=found.start + 1)]) == []
    assert marked.poll() is None


def test_what_cannot_be_killed_is_named(
    marked: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = orphans.find(tmp_path.name, "/nowhere")
    monkeypatch.setattr(orphans, "GONE_WITHIN", 0.05)
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *_: None)  # as good as state D
    assert orphans.end(found) == found
