"""`supervisor wait` by the real command: its exit codes, and that it returns with the change."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

from tests.e2e.conftest import PATIENCE, Daemon

Make = Callable[..., Daemon]

THREE = """
[services.web]
command = ["sh", "-c", "trap 'echo up' USR1; echo began; while :; do sleep 0.02; done"]
ready = { log = "up" }
[services.job]
command = ["false"]
type = "oneshot"
restart = { policy = "never" }
"""


def begin(d: Daemon, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "supervisor", "-f", str(d.file), "wait", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_wait_returns_when_the_state_is_reached(daemon: Make) -> None:
    d = daemon(THREE)
    d.event("job", "exited")
    assert d.cli("wait", "web", "--for", "started").returncode == 0
    assert d.cli("wait", "web", "--for", "started", "--timeout", "0s").returncode == 0, "it looks once"
    at_once = d.cli("wait", "web", "--timeout", "0s")
    assert (at_once.returncode, "not ready within 0 s:\n  web: still starting" in at_once.stderr) == (1, True)
    late = d.cli("wait", "web", "--timeout", "200ms")
    assert (late.returncode, "not ready within 0.2 s:\n  web: still starting" in late.stderr) == (1, True)
    over = d.cli("wait", "job", "web", "--for", "completed")
    assert (over.returncode, "job: exited with code 1; its policy does not restart it" in over.stderr) == (1, True)

    waits = begin(d, "web", "--timeout", "20s")
    d.cli("signal", "-s", "USR1", "web")
    d.event("web", "running")
    assert waits.wait(PATIENCE) == 0
    stops = begin(d, "web", "--for", "stopped")
    d.cli("stop", "web")
    assert stops.wait(PATIENCE) == 0


def test_exit_codes_of_unknown_names_and_of_a_daemon_that_ends(daemon: Make) -> None:
    d = daemon(THREE)
    assert d.cli("wait", "nothing").returncode == 4
    assert d.cli("wait").returncode == 2
    assert d.cli("wait", "web", "--for", "ever").returncode == 2
    waits = begin(d, "web")
    d.event("job", "exited")
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    assert waits.wait(PATIENCE) == 5
    assert d.cli("wait", "web").returncode == 5
