"""Processes that cannot run (SIGSTOP) are shown so, and hear their stop signal nevertheless."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Daemon, wait_gone
from tests.e2e.hangs.test_probes import until

Start = Callable[..., Daemon]

HEEDFUL = """
[services.web]
command = ["python3", "-c", '''
import os, signal, sys
def end(number, frame):
    open(sys.argv[1], "a").write(signal.Signals(number).name + chr(10))
    if number == signal.SIGTERM: sys.exit(0)
signal.signal(signal.SIGHUP, end)
child = os.fork()
if not child:
    while True: signal.pause()
signal.signal(signal.SIGTERM, end)
open(sys.argv[2], "w").write(str(child))
print("up", flush=True)
while True: signal.pause()
''', "%(heard)s", "%(child)s"]
stop_timeout = "1000s"
ready = { log = "^up$" }
"""


def started(daemon: Start, tmp_path: Path) -> tuple[Daemon, int, Path]:
    """A daemon whose service, and the child of that, are stopped."""
    heard = tmp_path / "heard"
    one = daemon(HEEDFUL % {"heard": heard, "child": tmp_path / "child"})
    one.event("web", "running", "ready")
    pid: int = one.status("web")["pid"]
    for stopped in (pid, int((tmp_path / "child").read_text())):
        os.kill(stopped, signal.SIGSTOP)
        stands_still(stopped)
    return one, pid, heard


def stands_still(pid: int) -> None:
    """Return when it is stopped: it takes the signal when it next runs."""
    until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")


def test_a_stopped_process_is_shown_as_stopped_without_a_heartbeat(daemon: Start, tmp_path: Path) -> None:
    one, pid, _ = started(daemon, tmp_path)
    assert one.status("web")["paused"] == "stopped (SIGSTOP)"
    assert "cannot run: stopped (SIGSTOP)" in one.cli("status").stdout
    assert "stopped (SIGSTOP)" in one.cli("why", "web").stdout
    os.kill(pid, signal.SIGCONT)
    assert one.status("web")["paused"] is None


@pytest.mark.parametrize("order", ["stop", "restart", "down", "terminated"])
def test_a_stopped_process_hears_its_stop_signal(daemon: Start, tmp_path: Path, order: str) -> None:
    one, pid, heard = started(daemon, tmp_path)
    child = int((tmp_path / "child").read_text())
    if order == "terminated":
        one.signal(signal.SIGTERM)
        assert one.wait() == 0
    else:
        run = one.cli(order, *(["web"] if order != "down" else []))
        assert run.returncode == 0, run.stderr
    assert heard.read_text() == "SIGTERM\n", "and was not killed"
    wait_gone(pid)
    wait_gone(child)


def test_a_stopped_process_hears_its_reload_signal_but_no_other_wakes_it(daemon: Start, tmp_path: Path) -> None:
    one, _, heard = started(daemon, tmp_path)
    assert one.cli("signal", "-s", "WINCH", "web").returncode == 0
    assert one.status("web")["paused"] == "stopped (SIGSTOP)"
    assert one.cli("signal", "web").returncode == 0
    assert one.status("web")["paused"] is None
    assert one.cli("stop", "web").returncode == 0
    assert heard.read_text() == "SIGHUP\nSIGTERM\n"
