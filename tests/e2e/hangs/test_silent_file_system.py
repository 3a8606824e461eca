"""A file system that stops answering costs the service that needs it, and no other, not even for a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.doubles.mute_file_system import MuteFileSystem, mute_file_system
from tests.e2e.conftest import Daemon

Make = Callable[..., Daemon]
NEIGHBOUR = '[services.neighbour]\ncommand = ["sleep", "1000"]\nrestart = { initial = "1ms", jitter = 0 }\n'


@pytest.fixture
def mute(tmp_path: Path) -> Iterator[MuteFileSystem]:
    with mute_file_system(tmp_path / "mute") as mounted:
        yield mounted


def start(daemon: Make, mute: MuteFileSystem, toml: str) -> Daemon:
    d = daemon(NEIGHBOUR + toml.replace("MUTE", str(mute.path)), start=False)
    d.start(prefix=mute.prefix, wait=False)
    d.event("neighbour", "running")
    return d


def neighbour_returns(d: Daemon, run: int) -> None:
    """Kill the neighbour and wait until its next run is there; what others did meanwhile is still to be waited for."""
    begin = d._seen
    d.client.post("/v1/signal", {"services": ["neighbour"], "signal": "KILL"})
    d.said(
        lambda line: (line.get("instance"), line.get("to"), line.get("incarnation")) == ("neighbour", "running", run)
    )
    d._seen = begin


WAYS = pytest.mark.parametrize(
    "keys",
    [
        'command = ["MUTE/program"]',
        'command = ["sleep", "1000"]\ndirectory = "MUTE/directory"',
        'command = ["program"]\nenvironment = { PATH = "MUTE" }',
        'command = ["MUTE/program"]\nno_new_privileges = true',
        'command = ["sleep", "1000"]\nsandbox.read_only_paths = ["MUTE/directory"]',
    ],
    ids=["program", "directory", "PATH", "fewer privileges", "sandbox"],
)


@WAYS
def test_a_spawn_from_it_while_it_answers(daemon: Make, mute: MuteFileSystem, keys: str) -> None:
    d = start(daemon, mute, "[services.late]\n" + keys)
    d.event("late", "running", "spawned")
    comm = Path(f"/proc/{d.status('late')['pid']}/comm").read_text()
    assert comm in ("sleep\n", "program\n"), "what reads the script is not the helper any more"


@WAYS
def test_a_spawn_that_waits_for_it(daemon: Make, mute: MuteFileSystem, keys: str) -> None:
    late = """[services.late]
autostart = false
start_timeout = "300ms"
restart = { initial = "1ms", jitter = 0, max_restarts = 1000 }
"""
    d = start(daemon, mute, late + keys)
    mute.fall_silent()
    d.client.post("/v1/start", {"services": ["late"]})
    d.event("late", "starting")
    neighbour_returns(d, run=2)
    failed = d.event("late", "stopping", "spawn-failed")
    assert failed["detail"]["error"] == f"the file system of {mute.path} does not answer (within 0.3s)"
    lingering = d.event("late", "stopping", "lingering")
    assert "(D)" in lingering["detail"]["processes"][0]
    neighbour_returns(d, run=3)
    assert d.status("late")["state"] == "stopping", "nothing is started beside a process that may still live"
    mute.end()
    d.event("late", "backoff", "spawn-failed")


def test_a_file_heartbeat_that_waits_for_it(daemon: Make, mute: MuteFileSystem) -> None:
    watched = """[services.watched]
command = ["sleep", "1000"]
restart = { initial = "1ms", jitter = 0 }
[services.watched.heartbeat]
source = "file"
file = "MUTE/beat"
interval = "100ms"
probe_timeout = "100ms"
min_timeout = "300ms"
max_timeout = "500ms"
"""
    d = start(daemon, mute, watched)
    d.event("watched", "running")
    mute.fall_silent()
    neighbour_returns(d, run=2)
    silent = d.event("watched", "suspect", "heartbeat-silent")
    assert silent["detail"]["last_probe_error"].startswith(f"the file system of {mute.path} does not answer")
    neighbour_returns(d, run=3)


@pytest.mark.parametrize(
    ("probe", "error"),
    [
        ('exec = ["MUTE/program"]', "no answer within 0.1s"),
        ('tcp = "unix:MUTE/beat"', "the file system of MUTE does not answer"),
        ('http = "http://unix:MUTE/beat:/"', "the file system of MUTE does not answer"),
    ],
    ids=["exec", "tcp", "http"],
)
def test_a_probe_that_waits_for_it(daemon: Make, mute: MuteFileSystem, probe: str, error: str) -> None:
    watched = """[services.watched]
command = ["sleep", "1000"]
directory = "/"
restart = { initial = "1ms", jitter = 0 }
start_timeout = "2s"
[services.watched.ready]
PROBE
interval = "100ms"
timeout = "100ms"
"""
    d = start(daemon, mute, watched.replace("PROBE", probe))
    mute.fall_silent()
    neighbour_returns(d, run=2)
    late = d.event("watched", "suspect", "start-timeout")
    assert late["detail"]["last_probe_error"].startswith(error.replace("MUTE", str(mute.path)))
    neighbour_returns(d, run=3)
