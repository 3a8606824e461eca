"""What a service says by sd_notify beside READY and WATCHDOG: reloads, errors, its main process, whose word counts."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Daemon, alive

Start = Callable[..., Daemon]
SPEAKS = """
import array, os, signal, socket, sys, time

def notify(text, *descriptors):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendmsg([text.encode()], rights, 0, os.environ["NOTIFY_SOCKET"])

"""


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / f"service{len(list(tmp_path.iterdir()))}.py"
    path.write_text(SPEAKS + text)
    return f'["{sys.executable}", "{path}"]'


RELOADS = """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP, signal.SIGUSR1])
notify("READY=1")
while True:
    number = signal.sigwait([signal.SIGHUP, signal.SIGUSR1])
    notify(f"RELOADING=1\\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
    if number == signal.SIGUSR1 or "FAILS" in os.environ:
        sys.exit(3)
    if "HANGS" not in os.environ:
        notify("READY=1")
"""


def reloading(tmp_path: Path, environment: str = "", timeout: str = "30s") -> str:
    return f"""
        [services.web]
        command = {written(tmp_path, RELOADS)}
        ready = {{ notify = true, notify_reload = true }}
        start_timeout = "{timeout}"
        environment = {{ {environment} }}
    """


def test_a_reload_signal_returns_when_the_service_has_reloaded(daemon: Start, tmp_path: Path) -> None:
    d = daemon(reloading(tmp_path))
    d.event("web", "running", "ready")
    done = d.cli("signal", "web")
    assert (done.returncode, done.stdout) == (0, "web  reload signal sent\nweb  reloaded\n")
    d.event("web", "running", "reload-done")
    assert d.status("web")["reload"]["state"] == "done"
    assert d.cli("signal", "--no-wait", "web").stdout == "web  reload signal sent\n"


def test_a_reload_that_does_not_end_is_told_and_the_service_runs_on(daemon: Start, tmp_path: Path) -> None:
    d = daemon(reloading(tmp_path, 'HANGS = "1"', timeout="2s"))
    d.event("web", "running", "ready")
    pid = d.status("web")["pid"]
    late = d.cli("signal", "web")
    assert late.returncode == 1 and "did not say in time that it has reloaded" in late.stderr
    event = d.event("web", "running", "reload-timeout")
    assert event["detail"]["answered"] is True
    assert "its last reload did not end in time" in d.cli("status", "web").stdout
    assert d.status("web")["pid"] == pid and alive(pid)


def test_a_service_that_ends_during_its_reload_is_told(daemon: Start, tmp_path: Path) -> None:
    d = daemon(reloading(tmp_path, 'FAILS = "1"'))
    d.event("web", "running", "ready")
    failed = d.cli("signal", "web")
    assert failed.returncode == 1 and "web: its process has ended" in failed.stderr


def test_what_a_service_says_of_its_failure_is_told(daemon: Start, tmp_path: Path) -> None:
    says = 'notify("ERRNO=13\\nBUSERROR=org.example.Denied")\nsys.exit(1)\n'
    d = daemon(f"""
        [services.web]
        command = {written(tmp_path, says)}
        ready = {{ notify = true }}
        restart = {{ policy = "never" }}
    """)
    detail = d.event("web", "exited", "exited")["detail"]
    words = os.strerror(errno.EACCES)
    assert detail["told"] == {"errno": errno.EACCES, "text": words, "bus": "org.example.Denied"}
    assert d.status("web")["error"] == detail["told"]
    assert f"it said: {words} (ERRNO={errno.EACCES}), org.example.Denied\n" in d.cli("why", "web").stdout
    assert f"it said: {words}" in d.cli("status", "web").stdout


@pytest.mark.parametrize("whose", ["tree", "main"])
def test_only_the_main_process_counts_where_the_file_says_so(daemon: Start, tmp_path: Path, whose: str) -> None:
    says = """
if os.fork() == 0:
    notify("READY=1\\nSTATUS=of the child")
signal.pause()
"""
    d = daemon(f"""
        [services.web]
        command = {written(tmp_path, says)}
        ready = {{ notify = true, notify_access = "{whose}" }}
    """)
    if whose == "tree":
        d.event("web", "running", "ready")
        assert d.status("web")["status"] == "of the child"
    else:
        refused = d.event("web", "starting", "notify-refused")
        row = d.status("web")
        assert (row["state"], row["status"]) == ("starting", None) and refused["detail"]["pid"] != row["pid"]


@pytest.mark.parametrize("how", ["descriptor", "inode"])
def test_a_pidfd_names_the_main_process(daemon: Start, tmp_path: Path, how: str) -> None:
    says = """
child = os.fork()
if child == 0:
    signal.pause()
pidfd = os.pidfd_open(child)
if os.environ["HOW"] == "descriptor":
    notify("MAINPIDFD=1", pidfd)
else:
    notify(f"MAINPID={child}\\nMAINPIDFDID={os.fstat(pidfd).st_ino}")
signal.pause()
"""
    d = daemon(f"""
        [services.web]
        command = {written(tmp_path, says)}
        ready = {{ notify = true }}
        environment = {{ HOW = "{how}" }}
    """)
    first = d.event("web", "starting", "spawned")["detail"]["pid"]
    pid = d.said(lambda line: line.get("detail", {}).get("mainpid"))["detail"]["pid"]
    assert d.status("web")["pid"] == pid != first and alive(pid)


def test_restart_reset_makes_the_next_delay_the_first_one(daemon: Start, tmp_path: Path) -> None:
    says = """
if int(os.environ["SUPERVISOR_INCARNATION"]) >= 3:
    notify("RESTART_RESET=1")
sys.exit(1)
"""
    d = daemon(f"""
        [services.web]
        command = {written(tmp_path, says)}
        ready = {{ notify = true }}
        restart = {{ initial = "10ms", factor = 10, jitter = 0, max_restarts = 3, window = "1h" }}
    """)
    delays = [d.event("web", "backoff", "exited")["detail"]["delay_s"] for _ in range(3)]
    assert delays == [0.01, 0.1, 0.01]
    d.event("web", "failed", "exited")  # the breaker counts on
