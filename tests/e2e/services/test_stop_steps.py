"""A stop in steps, with a real process that ignores the first signal."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from tests.e2e.conftest import Daemon

Make = Callable[..., Daemon]

STUBBORN = """
[services.web]
command = ["sh", "-c", "trap 'echo no' TERM; trap 'exit 3' QUIT; echo began; while :; do sleep 0.02; done"]
ready = { log = "began" }
stop = [{ signal = "TERM", wait = "WAIT" }, { signal = "QUIT", wait = "30s" }]
"""


def test_the_second_step_ends_the_process_and_the_event_names_it(daemon: Make) -> None:
    d = daemon(STUBBORN.replace("WAIT", "50ms"))
    d.event("web", "running")
    assert d.cli("stop", "web").returncode == 0
    assert d.event("web", "stopping", "stop-escalated")["detail"]["stop_signal"] == signal.SIGQUIT
    assert d.event("web", "stopped")["detail"] == {
        "exit_code": 3,
        "signal": None,
        "stop_step": 2,
        "stop_steps": 2,
        "stop_signal": 3,
    }
    assert "stopped, ended by SIGQUIT (step 2 of 2) with exit code 3" in d.cli("events", "web").stdout


def test_the_next_daemon_goes_on_at_the_step_that_was_reached(daemon: Make) -> None:
    d = daemon(STUBBORN.replace("WAIT", "50ms").replace("exit 3", "echo never"))
    d.event("web", "running")
    pid = d.status("web")["pid"]
    d.cli("stop", "--no-wait", "web")
    d.event("web", "stopping", "stop-escalated")
    d.signal(signal.SIGKILL)
    d.wait()
    d.start()
    assert d.status("web")["stop_step"]["step"] == 2
    assert "SIGQUIT sent (step 2 of 2); SIGKILL in" in d.cli("status").stdout
    os.kill(pid, signal.SIGKILL)
    assert d.event("web", "stopped")["detail"]["stop_signal"] == signal.SIGQUIT


def test_bad_stop_steps_are_refused(daemon: Make) -> None:
    bad = """
[services.web]
command = ["true"]
stop = [{ signal = "TERM" }, { signal = "TREM", wait = "1s" }]
stop_timeout = "5s"
restart = { exit_codes = { never = [1], always = [1], group = [256] } }
"""
    said = daemon(bad, start=False).cli("check").stderr
    for text in ('"TREM" is not a signal', "256"):
        assert text in said
    fixed = bad.replace("TREM", "QUIT").replace("256", "1")
    said = daemon(fixed, start=False).cli("check").stderr
    assert "services.web.stop[0]: a step needs wait" in said
    assert "services.web.stop_timeout: cannot be combined with stop" in said
    assert "services.web.restart.exit_codes.always: 1 stands in two lists" in said
    assert "services.web.restart.exit_codes.group: restarts a group; give the service a group_name" in said
    typo = bad.replace("wait", "wiat").replace("never", "nevr")
    said = daemon(typo, start=False).cli("check").stderr
    assert 'services.web.stop[1].wiat: unknown key; did you mean "wait"?' in said
    assert 'services.web.restart.exit_codes.nevr: unknown key; did you mean "never"?' in said
    none = daemon('[services.web]\ncommand = ["true"]\nstop = []\n', start=False).cli("check")
    assert (none.returncode, "services.web.stop: has no step" in none.stderr) == (2, True)


def test_stop_steps_replace_stop_signal_of_the_defaults(daemon: Make) -> None:
    both = """
[defaults]
stop_signal = "INT"
[services.web]
command = ["sleep", "1000"]
stop = [{ signal = "TERM", wait = "10m" }, { signal = "QUIT", wait = "30s" }]
[services.api]
command = ["sleep", "1000"]
"""
    shown = daemon(both, start=False).cli("check").stdout
    assert "on SIGTERM within 10m, on SIGQUIT within 30s, or killed" in shown
    assert "on SIGINT, or killed after" in shown
