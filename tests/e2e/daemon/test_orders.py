"""Orders by the real command: who gave them is told, and a reload signal ends no process that does not handle it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from supervisor.adapters.linux.accounts import account_name
from tests.e2e.conftest import Daemon

Make = Callable[..., Daemon]

TWO = """
[services.web]
command = ["sleep", "1000"]
restart = { max_restarts = 0 }
[services.api]
command = ["sh", "-c", "trap 'echo read again' HUP; echo began; while :; do sleep 0.02; done"]
ready = { log = "began" }
"""
USER = account_name(os.geteuid()) or f"user {os.geteuid()}"


def events(d: Daemon, service: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in d.cli("events", "--json", service).stdout.splitlines()]


def test_a_signal_that_would_end_the_process_is_sent_only_if_insisted_on(daemon: Make) -> None:
    d = daemon(TWO)
    d.event("api", "running")
    pid = d.status("web")["pid"]
    refused = d.cli("signal", "web")
    assert refused.returncode == 1
    assert "web does not handle SIGHUP, which would end it" in refused.stderr
    assert "Use `supervisor restart web`, or -s HUP to insist." in refused.stderr
    assert d.cli("signal").returncode == 1
    assert d.status("web")["pid"] == pid
    assert not [event for event in events(d, "api") if event["cause"] == "signalled-by-user"]

    assert d.cli("signal", "api").returncode == 0
    assert d.event("api", "running", "signalled-by-user")["detail"]["sent"] == signal.SIGHUP
    assert d.cli("signal", "-s", "HUP", "web").returncode == 0
    sent = d.event("web", "running", "signalled-by-user")
    assert (sent["detail"]["sent"], sent["detail"]["by"]["uid"]) == (signal.SIGHUP, os.geteuid())
    assert d.event("web", "starting")["cause"] == "signalled-by-user"
    d.event("web", "running")
    row = d.status("web")
    assert (row["incarnation"], row["restarts"], row["breaker"]) == (2, 0, "closed")
    assert "No failure recorded" in d.cli("why", "web").stdout


def test_a_stop_says_who_ordered_it(daemon: Make) -> None:
    d = daemon(TWO)
    d.event("api", "running")
    assert d.cli("stop", "web").returncode == 0
    by = d.event("web", "stopping")["detail"]["by"]
    assert by["command"][-2:] == ["stop", "web"]
    told = d.cli("why", "web").stdout
    assert f"stopped by {USER}, with `{os.path.basename(sys.executable)} -m supervisor -f " in told  # noqa: PTH119
    assert f"(pid {by['pid']})" in told
    assert f"stopped by {USER}" in d.cli("events", "web").stdout
    assert f"stop web: ordered by {USER}" in json.dumps(d.lines)


def test_the_command_of_a_client_is_recorded_without_its_secrets(daemon: Make) -> None:
    d = daemon(TWO)
    d.event("api", "running")
    code = "import sys; from supervisor.client import Client; Client(sys.argv[1]).act('restart', ['web'])"
    client = [sys.executable, "-c", code, str(d.runtime_dir / "control.sock"), "--password", "hunter2"]
    subprocess.run(client, check=True)
    command = d.event("web", "stopping", "restarted-by-user")["detail"]["by"]["command"]
    assert command[-2:] == ["--password", "***"]
    assert "hunter2" not in json.dumps(d.lines)


def test_an_end_by_a_signal_to_the_daemon_says_so(daemon: Make) -> None:
    d = daemon(TWO)
    d.event("api", "running")
    d.signal(signal.SIGTERM)
    assert d.event("web", "stopping")["detail"]["by"] == {"signal": signal.SIGTERM}
    d.wait()
    assert "stops because the daemon shuts down; ordered by SIGTERM" in d.cli("events", "web").stdout


def test_an_order_that_concerns_nothing_says_so(daemon: Make) -> None:
    d = daemon(TWO)
    d.event("api", "running")
    assert d.cli("stop").returncode == 0
    restarted = d.cli("restart")
    assert (restarted.returncode, restarted.stdout) == (
        0,
        "nothing to restart: all are stopped; use `supervisor start`\n",
    )


def test_a_start_that_takes_too_long_says_whether_it_spoke(daemon: Make) -> None:
    say = (
        "import os, socket, time\n"
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "s.sendto(b'STATUS=loading 3 of 9', os.environ['NOTIFY_SOCKET'])\n"
        "time.sleep(1000)"
    )
    d = daemon(f"""
[services.mute]
command = ["sleep", "1000"]
ready = {{ notify = true }}
start_timeout = "300ms"
restart = {{ policy = "never" }}
[services.slow]
command = [{json.dumps(sys.executable)}, "-c", {json.dumps(say)}]
ready = {{ notify = true }}
""")
    assert d.event("mute", "suspect")["detail"]["notified"] == 0
    d.event("mute", "exited")
    assert "it sent no notification at all" in d.cli("why", "mute").stdout
    while d.status("slow")["status"] is None:
        pass
    assert d.status("slow")["status_age_s"] >= 0.0
    assert "its STATUS: loading 3 of 9 (" in d.cli("why", "slow").stdout


def test_an_order_that_changes_nothing_is_an_event_of_the_daemon(daemon: Make) -> None:
    d = daemon(TWO)
    d.event("api", "running")
    for order in (("start", "web"), ("reload",)):
        assert d.cli(*order).returncode == 0
        told = d.event("(daemon)", "running", "unchanged")["detail"]
        assert told["order"] == " ".join(order)
        assert (told["by"]["uid"], told["by"]["command"][-len(order) :]) == (os.geteuid(), list(order))
    assert f"reload: no service changed; ordered by {USER}" in d.cli("events").stdout
    assert d.cli("report").stdout.count("(daemon)") == 0


def test_patterns_and_groups_name_services_for_orders_and_for_events(daemon: Make) -> None:
    one = '[services.{}]\ncommand = ["sleep", "1000"]\ngroup_name = "front"\n'
    d = daemon(one.format("web") + one.format("api") + '[services.db]\ncommand = ["sleep", "1000"]\n')
    d.transitions(("web", "running"), ("api", "running"), ("db", "running"))
    assert d.cli("stop", "w*").stdout.split()[0] == "web"
    assert {event["service"] for event in events(d, "front")} == {"web", "api"}
    assert {event["service"] for event in events(d, "front:w*")} == {"web"}
    assert d.status("api")["state"] == d.status("db")["state"] == "running"
    for pattern in ("front", "w*"):
        assert d.cli("start", "web").returncode == 0
        with d.client.stream(["events"], [pattern, "db"]) as stream:
            assert d.cli("stop", "web").returncode == d.cli("restart", "db").returncode == 0
            assert next(m[1]["service"] for m in stream if m[0] == "event") == "web"
    refused = d.cli("rollout", "undo", "front")
    assert refused.returncode == 2 and "front has 2 services\n  Name one: web, api" in refused.stderr
    unknown = d.cli("stop", "dbb*")
    assert unknown.returncode == 4 and "db" in unknown.stderr.splitlines()[-1]
