"""What a parent leaves to `supervisor run`: closed or shared descriptors, ignored signals, a signal sent twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import PATIENCE, Daemon

Make = Callable[..., Daemon]
RUN = f"{sys.executable} -m supervisor run -f"
ONE = '[services.one]\ncommand = "sleep 3601"\n'


def stopped_once_ready(d: Daemon) -> None:
    assert d.cli("up", "-d").returncode == 0
    assert d.cli("down").returncode == 0


def answering(d: Daemon) -> None:
    """Wait until the daemon that was started beside this answers."""
    while d.cli("status").returncode == 5:
        pass


@pytest.mark.parametrize("how", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors(daemon: Make, how: str) -> None:
    d = daemon(ONE, start=False)
    run = subprocess.Popen(["sh", "-c", f"exec {RUN} {d.file} {how}"], stderr=subprocess.PIPE, text=True)
    answering(d)
    stopped_once_ready(d)
    _, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0 and "Traceback" not in said


def test_a_parent_that_ignores_sigchld(daemon: Make) -> None:
    d = daemon(ONE, start=False)
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    supervisor = [sys.executable, "-c", ignoring, sys.executable, "-m", "supervisor", "-f", str(d.file)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    for command in (("run",), ("up", "-d"), ("check",), ("reload",)):
        process = subprocess.Popen([*supervisor, *command], **pipes)
        if command == ("run",):
            run = process
            answering(d)
        else:
            out, said = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0 and "Traceback" not in said, (command, out, said)
    stopped_once_ready(d)
    _, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0 and "Traceback" not in said


def test_a_log_file_is_shared_with_others(daemon: Make) -> None:
    """`run >file 2>&1` in a script that writes into the file before and after."""
    d = daemon(ONE, start=False)
    log = d.directory / "log"
    script = f"echo before; {RUN} {d.file}; echo after"
    with log.open("w") as file:
        shell = subprocess.Popen(["sh", "-c", script], stdout=file, stderr=file)
        answering(d)
        stopped_once_ready(d)
        assert shell.wait(PATIENCE) == 0
    lines = log.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after") and "trees by" in lines[1]
    assert any("one" in line and "stopped" in line for line in lines[2:-1])


SLOW = """
[services.slow]
command = ["sh", "-c", "trap 'until test -e go; do sleep 0.1; done; exit' TERM; echo up; while :; do sleep 0.1; done"]
ready = { log = "up" }
"""


def test_an_interrupt_that_arrives_twice_kills_nothing(daemon: Make) -> None:
    d = daemon(SLOW)
    d.event("slow", "running", "ready")
    d.signal(signal.SIGSTOP)  # so that both arrive together, however busy the host is
    d.signal(signal.SIGINT)
    d.signal(signal.SIGTERM)
    d.signal(signal.SIGCONT)
    d.problem("taken for the same order")
    d.event("slow", "stopping")
    (d.directory / "go").touch()
    assert d.event("slow", "stopped")["detail"].get("signal") is None, "it ended by itself"
    assert d.wait() == 0
