"""Everything ends with one service: the exit codes of `run`, `up` and `up -d`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

import pytest

from tests.e2e.conftest import Daemon, wait_gone

Make = Callable[..., Daemon]

RUN = """
[services.db]
command = ["sleep", "1000"]
[services.tests]
command = ["sh", "-c", "END"]
depends_on = ["db"]
end_with = true
restart = { policy = "never" }
"""


@pytest.mark.parametrize(("end", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -KILL $$$$", 137)])
def test_run_ends_with_the_exit_code_of_the_service(daemon: Make, end: str, code: int) -> None:
    d = daemon(RUN.replace("END", end))
    assert d.event("db", "stopping")["cause"] == "shutdown"
    assert d.wait() == code
    assert f"tests has ended: everything ends with it, with exit code {code} (end_with)" in str(d.lines)


def test_a_stop_by_order_does_not_end_the_daemon(daemon: Make) -> None:
    d = daemon(RUN.replace("END", "exec sleep 1000"))
    d.event("tests", "running")
    assert d.cli("stop", "tests").returncode == 0
    assert d.cli("start", "tests").returncode == 0
    pid = d.status("db")["pid"]
    os.kill(d.status("tests")["pid"], signal.SIGTERM)
    assert d.wait() == 143
    wait_gone(pid)


def test_up_ends_with_the_service(daemon: Make) -> None:
    d = daemon(RUN.replace("END", "exit 3"), start=False)
    assert d.cli("up").returncode == 3
    assert d.cli("up", "-d").returncode == 3
    assert d.cli("status").returncode == 5


SLOW = """
[services.db]
command = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
ready = { exec = ["true"] }
stop_timeout = "500ms"
"""


def test_up_waits_until_everything_has_ended_with_it(daemon: Make) -> None:
    """While the others stop, the daemon still answers, and nothing of its answer is a reason of its own."""
    slow = SLOW + RUN.replace("END", "exit 3").replace('[services.db]\ncommand = ["sleep", "1000"]\n', "")
    up = daemon(slow, start=False).cli("up", "-d")
    assert (up.returncode, up.stderr.strip()) == (3, "everything has ended, with exit code 3")


def test_up_of_what_another_order_takes_down_has_failed(daemon: Make) -> None:
    d = daemon("", start=False)
    down = [sys.executable, "-m", "supervisor", "down", "-f", str(d.file)]
    d.write(f'[services.web]\ncommand = {down}\nready = {{ exec = ["false"] }}\n')
    up = d.cli("up", "-d")
    assert up.returncode in (1, 5), up
    assert "keeps running" not in up.stderr


def test_keys_that_contradict_end_with_are_refused(daemon: Make) -> None:
    for more, text in (("replicas = 2", "one instance"), ("detach = true", "detach")):
        refused = daemon(RUN.replace("END", "exit 3").replace("end_with", f"{more}\nend_with"), start=False).cli(
            "check"
        )
        assert (refused.returncode, text in refused.stderr) == (2, True)
