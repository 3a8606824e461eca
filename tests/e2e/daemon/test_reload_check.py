"""`reload_check` by the real command: a reload signal is sent only where the check passes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.conftest import PATIENCE, Daemon, alive, wait_gone

Make = Callable[..., Daemon]

WEB = """
[services.web]
command = ["sh", "-c", "trap 'grep -q good conf || exit 78' HUP; echo began; while :; do sleep 0.02; done"]
ready = { log = "began" }
%s
"""
CHECK = """reload_check = ["sh", "-c", '''echo "of $SUPERVISOR_INSTANCE in $PWD for $WHAT, $MAINPID"
echo looking; grep -q good conf || { echo "conf:1: unknown word"; exit 3; }''']
environment = { WHAT = "the shop" }"""


def started(daemon: Make, keys: str) -> Daemon:
    d = daemon(WEB % keys, start=False)
    write(d, "good")
    d.start()
    d.event("web", "running")
    return d


def write(d: Daemon, text: str) -> None:
    (d.directory / "conf").write_text(text)


def events(d: Daemon) -> list[dict[str, Any]]:
    return [json.loads(line) for line in d.cli("events", "--json", "web").stdout.splitlines()]


def test_a_reload_is_refused_while_the_check_fails(daemon: Make) -> None:
    d = started(daemon, CHECK)
    row = d.status("web")
    write(d, "broken")
    for arguments in ((), ("-s", "HUP")):
        refused = d.cli("signal", *arguments, "web")
        assert refused.returncode == 1
        assert "nothing was sent: reload_check of web has not passed: exit code 3" in refused.stderr
        assert f"of web in {d.directory} for the shop, {row['pid']}" in refused.stderr
        assert "conf:1: unknown word" in refused.stderr and "--no-check" in refused.stderr
    detail = d.event("web", "running", "reload-refused")["detail"]
    assert (detail["refused"], detail["why"], detail["output"][-1]) == (1, "exit code 3", "conf:1: unknown word")
    assert detail["by"]["uid"] == os.geteuid()
    assert "reload refused, nothing sent: exit code 3: conf:1: unknown word" in d.cli("events", "web").stdout
    why = d.cli("why", "web").stdout
    assert "Reload refused" in why and "exit code 3" in why and "conf:1: unknown word" in why
    assert d.status("web")["pid"] == row["pid"] and d.status("web")["cause"] == row["cause"]
    assert "signalled-by-user" not in [event["cause"] for event in events(d)]

    write(d, "good")
    assert d.cli("signal", "web").returncode == 0
    d.event("web", "running", "signalled-by-user")
    assert "Reload refused" not in d.cli("why", "web").stdout


def test_another_signal_and_one_that_is_insisted_on_are_not_checked(daemon: Make) -> None:
    d = started(daemon, CHECK)
    write(d, "broken")
    assert d.cli("signal", "-s", "URG", "web").returncode == 0
    assert d.event("web", "running", "signalled-by-user")["detail"]["sent"] == signal.SIGURG
    assert d.cli("signal", "--no-check", "web").returncode == 0
    ended = d.event("web", "backoff", "exited")
    assert ended["detail"]["exit_code"] == 78 and ended["detail"]["after_signal"] == signal.SIGHUP
    d.event("web", "running")
    why = d.cli("why", "web").stdout
    assert "exited with code 78" in why and "after SIGHUP" in why


def test_the_daemon_goes_on_during_a_check_and_what_the_check_leaves_is_ended(daemon: Make) -> None:
    """The order of a process that is replaced in the meantime sends nothing to its successor."""
    d = started(daemon, 'reload_check = ["sh", "-c", \'setsid sleep 1000 & echo $! >left; read line <go\']')
    os.mkfifo(d.directory / "go")
    command = [sys.executable, "-m", "supervisor", "-f", str(d.file), "signal", "web"]
    order = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    with open(d.directory / "go", "w") as go:  # opened as soon as the check reads from it
        assert d.cli("restart", "web").returncode == 0  # answered while the check is under way
        left = int((d.directory / "left").read_text())
        assert alive(left)
        go.write("go\n")
    assert order.wait(PATIENCE) == 1
    assert order.stderr is not None and "no signal sent: web ended while the check was under way" in order.stderr.read()
    wait_gone(left)
    assert "signalled-by-user" not in [event["cause"] for event in events(d)]


def test_a_check_that_cannot_run_has_not_passed(daemon: Make) -> None:
    d = daemon(WEB % 'reload_check = ["./check"]', start=False)
    check = d.directory / "check"
    check.write_text("#!/bin/sh\n")
    check.chmod(0o755)
    d.start()
    d.event("web", "running")
    check.unlink()
    refused = d.cli("signal", "web")
    assert refused.returncode == 1 and "./check: " in refused.stderr


def test_instances_with_the_same_check_have_it_once(daemon: Make, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    d = daemon(WEB % f'replicas = 3\nreload_check = ["sh", "-c", \'echo $0 >>{runs}\', "{{which}}"]', start=False)
    text = d.file.read_text()
    d.file.write_text(text.replace("{which}", "all"))
    d.start()
    d.transitions(*((f"web@{number}", "running") for number in (1, 2, 3)))
    write(d, "good")
    assert d.cli("signal", "web").returncode == 0
    assert runs.read_text() == "all\n"

    d.file.write_text(text.replace("{which}", "{replica}"))
    pid = d.status("web@2")["pid"]
    assert d.cli("reload").returncode == 0
    assert d.cli("signal", "web").returncode == 0
    assert runs.read_text() == "all\n1\n2\n3\n"
    assert d.status("web@2")["pid"] == pid, "another check needs no other process"
