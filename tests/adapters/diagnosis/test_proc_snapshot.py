"""Evidence from /proc of real processes: stopped, traced, busy, numerous, ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from supervisor.adapters.diagnosis import open_sockets
from supervisor.adapters.diagnosis import proc_snapshot as module
from supervisor.adapters.diagnosis.proc_snapshot import MOST, examine, host
from supervisor.adapters.linux import freezer, procfs
from supervisor.core.model.evidence_documents import Evidence

SLEEPER = "import sys, time; sys.stdout.write('x'); sys.stdout.flush(); sys.stdin.read()"
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start Python code that writes an `x` when it is where it shall be; it ends when its stdin closes."""
    started: list[subprocess.Popen[bytes]] = []

    def run(code: str = SLEEPER, **options: object) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **options,  # type: ignore[call-overload]
        )
        started.append(process)
        assert process.stdout is not None and process.stdout.read(1) == b"x"
        wait_until_asleep(process.pid)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def look(pid: int, members: list[int] | None = None, lines: list[str] | None = None, budget: float = 5.0) -> Evidence:
    held, found = examine(pid, [pid] if members is None else members, lines or [], budget, time.monotonic)
    assert found["held"] == held
    assert json.dumps(found, allow_nan=False)
    return found


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.fixture
def v1_freezer() -> Iterator[Path]:
    """A cgroup of the v1 freezer, which is thawed in the end."""
    mounts = freezer._v1_mounts()
    if not mounts or not os.access(mounts[0][1], os.W_OK):
        pytest.skip("no v1 freezer can be used here")
    made = Path(mounts[0][1]) / f"phi-test-{os.getpid()}"
    made.mkdir()
    yield made
    (made / "freezer.state").write_text("THAWED")
    mine = (made / "cgroup.procs").read_text().split()
    for pid in mine:
        (made.parent / "cgroup.procs").write_text(pid)
    made.rmdir()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


def wait_until_asleep(pid: int) -> None:
    """The kernel does not report that, so it is polled."""
    deadline = time.monotonic() + 10.0
    while state(pid) != "S":
        assert time.monotonic() < deadline
        os.sched_yield()


def wait_for_stop(pid: int) -> None:
    """Until waitid says so: the parent is told of a stop."""
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    assert state(pid) == "T"


def test_what_an_ordinary_process_does_is_told(start: Start) -> None:
    process = start()
    began = time.monotonic()
    found = look(process.pid, lines=["one", "two"])
    took = time.monotonic() - began
    assert found["held"] is None
    assert found["last_lines"] == ["one", "two"]
    (seen,) = found["processes"]
    assert seen["pid"] == process.pid
    assert seen["ppid"] == os.getpid()
    assert seen["state"] == "S"
    assert seen["command"] is not None and SLEEPER[:40] in seen["command"]
    assert seen["memory_bytes"] > 1_000_000
    assert seen["fds"] is not None and seen["fds"] >= 3
    assert [file["fd"] for file in seen["files"]][:3] == [0, 1, 2]
    assert seen["files"][0]["is"].startswith("pipe:[")
    assert seen["limits"]["nofile"] > 0
    (thread,) = seen["threads"]
    assert (thread["tid"], thread["state"]) == (process.pid, "S")
    assert set(thread) >= {"name", "waits_in", "cpu_s"}
    assert found["took_ms"] <= 1000 * took + 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may see where a thread waits in the kernel")
def test_where_it_waits_in_the_kernel(start: Start) -> None:
    (thread,) = look(start().pid)["processes"][0]["threads"]
    assert any("pipe_read" in str(frame) for frame in [thread["waits_in"], *thread.get("stack", [])])


def test_a_stopped_process_is_held(start: Start) -> None:
    process = start()
    os.kill(process.pid, signal.SIGSTOP)
    wait_for_stop(process.pid)
    assert look(process.pid)["held"] == "stopped (SIGSTOP)"
    os.kill(process.pid, signal.SIGCONT)
    os.waitid(os.P_PID, process.pid, os.WCONTINUED)
    assert look(process.pid)["held"] is None


def test_a_traced_process_is_held_and_its_tracer_named(start: Start) -> None:
    tracer = start(
        "import ctypes, os, sys\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    sys.stdin.read(); os._exit(0)\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "assert libc.ptrace(16, child, None, None) == 0, ctypes.get_errno()\n"
        "os.waitpid(child, 0x40000000)\n"
        "sys.stdout.write('x%d\\n' % child); sys.stdout.flush(); sys.stdin.read(); os.kill(child, 9)\n"
    )
    assert tracer.stdout is not None
    child = int(tracer.stdout.readline())
    assert look(child)["held"] == f"traced by pid {tracer.pid}"


@pytest.mark.parametrize(
    ("status", "frozen", "held"),
    [
        ({"State": "T (stopped)", "TracerPid": "0"}, None, "stopped (SIGSTOP)"),
        ({"State": "t (tracing stop)", "TracerPid": "7"}, None, "traced by pid 7"),
        ({"State": "t (tracing stop)"}, None, "traced"),
        ({"State": "S (sleeping)", "TracerPid": "0"}, "frozen cgroup", "frozen cgroup"),
        ({"State": "S (sleeping)", "TracerPid": "0"}, None, None),
        ({}, None, None),
    ],
)
def test_what_excuses_silence(status: dict[str, str], frozen: str | None, held: str | None) -> None:
    assert module._held(status, frozen) == held


def test_a_frozen_cgroup_is_read_from_its_events(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = start()
    monkeypatch.setattr(procfs, "cgroup_directory", lambda path: f"{tmp_path}{path}")
    monkeypatch.setattr(procfs, "cgroup_of", lambda pid: "/a/b")
    events = tmp_path / "a/b/cgroup.events"
    events.parent.mkdir(parents=True)
    events.write_text("populated 1\nfrozen 1\n")
    assert look(process.pid)["held"] == "frozen cgroup"
    events.write_text("populated 1\nfrozen 0\n")
    assert look(process.pid)["held"] is None


def test_a_process_in_a_frozen_v1_cgroup_is_held(start: Start, v1_freezer: Path) -> None:
    process, other = start(), start()
    (v1_freezer / "cgroup.procs").write_text(str(process.pid))
    (v1_freezer / "freezer.state").write_text("FROZEN")
    wait_for(lambda: (v1_freezer / "freezer.state").read_text() == "FROZEN\n")
    held = f"frozen by the v1 freezer /{v1_freezer.name}"
    found = look(process.pid)
    assert found["held"] == held
    assert found["cgroup"] is None or found["cgroup"]["frozen"]
    found = look(other.pid, [other.pid, process.pid])
    assert found["held"] == f"{held}: pid {process.pid}, until the others could have answered"
    (v1_freezer / "freezer.state").write_text("THAWED")
    assert look(process.pid)["held"] is None


def test_of_the_environment_only_the_names(start: Start) -> None:
    process = start(env={"TOKEN": "sesame", "EMPTY": "", "with space": "x", "PATH": os.environ["PATH"]})
    found = look(process.pid)
    assert {"TOKEN", "EMPTY"} <= set(found["processes"][0]["environment"])
    assert "with space" not in found["processes"][0]["environment"]
    assert "sesame" not in json.dumps(found)


def test_where_its_sockets_lead(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_sockets, "_TABLE", 1 << 26)  # other tests may leave thousands of sockets in TIME_WAIT
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        process = start(
            "import os, socket, sys\n"
            f"tcp = socket.create_connection(('127.0.0.1', {port}))\n"
            "tcp6 = socket.socket(socket.AF_INET6) if socket.has_ipv6 else tcp\n"
            "pair = socket.socketpair(); bound = socket.socket(socket.AF_UNIX)\n"
            "bound.bind('\\0phi-test-%d' % os.getpid())\n"
            "udp = socket.socket(type=socket.SOCK_DGRAM); udp.bind(('127.0.0.1', 0))\n"
            "sys.stdout.write('x'); sys.stdout.flush(); sys.stdin.read()"
        )
        sockets = look(process.pid)["processes"][0]["sockets"]
    (tcp,) = [s for s in sockets if s["kind"] == "tcp" and s["remote"] == f"127.0.0.1:{port}"]
    assert (tcp["state"], tcp["send_queue"], tcp["receive_queue"]) == ("established", 0, 0)
    assert any(s["kind"] == "udp" and s["local"].startswith("127.0.0.1:") for s in sockets)
    assert any(s["kind"] == "unix" and s["path"] == f"@phi-test-{process.pid}" for s in sockets)


def test_which_files_are_open_up_to_a_bound(start: Start, tmp_path: Path) -> None:
    process = start(
        f"import sys; keep = [open({str(tmp_path)!r} + '/%d' % i, 'w') for i in range(200)]\n"
        "sys.stdout.write('x'); sys.stdout.flush(); sys.stdin.read()"
    )
    (seen,) = look(process.pid)["processes"]
    assert len(seen["files"]) == 30
    assert str(tmp_path / "0") in [file["is"] for file in seen["files"]]


def test_a_socket_that_several_processes_share_is_told_of_each(start: Start) -> None:
    parent = start(
        "import os, socket, sys\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "child = os.fork()\n"
        "if child: sys.stdout.write('x%d\\n' % child); sys.stdout.flush()\n"
        "sys.stdin.read()"
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    for seen in look(parent.pid, [parent.pid, child])["processes"]:
        assert [s["state"] for s in seen["sockets"]] == ["listen"]


def test_sockets_are_described_up_to_a_bound(start: Start) -> None:
    process = start(
        "import socket, sys; keep = [socket.socket() for _ in range(120)]\n"
        "sys.stdout.write('x'); sys.stdout.flush(); sys.stdin.read()"
    )
    found = look(process.pid, [process.pid, process.pid])["processes"][0]
    assert found["fds"] is not None and found["fds"] >= 123
    assert len(found["sockets"]) == 50


def test_a_process_that_is_gone_is_no_error() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    found = look(process.pid, [process.pid, 2**22 + 1])
    assert found["held"] is None
    assert found["processes"] == []


def test_a_zombie_is_no_error() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    try:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        (seen,) = look(process.pid)["processes"]
        assert seen["state"] == "Z"
    finally:
        process.wait()


def test_a_process_of_many_threads_and_long_words_fits(start: Start) -> None:
    process = start(
        "import sys, threading\n"
        "e = threading.Event()\n"
        "for _ in range(300): threading.Thread(target=e.wait, daemon=True).start()\n"
        "sys.stdout.write('x'); sys.stdout.flush(); sys.stdin.read()",
        env={f"VARIABLE_{'X' * 100}_{i}": "v" for i in range(1000)},
    )
    members = [process.pid] * 40
    found = look(process.pid, [*members, os.getpid()], ["\x00" * 5000] * 500)
    assert len(json.dumps(found)) <= MOST
    assert found["processes"][0]["thread_count"] == 301
    assert found["processes"][0]["threads"]
    assert len(found["last_lines"]) <= module.LINES


def test_only_so_many_processes(start: Start) -> None:
    mine = start()
    others = [start() for _ in range(3)]
    monkey = module.PROCESSES
    try:
        module.PROCESSES = 2
        found = look(mine.pid, [mine.pid, *(other.pid for other in others)])
    finally:
        module.PROCESSES = monkey
    assert [p["pid"] for p in found["processes"]] == [mine.pid, others[0].pid]
    assert found["processes_left_out"] == 2


def test_the_budget_is_kept(start: Start) -> None:
    """A clock of which every reading takes a tenth of a second."""
    process = start()
    ticks = count()
    held, found = examine(process.pid, [process.pid] * 50, [], 0.5, lambda: next(ticks) * 0.1)
    assert found["cut_short"] == "after 0.5 s"
    assert next(ticks) < 10
    assert held is None
    assert held == examine(process.pid, [process.pid], [], 0.0, time.monotonic)[0]


def test_a_stopped_process_is_recognised_without_any_budget(start: Start) -> None:
    process = start()
    os.kill(process.pid, signal.SIGSTOP)
    wait_for_stop(process.pid)
    assert examine(process.pid, [process.pid], [], 0.0, time.monotonic)[0] == "stopped (SIGSTOP)"


def test_what_could_make_us_wait_is_not_asked(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread in state D may hold the lock that reading the command line needs."""
    process = start()
    read = procfs.read
    asked: list[str] = []

    def uninterruptible(path: str, *maximum: int) -> bytes | None:
        asked.append(path.rpartition("/")[2])
        content = read(path, *maximum)
        return content.replace(b") S ", b") D ") if content and path.endswith("/stat") else content

    monkeypatch.setattr(procfs, "read", uninterruptible)
    (seen,) = look(process.pid)["processes"]
    assert seen["state"] == "D"
    assert not {"cmdline", "environ"} & set(asked)
    assert seen["command"] is None


def test_the_host_is_told_with_it() -> None:
    found = host()
    assert len(found["load"]) == 3
    if Path("/proc/pressure/cpu").exists():
        assert len(found["psi"]["cpu"]["some"]) == 2
    assert module._pressure(b"some avg10=1.50 avg60=2.25 avg300=0.00 total=1\nfull avg10=x\n\nodd") == {
        "some": [1.5, 2.25]
    }
