"""Bad input, surroundings and moments: each is reported clearly, and the services continue."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE, Daemon, alive, wait_gone
from tests.e2e.hangs.test_probes import until

Make = Callable[..., Daemon]
SLEEPER = '[services.a]\ncommand = ["sleep", "1000"]\n'


def test_a_second_daemon_refuses_and_names_the_first(daemon: Make) -> None:
    d = daemon(SLEEPER)
    d.event("a", "running")
    second = d.cli("run")
    assert second.returncode == 1
    assert str(d.process.pid if d.process else "") in second.stderr
    assert "Traceback" not in second.stderr
    assert d.status("a")["state"] == "running"


def test_a_broken_file_is_refused_with_line_and_key(daemon: Make) -> None:
    d = daemon('[services.a]\ncommand = ["sleep", "1"]\nrestrat = {}\nstop_timeout = 5\n', start=False)
    result = d.cli("run")
    assert result.returncode == 2
    assert "restrat" in result.stderr and "restart" in result.stderr and "stop_timeout" in result.stderr
    assert f"{d.file.name}:" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("change", ["not ours", "others can write", "a file"])
def test_a_runtime_directory_that_is_not_safe(daemon: Make, change: str) -> None:
    d = daemon(SLEEPER, start=False)
    if change == "a file":
        d.runtime_dir.write_text("")
    else:
        d.runtime_dir.mkdir(mode=0o700)
        if change == "not ours":
            if os.geteuid() != 0:
                pytest.skip("only root can give a directory away")
            os.chown(d.runtime_dir, 65534, 65534)
        else:
            d.runtime_dir.chmod(0o777)
    result = d.cli("run")
    assert result.returncode == 1
    assert str(d.runtime_dir) in result.stderr
    assert "Traceback" not in result.stderr


def test_a_program_that_vanishes_is_a_failure_like_another(daemon: Make, tmp_path: Path) -> None:
    program = tmp_path / "program"
    shutil.copy(shutil.which("sleep") or "", program)
    d = daemon(f"""
[services.a]
command = ["{program}", "1000"]
restart = {{ initial = "10ms", max_restarts = 1 }}
[services.b]
command = ["sleep", "1000"]
""")
    d.event("a", "running")
    program.unlink()
    d.client.post("/v1/signal", {"services": ["a"], "signal": "KILL"})
    d.event("a", "backoff")
    failed = d.event("a", "failed", "spawn-failed")
    assert "No such file" in failed["detail"]["error"]
    assert d.status("b")["state"] == "running"


def test_sigterm_while_starting(daemon: Make) -> None:
    d = daemon("""
[services.slow]
command = ["sleep", "1000"]
ready = { tcp = "127.0.0.1:1" }
[services.later]
command = ["sleep", "1000"]
depends_on = ["slow"]
""")
    d.said(lambda line: isinstance(line, dict) and line.get("cause") == "spawned")
    pid = d.status("slow")["pid"]
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    wait_gone(pid)
    assert not [
        x for x in d.lines if isinstance(x, dict) and x.get("instance") == "later" and x.get("detail", {}).get("pid")
    ]


def test_sigterm_twice_kills_what_will_not_go(daemon: Make) -> None:
    d = daemon("""
[services.stubborn]
command = ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"]
stop_timeout = "1h"
ready = { log = "deaf" }
""")
    d.event("stubborn", "running")
    pid = d.status("stubborn")["pid"]
    d.signal(signal.SIGTERM)
    d.event("stubborn", "stopping")
    assert alive(pid)
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    wait_gone(pid)


def test_sighup_reloads_and_touches_only_what_changed(daemon: Make) -> None:
    d = daemon(SLEEPER + '[services.b]\ncommand = ["sleep", "1000"]\n')
    d.event("b", "running")
    before = {n: d.status(n)["pid"] for n in "ab"}
    d.write(SLEEPER + '[services.b]\ncommand = ["sleep", "2000"]\n[services.c]\ncommand = ["sleep", "1"]\n')
    d.signal(signal.SIGHUP)
    d.transitions(("b", "running"), ("c", "running"))
    assert d.status("a")["pid"] == before["a"]
    assert d.status("b")["pid"] != before["b"]
    d.write("[services.a]\ncommand = 3\n")
    for _ in range(2):  # each order is answered, and the problem listed once
        d.signal(signal.SIGHUP)
        d.problem("reload refused")
    (listed,) = d.client.get("/v1/status")["supervisor"]["problems"]
    assert listed.startswith("reload refused")
    assert d.status("a")["pid"] == before["a"]


def test_a_closed_terminal_ends_what_runs_on_it_in_order(daemon: Make) -> None:
    d = daemon(SLEEPER, start=False)
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "supervisor", "run", "-f", str(d.file)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
    )
    os.close(slave)
    said = b""
    while b"running" not in said:
        said += os.read(master, 4096)
    pid = d.status("a")["pid"]
    os.close(master)
    assert process.wait(PATIENCE) == 0
    wait_gone(pid)


def test_nobody_reads_stderr(daemon: Make) -> None:
    d = daemon(
        """
[services.a]
command = ["true"]
restart = { policy = "always", initial = "0s", backoff = "fixed", max_restarts = 100000 }
""",
        start=False,
    )
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "supervisor", "run", "-f", str(d.file)], stdin=subprocess.DEVNULL, stderr=writer
    )
    os.close(writer)
    try:
        said = b""
        while b"running" not in said:
            said += os.read(reader, 4096)
        stream = d.client.stream(["events"])
        for message in stream:
            if message[0] == "event" and message[1]["incarnation"] > 1000:
                break
        assert d.status("a")["incarnation"] > 1000, "it goes on although the pipe is full"
    finally:
        process.terminate()
        process.wait(PATIENCE)
        os.close(reader)


def test_garbage_on_the_sockets(daemon: Make) -> None:
    d = daemon(SLEEPER + 'ready = { delay = "1ms" }\nheartbeat = { source = "notify", interval = "10s" }\n')
    d.event("a", "running")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        for datagram in (
            b"",
            b"\0" * 4096,
            os.urandom(2000),
            b"x" * 65000,
            b"WATCHDOG=trigger",
            b"MAINPID=1",
            b"READY=1\nSTATUS=\x1b[2J",
        ):
            notify.sendto(datagram, str(d.runtime_dir / "notify.sock"))
    for request in (
        b"\0\1\2\3\r\n\r\n",
        b"GET " + b"/" * 70000,
        b"POST /v1/stop HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
    ):
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(d.runtime_dir / "control.sock"))
            control.settimeout(PATIENCE)
            try:
                control.sendall(request)
                assert control.recv(100).startswith(b"HTTP/1.1 4")
            except (BrokenPipeError, ConnectionResetError):
                pass
    row = d.status("a")
    assert (row["state"], row["incarnation"], row["restarts"]) == ("running", 1, 0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of one MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("only root can mount a small filesystem")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_stops_no_service(daemon: Make, small_disk: Path) -> None:
    d = daemon(
        """
[services.chatty]
command = ["sh", "-c", "while :; do head -c 65536 /dev/zero | tr '\\\\0' 'x'; echo; sleep 0.01; done"]
log = { max_size = "10MiB" }
[services.quiet]
command = ["sleep", "1000"]
restart = { initial = "0s", jitter = 0.0, backoff = "fixed", max_restarts = 100 }
""",
        state_dir=small_disk,
    )
    d.event("quiet", "running")
    d.problem("No space left")
    for _ in range(3):
        d.client.post("/v1/signal", {"services": ["quiet"], "signal": "KILL"})
        d.event("quiet", "running")
    assert d.status("chatty")["restarts"] == 0
    assert d.status("chatty")["state"] == "running"


def test_a_corrupt_ledger_is_set_aside(daemon: Make) -> None:
    d = daemon(SLEEPER, start=False)
    d.state_dir.mkdir(mode=0o700)
    (d.state_dir / "ledger.db").write_bytes(b"this is no database" * 1000)
    d.start(wait=False)
    d.problem("ledger")
    d.event("a", "running")
    assert list(d.state_dir.glob("ledger.db.corrupt-*"))


def test_a_double_forked_daemon_ends_with_its_service(daemon: Make, tmp_path: Path) -> None:
    program = tmp_path / "daemonise.py"
    pidfile = tmp_path / "pid"
    program.write_text(f"""
import os, signal, socket
reader, writer = os.pipe()
if os.fork():
    os.read(reader, 1)
    os.execvp("sleep", ["sleep", "1000"])
os.setsid()
if os.fork(): os._exit(0)
open({str(pidfile)!r}, "w").write(str(os.getpid()))
os.write(writer, b"x")
print("daemon is up", flush=True)
while True: signal.pause()
""")
    d = daemon(f'[services.a]\ncommand = ["{sys.executable}", "{program}"]\nready = {{ log = "daemon is up" }}\n')
    d.event("a", "running")
    pid = int(pidfile.read_text())
    assert alive(pid)
    assert d.cli("stop", "a").returncode == 0
    wait_gone(pid)


def test_commands_and_their_exit_codes(daemon: Make) -> None:
    d = daemon(SLEEPER + '[services.b]\ncommand = ["sleep", "1000"]\nautostart = false\n')
    d.event("a", "running")
    assert d.cli("status").returncode == 0
    assert d.cli("start", "b").returncode == 0
    assert d.status("b")["ready"]
    assert d.cli("restart", "b").returncode == 0
    assert d.status("b")["incarnation"] == 2
    assert d.cli("stop", "b").returncode == 0
    assert d.status("b")["state"] == "stopped"
    unknown = d.cli("start", "bb")
    assert unknown.returncode == 4
    assert "bb" in unknown.stderr
    assert d.cli("signal", "a", "--signal", "NOPE").returncode == 2
    assert d.cli("signal", "a").returncode == 1, "its reload signal would end it"
    assert d.cli("signal", "a", "-s", "HUP").returncode == 0
    d.event("a", "starting", "signalled-by-user")
    d.event("a", "running")
    assert "sleep" in d.cli("check").stdout
    assert d.cli("events", "--json").stdout.count("\n") > 5
    assert d.cli("down").returncode == 0
    assert d.wait() == 0
    assert d.cli("start", "a").returncode == 5


MANY = "".join(f'[services.s{n}]\ncommand = ["sleep", "1000"]\n' for n in range(60))
FEW = ("sh", "-c", 'ulimit -n 90; exec "$@"', "sh")


def test_few_descriptors_leave_enough_for_orders(daemon: Make) -> None:
    d = daemon(MANY, start=False).start(prefix=FEW)
    failed = d.said(lambda line: isinstance(line, dict) and line.get("cause") == "spawn-failed")
    assert "descriptor" in failed["detail"]["error"] or "Too many open files" in failed["detail"]["error"]
    rows = d.client.get("/v1/status")["instances"]
    running = {r["name"]: r["pid"] for r in rows if r["pid"]}
    assert running
    name = next(iter(running))
    assert d.cli("stop", name).returncode == 0
    assert d.cli("reload").returncode == 0
    d.signal(signal.SIGKILL)
    d.wait()
    d.start(prefix=FEW)
    again = {r["name"]: r["pid"] for r in d.client.get("/v1/status")["instances"] if r["pid"]}
    assert running.items() - again.items() == {(name, running[name])}
    assert not [line for line in d.lines if "internal error" in str(line)]


def test_what_ran_with_enough_descriptors_is_taken_up_with_few(daemon: Make) -> None:
    d = daemon(MANY)
    d.event("s59", "running")
    before = {r["name"]: r["pid"] for r in d.client.get("/v1/status")["instances"]}
    d.signal(signal.SIGKILL)
    d.wait()
    d.start(prefix=FEW)
    assert {r["name"]: r["pid"] for r in d.client.get("/v1/status")["instances"]} == before
    d.problem("is not read")
    assert d.cli("stop", "s7").returncode == 0


def test_fewer_descriptors_than_processes_touch_none_of_them(daemon: Make) -> None:
    d = daemon(MANY)
    d.event("s59", "running")
    before = {r["name"]: r["pid"] for r in d.client.get("/v1/status")["instances"]}
    d.signal(signal.SIGKILL)
    d.wait()
    d.start(prefix=("sh", "-c", 'ulimit -n 60; exec "$@"', "sh"), wait=False)
    assert d.wait() == 1
    d.said(lambda line: "LimitNOFILE" in str(line))
    assert all(map(alive, before.values()))
    d.start()
    assert {r["name"]: r["pid"] for r in d.client.get("/v1/status")["instances"]} == before


@pytest.mark.parametrize("crashed", [False, True], ids=["cold", "after a crash"])
def test_a_full_runtime_directory(daemon: Make, small_disk: Path, crashed: bool) -> None:
    d = daemon(SLEEPER, start=False)
    d.file.write_text(d.file.read_text().replace(f'"{d.runtime_dir}"', f'"{small_disk}"'))
    d.runtime_dir = small_disk
    pid = 0
    if crashed:
        d.start()
        pid = d.event("a", "running")["detail"]["pid"]
        d.signal(signal.SIGKILL)
        d.wait()
    with suppress(OSError), (small_disk / "fill").open("wb", buffering=0) as fill:
        while fill.write(b"x" * 4096):
            pass
    d.start()
    until(lambda: d.status("a")["state"] == "running")  # it answers before it starts something
    assert not pid or d.status("a")["pid"] == pid
    if not crashed:
        d.problem("No space left")
        (small_disk / "fill").unlink()
        d.said(lambda line: "saved again" in str(line))
        assert (small_disk / "plan.json").exists()
    assert not [line for line in d.lines if "Traceback" in str(line) or "internal error" in str(line)]


def test_a_read_only_runtime_directory_is_told(daemon: Make, small_disk: Path) -> None:
    d = daemon(SLEEPER, start=False)
    d.file.write_text(d.file.read_text().replace(f'"{d.runtime_dir}"', f'"{small_disk}"'))
    d.runtime_dir = small_disk
    d.start()
    pid = d.event("a", "running")["detail"]["pid"]
    d.signal(signal.SIGKILL)
    d.wait()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    refused = d.cli("run")
    assert refused.returncode == 1, "a service manager tries it again"
    assert "Read-only" in refused.stderr and str(small_disk) in refused.stderr
    assert "Traceback" not in refused.stderr and alive(pid)
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    d.start()
    assert d.status("a")["pid"] == pid
