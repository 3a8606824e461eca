"""A daemon whose files are replaced while it runs: it goes on as the version that it is, until it is upgraded."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import supervisor
from supervisor import own_sources
from tests.e2e.conftest import ROOT, Daemon

Start = Callable[..., Daemon]

BEATER = """
import os, time
from supervisor import heartbeat
heartbeat.ready()
while not os.path.exists("hang"):
    heartbeat.beat()
    time.sleep(0.02)
os.remove("hang")
time.sleep(1000)
"""
SERVICES = f"""
[services.plain]
command = ["sh", "-c", "echo begun; exec sleep 1000"]
restart = {{ initial = "1ms" }}
[services.idle]
command = ["sleep", "1000"]
[services.beater]
autostart = false
command = ["{sys.executable}", "-c", '''{BEATER}''']
environment = {{ PYTHONPATH = "{ROOT}" }}
sockets = ["unix:beater.sock"]
ready = {{ notify = true }}
heartbeat = {{ source = "notify", interval = "20ms", min_timeout = "200ms", max_timeout = "1s" }}
restart = {{ initial = "1ms" }}
[[services.beater.hooks]]
on = ["restarted"]
run = ["sh", "-c", "cat > hooked.new; mv hooked.new hooked"]
"""


def put(place: Path, change: Callable[[Path], None] | None = None) -> None:
    """Install the package there in place of what is there, with each file changed by `change`."""
    shutil.rmtree(place / "supervisor", ignore_errors=True)
    package = Path(supervisor.__file__).parent
    shutil.copytree(package, place / "supervisor", ignore=shutil.ignore_patterns("__pycache__"))
    if change is not None:
        for file in (place / "supervisor").rglob("*.py"):
            change(file)


def incompatible(file: Path) -> None:
    file.write_text('raise SystemError("this module is another version\'s")\n')


def newer(file: Path) -> None:
    """The same in another file.  A copy with the same time may get the same number, and counts as the same file."""
    file.write_text(file.read_text() + "# newer\n")


@pytest.fixture
def replaced(daemon: Start, tmp_path: Path) -> tuple[Daemon, Path]:
    """A daemon whose files were replaced by those of a version that does not fit, and their place."""
    place = tmp_path / "installed"
    put(place)
    one = daemon(SERVICES, start=False)
    one.start(prefix=["env", f"PYTHONPATH={place}"])
    one.transitions(("plain", "running"), ("idle", "running"))
    put(place, incompatible)
    return one, place


def test_services_are_started_watched_and_restarted(replaced: tuple[Daemon, Path]) -> None:
    """Also what needs for the first time what no service needed before."""
    one, _ = replaced
    one.client.post("/v1/signal", {"services": ["plain"], "signal": "KILL"})
    one.event("plain", "running")
    assert one.cli("start", "beater").returncode == 0
    (one.directory / "hang").touch()
    one.event("beater", "suspect", "heartbeat-silent")
    one.event("beater", "stopping", "heartbeat-silent")
    one.event("beater", "running")
    hooked = one.directory / "hooked"
    with one.client.stream(["status"], interval=0.2) as stream:
        assert any(hooked.exists() for _ in stream)
    assert json.loads(hooked.read_text())["instance"] == "beater"


def test_it_answers_as_before(replaced: tuple[Daemon, Path]) -> None:
    one, _ = replaced
    assert one.cli("restart", "idle").returncode == 0
    assert one.cli("maintenance", "on", "idle").returncode == 0
    assert one.cli("why", "idle").returncode == 0
    assert one.client.get("/v1/logs/plain")["lines"]
    assert one.client.get("/v1/services")["services"]
    assert one.client.get("/v1/instances/plain")["name"] == "plain"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(one.runtime_dir / "control.sock"))
        sock.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 200 ")


def test_what_only_another_version_could_do_is_refused(replaced: tuple[Daemon, Path]) -> None:
    one, _ = replaced
    one.write(SERVICES + '[services.new]\ncommand = ["sleep", "1000"]\n')
    reload = one.cli("reload")
    assert (reload.returncode, reload.stderr.count(own_sources.REPLACED)) == (2, 1)
    one.from_now()
    one.signal(signal.SIGHUP)
    one.problem(f"reload refused: {own_sources.REPLACED}")
    before = one.status("plain")["pid"]
    upgrade = one.cli("upgrade")
    assert upgrade.returncode == 1
    assert "the new version cannot start" in upgrade.stderr
    assert one.status("plain")["pid"] == before


def test_it_is_upgraded_to_the_version_that_is_there_now(replaced: tuple[Daemon, Path]) -> None:
    """And that applies the file, which it could not read itself any more."""
    one, place = replaced
    put(place, newer)
    pids = {name: one.status(name)["pid"] for name in ("plain", "idle")}
    one.write(SERVICES + '[services.new]\ncommand = ["sleep", "1000"]\n')
    assert one.cli("reload").returncode == 2
    upgrade = one.cli("upgrade")
    assert upgrade.returncode == 0, upgrade.stderr
    assert {name: one.status(name)["pid"] for name in ("plain", "idle")} == pids
    assert one.status("new")["goal"] == "up"
    assert one.cli("reload").returncode == 0
