"""Maintenance by the real command: nothing is restarted, everything tells of it, and it outlasts the daemon."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable

from tests.e2e.conftest import Daemon

Make = Callable[..., Daemon]

TWO = """
[services.db]
command = ["sleep", "1000"]
restart = { policy = "always", initial = "10ms" }
[services.web]
command = ["sleep", "1000"]
depends_on = ["db"]
"""


def test_what_is_killed_stays_ended_until_it_is_supervised_again(daemon: Make) -> None:
    d = daemon(TWO)
    d.event("web", "running")
    assert d.cli("maintenance", "on", "db", "--for", "1h", "--reason", "new disk").returncode == 0
    begun = d.event("db", "running", "maintenance-begun")["detail"]
    assert (begun["reason"], begun["for_s"], begun["by"]["uid"]) == ("new disk", 3600.0, os.geteuid())
    os.kill(d.status("db")["pid"], signal.SIGKILL)
    assert d.event("db", "exited")["detail"]["maintenance"]
    assert d.status("web")["state"] == "running"

    status = d.cli("status")
    assert status.returncode == 0, status.stdout
    assert "(new disk); killed by SIGKILL; left as it is" in status.stdout
    assert "db: in maintenance for another" in status.stdout + status.stderr
    why = d.cli("why", "db").stdout
    assert "in maintenance for another" in why
    assert "its restart policy decides" in why
    assert "killed by SIGKILL; left as it is, in maintenance" in d.cli("events", "db").stdout
    assert d.client.status()["supervisor"]["problems"][0].startswith("db: in maintenance for another")

    d.signal(signal.SIGKILL)
    d.wait()
    d.start()
    row = d.status("db")
    assert (row["state"], row["maintenance"]["reason"], row["maintenance"]["ended"]) == ("exited", "new disk", True)
    assert d.stop() == 0  # an orderly end: what is left alone is not started by the next daemon
    d.start()
    d.event("web", "starting")
    assert d.status("db")["waiting_for"] == "the end of its maintenance"
    assert d.cli("maintenance", "off", "db").returncode == 0
    d.event("db", "running")
    d.event("web", "running")


def test_it_ends_by_itself_and_orders_still_work(daemon: Make) -> None:
    d = daemon(TWO)
    d.event("web", "running")
    assert d.cli("maintenance", "on", "db", "web").returncode == 0
    assert d.cli("restart", "db").returncode == 0
    assert d.status("db")["incarnation"] == 2
    assert d.cli("stop", "web").returncode == 0
    assert d.cli("start", "web").returncode == 0
    assert d.cli("maintenance", "on", "db", "--for", "100ms").returncode == 0
    os.kill(d.status("db")["pid"], signal.SIGKILL)
    d.said(lambda line: isinstance(line, dict) and line.get("incarnation") == 3 and line.get("to") == "running")
    assert d.status("db")["maintenance"] is None
    upgraded = d.cli("upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    assert d.status("web")["maintenance"]["ends_in_s"] is None


def test_bad_orders_are_refused(daemon: Make) -> None:
    d = daemon(TWO)
    d.event("web", "running")
    assert d.cli("maintenance", "on", "dbb").returncode == 4
    assert "SERVICE" in d.cli("maintenance", "on").stderr
    for length in ("0s", "soon", "10"):
        refused = d.cli("maintenance", "on", "db", "--for", length)
        assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)
    assert d.status("db")["maintenance"] is None
    assert json.loads(d.cli("status", "--json").stdout)["supervisor"]["problems"] == []
