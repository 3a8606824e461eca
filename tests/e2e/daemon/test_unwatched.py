"""Where no daemon runs: what still does is shown and can be stopped, and what was written can be read."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable

import pytest

from supervisor.cli import unwatched
from supervisor.cli.daemon_target import DaemonTarget
from supervisor.client import Client
from supervisor.errors import NoDaemon, NotListening
from tests.e2e.conftest import Daemon, alive, wait_gone

Make = Callable[..., Daemon]
STUBBORN = """
[services.base]
command = ["sh", "-c", "echo hello; exec sleep 300"]
ready = { log = "hello" }
[services.stubborn]
command = ["sh", "-c", "trap '' TERM; sleep 300 & echo deaf; wait"]
replicas = 2
stop_timeout = "100ms"
depends_on = ["base"]
ready = { log = "deaf" }
[services.crashing]
command = "false"
restart = { initial = "1h", maximum = "1h" }  # it does not run again beside what the test looks at
[services.lasting]
command = "sleep 300"
detach = true
"""


def test_what_a_killed_daemon_left_is_shown_and_stopped(daemon: Make) -> None:
    d = daemon(STUBBORN)
    running = ("base", "stubborn@1", "stubborn@2", "lasting")
    d.transitions(*((name, "running") for name in running), ("crashing", "backoff"))
    pids = {name: d.status(name)["pid"] for name in running}
    lasting = pids.pop("lasting")
    d.signal(signal.SIGKILL)
    d.wait()

    status = d.cli("status")
    assert status.returncode == 5
    rows = {line.split()[0]: line.split()[1:4] for line in status.stdout.splitlines()[1:]}
    assert rows == {
        "base": ["unwatched", str(pids["base"]), "1"],
        "stubborn@1": ["unwatched", str(pids["stubborn@1"]), "2"],
        "stubborn@2": ["unwatched", str(pids["stubborn@2"]), "2"],
        "lasting": ["unwatched", str(lasting), "1"],
    }
    assert "4 instances still run, unwatched" in status.stderr and "supervisor down" in status.stderr
    assert [row["name"] for row in json.loads(d.cli("status", "--json", "stubborn").stdout)["unwatched"]] == [
        "stubborn@1",
        "stubborn@2",
    ]
    assert [row["name"] for row in json.loads(d.cli("status", "--json", "stub*").stdout)["unwatched"]] == [
        "stubborn@1",
        "stubborn@2",
    ]

    d.file.write_text("this is no TOML")  # the plan in force is kept elsewhere
    down = d.cli("--socket", f"{d.runtime_dir}/control.sock", "down")
    assert (down.returncode, down.stdout.splitlines()[-1]) == (0, "all services stopped")
    assert not any(map(alive, pids.values())) and alive(lasting)
    d.write(STUBBORN)
    again = d.cli("down")
    assert again.returncode == 5 and "no daemon answers" in again.stderr, "only what outlives a daemon is left"
    told = [json.loads(line) for line in d.cli("events", "--json").stdout.splitlines()]
    ends = {event["instance"]: event["cause"] for event in told if event["to"] == "stopped"}
    assert set(ends) == {*pids, "crashing"}
    assert told[-1]["instance"] == "base", "dependants first"
    orders = {event["instance"]: event["detail"]["by"] for event in told if event["cause"] == "shutdown"}
    assert set(orders) >= {"base", "stubborn@1", "stubborn@2"}
    assert all(by["uid"] == os.getuid() and by["command"][-1] == "down" for by in orders.values()), "as with a daemon"
    os.kill(lasting, signal.SIGKILL)
    wait_gone(lasting)
    assert d.cli("status").stdout == ""


def test_output_is_read_from_the_files(daemon: Make) -> None:
    d = daemon(STUBBORN.replace("detach = true", ""))
    d.transitions(("stubborn@1", "running"), ("stubborn@2", "running"))
    d.signal(signal.SIGTERM)
    d.wait()
    logs = d.cli("logs", "base", "stubborn@2")
    assert logs.returncode == 0
    assert sorted(logs.stdout.splitlines()) == ["base       | hello", "stubborn@2 | deaf"]
    assert d.cli("logs", "stubborn", "-n", "1", "--no-prefix").stdout == "deaf\n" * 2
    assert d.cli("logs", "stub*", "-n", "1", "--no-prefix").stdout == "deaf\n" * 2
    told = [
        json.loads(line)["service"] for line in d.cli("events", "--json", "-n", "1000", "stub*").stdout.splitlines()
    ]
    assert set(told) == {"stubborn"}
    assert {json.loads(line)["service"] for line in d.cli("events", "--json", "all").stdout.splitlines()} == {
        "base",
        "stubborn",
        "crashing",
        "lasting",
    }
    assert (
        d.cli("events", "wob*").returncode == d.cli("logs", "wob*").returncode == d.cli("why", "wob*").returncode == 4
    )
    unknown = d.cli("logs", "other")
    assert unknown.returncode == 4 and "base" in unknown.stderr
    assert d.cli("logs", "-f").returncode == 5


def test_what_was_removed_is_still_told(daemon: Make) -> None:
    d = daemon(
        '[services.base]\ncommand = ["sh", "-c", "echo hello; exec sleep 300"]\n'
        + '[services.failing]\ncommand = ["sh", "-c", "echo bad; exit 3"]\n'
    )
    d.event("failing", "backoff", "exited")
    d.write('[services.base]\ncommand = ["sh", "-c", "echo hello; exec sleep 300"]\n')
    assert d.cli("reload").returncode == 0
    d.event("failing", "stopped")
    why = d.cli("why", "failing")
    assert why.returncode == 0
    assert "failing is no longer in the configuration" in why.stdout and "exited with code 3" in why.stdout
    assert "bad" in why.stdout and "nothing until it is configured again" in why.stdout
    assert "no longer in the configuration" in d.cli("events", "failing").stdout
    assert "failing | bad" in d.cli("logs", "failing").stdout
    for command in ("why", "events", "logs"):
        unknown = d.cli(command, "failling")
        assert unknown.returncode == 4 and "Traceback" not in unknown.stderr


def test_a_daemon_that_is_about_to_listen_is_waited_for(daemon: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What still runs is not shown as unwatched: a daemon has the lock already."""
    d = daemon(STUBBORN)
    d.event("base", "running")
    target = DaemonTarget()
    target.name_file(str(d.file))
    asked = []

    def health(_client: Client) -> None:
        asked.append(1)
        if len(asked) < 3:
            raise NotListening("none listens")

    monkeypatch.setattr(Client, "health", health)
    assert unwatched.listens_soon(target, NotListening("none listens"))
    assert len(asked) == 3
    assert not unwatched.listens_soon(target, NoDaemon("no answer"))
    d.signal(signal.SIGKILL)
    d.wait()
    assert not unwatched.listens_soon(target, NotListening("none listens"))


def test_what_a_reload_adds_is_told_as_added(daemon: Make) -> None:
    d = daemon('[services.one]\ncommand = ["sleep", "1000"]\n')
    d.event("one", "running")
    d.write('[services.one]\ncommand = ["sleep", "1001"]\n[services.two]\ncommand = ["sleep", "1000"]\n')
    assert d.cli("reload").returncode == 0
    assert d.event("two", "starting")["cause"] == "added"
    told = d.cli("events").stdout
    assert "added to the configuration" in told and "its configuration changed" in told
