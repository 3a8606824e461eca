"""Processes that cannot run are held: real ones, stopped, traced, frozen and starved, under the real daemon."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.linux import procfs
from tests.e2e.conftest import PATIENCE, ROOT, Daemon, alive

Make = Callable[..., Daemon]

WORKER = """
import os, socket, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.connect(os.environ["NOTIFY_SOCKET"])
    sock.send(b"READY=1")
    while True:
        time.sleep(0.05)
        sock.send(b"WATCHDOG=1")
"""
HEARTBEAT = 'heartbeat = { source = "notify", interval = "50ms", min_timeout = "300ms", max_timeout = "1s" }'
TRACER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
pid = int(sys.argv[1])
ATTACH, DETACH = 16, 17
assert libc.ptrace(ATTACH, pid, None, None) == 0, os.strerror(ctypes.get_errno())
os.waitpid(pid, 0x40000000)
print("attached", flush=True)
sys.stdin.read()
assert libc.ptrace(DETACH, pid, None, None) == 0, os.strerror(ctypes.get_errno())
"""
DATABASE = """
import os, socket
server = socket.create_server("db.new", family=socket.AF_UNIX)
os.rename("db.new", "db")  # it listens
while True:
    server.accept()[0].sendall(b"x")
"""
ASKS_FIRST = WORKER.replace(
    "time.sleep(0.05)",
    """time.sleep(0.05)
        with socket.socket(socket.AF_UNIX) as db:
            db.connect("db")
            db.recv(1)""",
)
SPINS = "while True: pass"
LONG = 3.0
"""Seconds of a hold, several times what a hang would be given (max_timeout) and several looks."""


def beating(daemon: Make, tmp_path: Path, *, wrapped: bool = False) -> tuple[Daemon, int]:
    """The daemon, and the pid of the worker's main process."""
    program = tmp_path / "worker.py"
    program.write_text(WORKER)
    command = [sys.executable, "-S", str(program)]
    if wrapped:
        command = ["/bin/sh", "-c", f"{' '.join(command)}; exit 7"]
    d = daemon(f"[services.worker]\ncommand = {json.dumps(command)}\nready = {{ notify = true }}\n{HEARTBEAT}\n")
    d.event("worker", "running")
    return d, d.status("worker")["pid"]


def is_held(d: Daemon, pid: int, why: str) -> None:
    """It is held, for this reason and with numbers, shown as such, and stays so for a LONG time.

    On a busy machine the first look may find another reason: that it waits for a CPU.
    """
    held = d.event("worker", "suspect", "held")
    assert held["detail"].keys() >= {"for_s", "ran_s", "waited"}
    deadline = time.monotonic() + PATIENCE
    while why not in (reason := d.status("worker")["held"] or ""):
        assert time.monotonic() < deadline, reason
        time.sleep(0.1)
    until = time.monotonic() + LONG
    while time.monotonic() < until:
        row = d.status("worker")
        assert (row["state"], row["pid"]) == ("suspect", pid)
        assert why in row["held"]
        time.sleep(0.1)
    assert alive(pid)
    assert why in d.cli("status").stdout
    assert why in d.cli("why", "worker").stdout


def is_well_again(d: Daemon, pid: int) -> None:
    assert d.event("worker", "running")["cause"] in ("heartbeat-resumed", "hold-over")
    row = d.status("worker")
    assert (row["pid"], row["restarts"], row["held"]) == (pid, 0, None)


def test_stopped_by_hand(daemon: Make, tmp_path: Path) -> None:
    d, pid = beating(daemon, tmp_path)
    os.kill(pid, signal.SIGSTOP)
    is_held(d, pid, "stopped (SIGSTOP)")
    os.kill(pid, signal.SIGCONT)
    is_well_again(d, pid)


def test_stopped_behind_a_wrapper(daemon: Make, tmp_path: Path) -> None:
    """The main process is a shell that waits; the one that beats is its child."""
    d, pid = beating(daemon, tmp_path, wrapped=True)
    (child,) = procfs.children(pid)
    os.kill(child, signal.SIGSTOP)
    is_held(d, pid, f"stopped (SIGSTOP): pid {child}")
    os.kill(child, signal.SIGCONT)
    is_well_again(d, pid)


def test_what_it_depends_on_is_stopped(daemon: Make, tmp_path: Path) -> None:
    """The kernel takes connections for a stopped server, so it is not silent, but what asks it does not get on."""
    programs = {"db": DATABASE, "worker": ASKS_FIRST}
    for name, program in programs.items():
        (tmp_path / f"{name}.py").write_text(program)
    tables = [
        f"[services.{name}]\ndirectory = {json.dumps(str(tmp_path))}\n"
        f"command = {json.dumps([sys.executable, '-S', f'{name}.py'])}\n"
        for name in programs
    ]
    db_is_ready = 'ready = { exec = ["test", "-S", "db"], interval = "50ms" }\n'
    d = daemon(f"{tables[0]}{db_is_ready}{tables[1]}ready = {{ notify = true }}\ndepends_on = ['db']\n{HEARTBEAT}\n")
    d.event("worker", "running")
    db, pid = d.status("db")["pid"], d.status("worker")["pid"]
    os.kill(db, signal.SIGSTOP)
    is_held(d, pid, "db, which it depends on, is stopped (SIGSTOP)")
    os.kill(db, signal.SIGCONT)
    is_well_again(d, pid)


@contextmanager
def attached(command: list[str], says: str) -> Iterator[subprocess.Popen[str]]:
    """A tracer that has said that it holds its process; it lets go when its input ends."""
    tracer = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert tracer.stdin is not None and tracer.stdout is not None
    try:
        assert any(says in line for line in tracer.stdout), "it could not attach"
        yield tracer
        tracer.stdin.close()
        tracer.wait(PATIENCE)
    finally:
        tracer.kill()
        tracer.wait()
        tracer.stdout.close()


def test_traced(daemon: Make, tmp_path: Path) -> None:
    d, pid = beating(daemon, tmp_path)
    with attached([sys.executable, "-S", "-c", TRACER, str(pid)], "attached") as tracer:
        is_held(d, pid, f"traced by pid {tracer.pid}")
    is_well_again(d, pid)


@pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is not installed")
def test_in_a_debugger(daemon: Make, tmp_path: Path) -> None:
    d, pid = beating(daemon, tmp_path)
    # Without symbols: reading them takes long, and this test does not use them.
    quick = ["gdb", "-q", "-nx", "-iex", "set auto-solib-add off"]
    with attached([*quick, "-p", str(pid), "-ex", "echo attached\\n"], "attached") as gdb:
        is_held(d, pid, f"traced by pid {gdb.pid}")
    is_well_again(d, pid)


def cgroup_of_worker(pid: int) -> Path:
    """Its directory, as soon as the daemon has put it there, which is a moment after the start."""
    until = time.monotonic() + PATIENCE
    while not (path := procfs.cgroup_of(pid) or "").endswith("/worker"):
        assert time.monotonic() < until, f"it is still in {path}"
        time.sleep(0.01)
    directory = procfs.cgroup_directory(path)
    assert directory is not None
    return Path(directory)


def test_frozen(daemon: Make, tmp_path: Path) -> None:
    d, pid = beating(daemon, tmp_path)
    if d.client.get("/v1/status")["supervisor"]["trees"] != "cgroup":
        pytest.skip("no cgroups of our own here")
    freezer = cgroup_of_worker(pid) / "cgroup.freeze"
    freezer.write_text("1")
    try:
        is_held(d, pid, "frozen cgroup")
    finally:
        freezer.write_text("0")
    is_well_again(d, pid)


def test_starved_of_cpu(daemon: Make, tmp_path: Path) -> None:
    """It may run on one CPU only, where a real-time loop leaves it a twentieth of the time, once a second."""
    d, pid = beating(daemon, tmp_path)
    cpu = {min(os.sched_getaffinity(0))}
    with subprocess.Popen([sys.executable, "-S", "-c", SPINS]) as hog:
        try:
            os.sched_setaffinity(hog.pid, cpu)
            os.sched_setaffinity(pid, cpu)
            try:
                os.sched_setscheduler(hog.pid, os.SCHED_FIFO, os.sched_param(1))
            except PermissionError:
                pytest.skip("no real-time scheduling for us")
            held = d.event("worker", "suspect", "held")
            assert held["detail"]["held"] == "starved of CPU"
            assert held["detail"]["waited"]["share"] >= 0.5
        finally:
            hog.kill()
    is_well_again(d, pid)


def chaos(*arguments: str) -> dict[str, Any]:
    """What `scripts/chaos` found, which is to be no violation."""
    command = [sys.executable, "-m", "scripts.tools.chaos", *arguments, "--json"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_nobody_is_suspected_because_the_daemon_was_stopped() -> None:
    assert chaos("--frozen", "20", "--for", "4s")["suspicions"] == 0


def test_a_hang_at_any_moment_of_the_period_is_found() -> None:
    report = chaos("--hangs", "4", "--seed", "5")
    assert report["within"] == report["hangs"] == 4
