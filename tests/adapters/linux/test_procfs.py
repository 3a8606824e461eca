"""The reader of /proc: real processes, odd names, and processes that have ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.adapters.linux import procfs


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    """A shell with a child and a grandchild, `cat`, which has answered: so all three run what they are to run."""
    script = "exec 3<&0; sh -c 'cat <&3 & wait' & wait"
    process = subprocess.Popen(
        ["sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "MARK": "me=1"},
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"there\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"there\n"
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.stdin.close()
    process.stdout.close()
    process.wait()


def gone() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_stat_agrees_with_psutil(parent: subprocess.Popen[bytes]) -> None:
    stat, other = procfs.stat(parent.pid), psutil.Process(parent.pid)
    assert stat is not None
    assert (stat.name, stat.ppid, stat.pgrp, stat.session) == ("sh", os.getpid(), parent.pid, parent.pid)
    assert abs(stat.rss - other.memory_info().rss) < 1 << 20 and stat.threads == 1 and stat.state in "SR"
    assert abs(psutil.boot_time() + stat.start * procfs.TICK - other.create_time()) < 2
    assert procfs.start_time(parent.pid) == stat.start


def test_a_name_with_parentheses_and_spaces(tmp_path: Path) -> None:
    program = tmp_path / "a) R 1 (b"
    shutil.copy(shutil.which("sleep") or "", program)
    process = subprocess.Popen([program, "60"])
    try:
        stat = procfs.stat(process.pid)
        assert stat is not None and (stat.name, stat.ppid) == ("a) R 1 (b", os.getpid())
    finally:
        process.kill()
        process.wait()


@given(st.binary(max_size=400))
def test_any_bytes_are_taken_apart_or_refused(content: bytes) -> None:
    procfs.parse_stat(content)
    assert procfs.parse_stat(b"1 (" + content) is None or b")" in content


def test_the_family(parent: subprocess.Popen[bytes]) -> None:
    child, grandchild = procfs.descendants(parent.pid)
    assert procfs.children(parent.pid) == [child] and procfs.children(child) == [grandchild]
    assert procfs.command_line(grandchild) == ["cat"]
    assert parent.pid in procfs.pids()


def test_children_without_the_kernels_help(parent: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = procfs.descendants(parent.pid)
    read = procfs.read
    monkeypatch.setattr(procfs, "_HAS_CHILDREN_FILES", False)
    monkeypatch.setattr(
        procfs, "read", lambda path, *maximum: None if path.endswith("/children") else read(path, *maximum)
    )
    assert procfs.descendants(parent.pid) == expected


def test_children_of_every_thread_count() -> None:
    script = (
        "import subprocess, sys, threading; hold = threading.Event()\n"
        "def go():\n"
        "    subprocess.Popen(['sleep', '60']); print(flush=True); hold.wait()\n"
        "threading.Thread(target=go, daemon=True).start(); hold.wait()"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == b"\n"
        assert len(procfs.children(process.pid)) == 1
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_more_children_than_fit_one_read() -> None:
    script = "import os, time\nfor _ in range(900):\n    os.fork() or os.execvp('sleep', ['sleep', '60'])\n"
    process = subprocess.Popen(
        [sys.executable, "-c", script + "print(flush=True); time.sleep(60)"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == b"\n"
        assert len(procfs.children(process.pid)) == 900
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_environment(parent: subprocess.Popen[bytes]) -> None:
    assert procfs.environment_value(parent.pid, "MARK") == "me=1"
    assert procfs.environment_value(parent.pid, "MAR") is None


def test_a_large_environment_is_read_to_its_end() -> None:
    env = {f"V{i}": "x" * 1000 for i in range(100)} | {"LAST": "here"}
    process = subprocess.Popen(["/bin/cat"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        # The kernel shows no environment before the program has begun: an echo tells that it has.
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"\n"
        assert procfs.environment_value(process.pid, "LAST") == "here"
    finally:
        process.kill()
        process.communicate()


def test_moving_bytes_is_seen() -> None:
    before = procfs.io_bytes(os.getpid())
    reader, writer = os.pipe()
    os.write(writer, b"x" * 1000)
    os.read(reader, 1000)
    assert procfs.io_bytes(os.getpid()) >= before + 2000
    os.close(reader)
    os.close(writer)


def test_cgroups() -> None:
    path = procfs.cgroup_of(os.getpid())
    assert path is None or path.startswith("/")
    root = next((p for p in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified") if Path(p, "cgroup.procs").exists()), None)
    if root is None or path is None:
        pytest.skip("no cgroup v2 hierarchy here")
    assert os.getpid() in procfs.cgroup_members(root + path.rstrip("/"))


def test_boot_id() -> None:
    assert len(procfs.boot_id()) == 36 and procfs.boot_id() == procfs.boot_id()


def test_who_is_gone_is_no_error() -> None:
    pid = gone()
    assert procfs.stat(pid) is procfs.start_time(pid) is procfs.cgroup_of(pid) is None
    assert procfs.environment_value(pid, "X") is None and procfs.io_bytes(pid) == 0
    assert procfs.children(pid) == procfs.descendants(pid) == procfs.command_line(pid) == []
    assert procfs.cgroup_members("/nowhere") == []
