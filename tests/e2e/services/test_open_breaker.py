"""`breaker.on_open`, by the real command and over the daemon's death."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from supervisor.errors import NoSuchService
from tests.e2e.conftest import Daemon

Make = Callable[..., Daemon]

SHOP = """
[services.db]
command = ["sh", "-c", "test ! -e broken && exec sleep 1000"]
restart = { max_restarts = 0, cooldown = "1h", reset_after = "1h" }
breaker.on_open = "stop"
[services.api]
command = ["sleep", "1000"]
depends_on = ["db"]
[services.web]
command = ["sleep", "1000"]
depends_on = ["api"]
[services.cron]
command = ["sleep", "1000"]
depends_on = ["db"]
"""


def test_dependants_are_stopped_and_started_again_over_the_death_of_the_daemon(daemon: Make) -> None:
    d = daemon(SHOP)
    for name in ("api", "cron", "web"):
        d.client.post("/v1/start", {"services": [name]})
    d.event("web", "running")
    (d.directory / "broken").touch()
    os.kill(d.status("db")["pid"], signal.SIGKILL)
    d.event("db", "failed")
    assert d.event("web", "stopping")["detail"] == {"service": "db"}
    assert d.event("api", "stopping")["cause"] == "dependency-failed"
    d.event("api", "starting")
    assert "waiting for db (its breaker is open)" in d.cli("status", "web").stdout
    why = d.cli("why", "web").stdout
    assert "it still waits for db (its breaker is open)" in why
    assert "stopped until the breaker of db closes" in d.cli("events", "web").stdout
    told = d.client.breaker("db")
    assert (told["state"], told["on_open"], told["failures"]) == ("open", "stop", {"killed-by-signal": 1})
    assert told["rejections"] == 4  # its own, and three that wait
    assert 3500.0 < (told["next_trial_in_s"] or 0.0) <= 3600.0
    assert d.cli("stop", "cron").returncode == 0

    d.signal(signal.SIGKILL)
    d.wait()
    d.start()
    assert {n: d.status(n)["state"] for n in ("db", "api", "web", "cron")} == {
        "db": "failed", "api": "starting", "web": "starting", "cron": "stopped",
    }  # fmt: skip
    (d.directory / "broken").unlink()
    assert d.cli("reset", "db").returncode == 0
    d.event("web", "running")
    assert d.client.breaker("db")["state"] == "closed"
    with pytest.raises(NoSuchService):
        d.client.breaker("gone")
    assert (d.status("api")["incarnation"], d.status("cron")["state"]) == (2, "stopped")


def test_reload_lets_them_ignore_it(daemon: Make) -> None:
    d = daemon(SHOP)
    d.event("web", "running")
    (d.directory / "broken").touch()
    os.kill(d.status("db")["pid"], signal.SIGKILL)
    d.event("web", "starting")
    d.write(SHOP.replace('"stop"', '"ignore"'))
    assert d.cli("reload").returncode == 0
    d.event("web", "running")
    assert d.status("db")["state"] == "failed"


def test_reload_starts_what_was_corrected(daemon: Make) -> None:
    """Also at the start after a crash; what was stopped by an order stays stopped."""
    d = daemon(SHOP)
    d.event("web", "running")
    assert d.cli("stop", "cron").returncode == 0
    (d.directory / "broken").touch()
    os.kill(d.status("db")["pid"], signal.SIGKILL)
    d.event("web", "starting")
    mended = SHOP.replace("test ! -e broken && exec", "exec")
    d.write(mended)
    told = d.cli("reload", "--dry-run").stdout
    assert "~ db  command (started)" in told and d.status("db")["state"] == "failed"
    assert "~ db  command (started)" in d.cli("reload").stdout
    d.event("web", "running")
    assert (d.client.breaker("db")["state"], d.status("cron")["state"]) == ("closed", "stopped")

    d.write(mended.replace("exec sleep 1000", "exit 1"))
    assert d.cli("reload").returncode == 0
    d.event("db", "failed")
    d.signal(signal.SIGKILL)
    d.wait()
    d.write(mended)
    d.start()
    d.event("db", "running", "spawned")
    assert d.status("cron")["state"] == "stopped"
