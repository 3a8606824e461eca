"""Workers of pre-fork servers that hang, while their master goes on: each beats for itself and is ended alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from scripts.tools.bench.ports import free_port
from supervisor.core.model.sdnotify import parse
from tests.e2e.conftest import PATIENCE, ROOT, Daemon
from tests.e2e.hangs.test_probes import until

Make = Callable[..., Daemon]

APP = """
import os, threading
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/hang":
        with open("hung", "a") as hung:
            print(os.getpid(), file=hung)
        threading.Event().wait()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""

ASGI = """
import os, threading
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/hang":
        with open("hung", "a") as hung:
            print(os.getpid(), file=hung)
        threading.Event().wait()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


def gunicorn(port: int, directory: Path, *options: str, app: str = APP, **heartbeat: str) -> str:
    pytest.importorskip("gunicorn")
    (directory / "app.py").write_text(app)
    keys = {"interval": '"200ms"', "min_timeout": '"1s"', "max_timeout": '"5s"', "on_suspect": '"kill-process"'}
    table = "\n".join(f"{key} = {value}" for key, value in (keys | heartbeat).items())
    command = ["-m", "gunicorn", "-c", "python:supervisor.integrations.gunicorn", "-w", "2", "-t", "0", *options]
    return f"""
[services.app]
command = {[sys.executable, *command, "-b", f"127.0.0.1:{port}", "app:app"]!r}
directory = "{directory}"
ready = {{ http = "http://127.0.0.1:{port}/", interval = "100ms" }}
stop_timeout = "2s"
restart = {{ initial = "0s" }}
[services.app.heartbeat]
source = "notify"
scope = "process"
{table}
"""


def note(d: Daemon, cause: str) -> dict[str, Any]:
    """The next record with this cause that changes no state."""
    found: dict[str, Any] = d.event("app", "running", cause)["detail"]
    return found


def of_process(d: Daemon, cause: str, **wanted: Any) -> dict[str, Any]:
    """The next record with this cause and these details.  On a busy host a healthy process may be suspected for a
    moment, so the first record may name another one."""

    def matches(line: Any) -> bool:
        return isinstance(line, dict) and line.get("cause") == cause and wanted.items() <= line["detail"].items()

    found: dict[str, Any] = d.said(matches)["detail"]
    return found


def fell_silent(d: Daemon, pid: int) -> dict[str, Any]:
    return of_process(d, "process-silent", process=pid)


def hangs(directory: Path, before: int = 0) -> int:
    """The worker that says it hangs, after so many that said so earlier."""
    said = directory / "hung"
    pid: str = until(
        lambda: said.exists() and len(lines := said.read_text().split("\n")) > before + 1 and lines[before]
    )
    return int(pid)


def get(port: int, path: str = "/") -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return b"".join(iter(lambda: client.recv(4096), b"")).decode().partition("\r\n\r\n")[2]


@pytest.mark.parametrize("kind", ["sync", "gthread", "uvicorn_worker.UvicornWorker"])
def test_one_of_two_gunicorn_workers_hangs_and_is_ended_alone(daemon: Make, tmp_path: Path, kind: str) -> None:
    """`-t 0`: gunicorn itself would never find it.  The other worker answers meanwhile."""
    app = APP
    if kind.startswith("uvicorn"):
        pytest.importorskip("uvicorn_worker")
        app = ASGI
    port = free_port()
    d = daemon(gunicorn(port, tmp_path, "-k", kind, app=app))
    d.event("app", "running", "ready")
    before = d.status("app")
    if kind == "gthread":  # a thread that hangs leaves the loop alone: the process is stopped instead
        os.kill(hung := int(get(port)), signal.SIGSTOP)
    client = socket.create_connection(("127.0.0.1", port))
    with client:
        if kind != "gthread":
            client.sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
            hung = hangs(tmp_path)
        assert hung != before["pid"]
        fell_silent(d, hung)
        ended = note(d, "process-ended")
        assert ended["process"] == hung, "the first that is ended"
    replaced = note(d, "process-replaced")
    assert replaced["instead_of"] == ended["process"]
    after = d.status("app")
    assert (after["pid"], after["incarnation"]) == (before["pid"], 1), "the master was left alone"
    assert after["ended_process"]["replaced_by"] == replaced["process"]
    assert {int(get(port)) for _ in range(20)} <= {row["pid"] for row in after["processes"]}
    told = d.cli("why", "app").stdout
    assert f"process {ended['process']}" in told and "ended alone" in told, told
    assert f"process {replaced['process']} beats instead of {ended['process']}" in told
    if kind != "gthread":
        assert "app.py" in told, "where it hung"


class Notified:
    """A notify socket of the test: when each beat of the workers was sent."""

    def __init__(self, path: Path) -> None:
        self.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"}  # each 200 ms
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(PATIENCE)

    def sent(self) -> float:
        while (message := parse(self.socket.recv(4096))) is None or message.sent is None:
            pass
        return message.sent


@pytest.mark.parametrize("kind", ["sync", "gthread", "asgi", "uvicorn_worker.UvicornWorker"])
def test_a_gunicorn_worker_beats_each_interval(tmp_path: Path, kind: str) -> None:
    """One that beats but once a second is suspected although it is well, where silence may last a second."""
    pytest.importorskip("gunicorn")
    if kind.startswith("uvicorn"):
        pytest.importorskip("uvicorn_worker")
    if kind == "asgi":
        pytest.importorskip("gunicorn.workers.gasgi")
    (tmp_path / "app.py").write_text(APP if kind in ("sync", "gthread") else ASGI)
    notified = Notified(tmp_path / "n")
    options = ["-c", "python:supervisor.integrations.gunicorn", "-t", "0", "-k", kind, "-b", f"unix:{tmp_path}/s"]
    command = [sys.executable, "-m", "gunicorn", *options, "app:app"]
    with subprocess.Popen(command, cwd=tmp_path, env=os.environ | notified.environment) as process, notified.socket:
        try:
            notified.sent()  # after the fork
            sent = [notified.sent() for _ in range(8)]
        finally:
            process.terminate()
    assert min(later - earlier for earlier, later in pairwise(sent)) < 0.9, sent


def test_a_worker_that_never_gets_through_its_boot(daemon: Make, tmp_path: Path) -> None:
    """It hangs while it loads the application; gunicorn's master lives, and another worker serves."""
    port, first = free_port(), tmp_path / "first"
    first.write_text("")
    boots = f"""
import os, threading
try:
    os.rename({str(first)!r}, {str(tmp_path / "taken")!r})
except FileNotFoundError:
    pass
else:
    with open("stuck.new", "w") as file:
        file.write(str(os.getpid()))
    os.rename("stuck.new", "stuck")
    threading.Event().wait()
"""
    d = daemon(gunicorn(port, tmp_path, app=boots + APP, max_timeout='"3s"'))
    d.event("app", "running", "ready")
    stuck = int(until(lambda: (tmp_path / "stuck").exists() and (tmp_path / "stuck").read_text()))
    assert fell_silent(d, stuck)["beat_once"], "it beat when it was forked, and never again"
    assert note(d, "process-ended")["process"] == stuck
    assert note(d, "process-replaced")["instead_of"] == stuck
    assert d.status("app")["incarnation"] == 1


def test_more_silent_workers_than_the_limits_allow_restart_the_whole(daemon: Make, tmp_path: Path) -> None:
    port = free_port()
    d = daemon(gunicorn(port, tmp_path).replace('restart = { initial = "0s" }', "restart = { max_restarts = 1 }"))
    d.event("app", "running", "ready")
    for before in range(2):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
            hung = hangs(tmp_path, before)
            fell_silent(d, hung)
            ended = d.said(lambda line: isinstance(line, dict) and line.get("cause") in ENDS)
        if ended["cause"] == "process-ended":
            assert (before, ended["detail"]["process"]) == (0, hung)
            note(d, "process-replaced")
    assert (ended["from"], ended["to"], ended["detail"]["process"]) == ("running", "stopping", hung)
    assert "more than 1 of its processes" in ended["detail"]["reason"]
    assert d.event("app", "running", "ready")["incarnation"] == 2


ENDS = ("process-ended", "heartbeat-silent")


def test_a_later_daemon_goes_on_with_the_processes(daemon: Make, tmp_path: Path) -> None:
    """A worker hangs while no daemon runs: it never beats for the next one, which knows it all the same."""
    port = free_port()
    d = daemon(gunicorn(port, tmp_path))
    d.event("app", "running", "ready")
    until(lambda: saved_processes(d) == 2)
    d.signal(signal.SIGKILL)
    d.wait()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
        d.start()
        fell_silent(d, hung := hangs(tmp_path))
        assert note(d, "process-ended")["process"] == hung
    assert note(d, "process-replaced")["instead_of"] == hung


def saved_processes(d: Daemon) -> int:
    with sqlite3.connect(d.state_dir / "ledger.db") as ledger:
        (text,) = ledger.execute("SELECT body FROM snapshots WHERE name = 'app'").fetchone()
    return len(json.loads(text).get("members", {"known": []})["known"])


def test_which_processes_have_not_run(daemon: Make, tmp_path: Path) -> None:
    """No hook is needed: what does not run is told, and nothing is ended for it."""
    script = "import os,time\nif os.fork():\n while True: time.sleep(.05)\nwhile True: time.sleep(1000)\n"
    (tmp_path / "two.py").write_text(script)
    d = daemon(f"""
[services.app]
command = ["{sys.executable}", "{tmp_path}/two.py"]
[services.app.heartbeat]
source = "activity"
scope = "process"
interval = "200ms"
""")
    d.event("app", "running")
    until(lambda: [row for row in d.status("app")["processes"] if row["silent_s"] > 2])
    idle, busy = d.status("app")["processes"]
    assert {idle["pid"], busy["pid"]} == {row["pid"] for row in d.client.get("/v1/instances/app")["tree"]}
    assert idle["silent_s"] > 2 > busy["silent_s"]
    assert idle["suspect_s"] is None is idle["phi"], "that is no suspicion"
    os.kill(idle["pid"], signal.SIGKILL)
    until(lambda: idle["pid"] not in [row["pid"] for row in d.status("app")["processes"]])


def test_one_of_two_uvicorn_workers_hangs_and_is_ended_alone(daemon: Make, tmp_path: Path) -> None:
    """uvicorn's own look never finds it, because a thread of the worker answers."""
    pytest.importorskip("uvicorn")
    port = free_port()
    (tmp_path / "app.py").write_text("""
import os, threading
import asgi_workers
async def app(scope, receive, send):
    if scope.get("path") == "/hang":
        with open("hung", "a") as hung:
            print(os.getpid(), file=hung)
        threading.Event().wait()
    await asgi_workers.app(scope, receive, send)
""")
    command = ["-m", "uvicorn", "--workers", "2", "--host", "127.0.0.1", "--port", str(port), "app:app"]
    d = daemon(f"""
[services.app]
command = {[sys.executable, *command]!r}
directory = "{tmp_path}"
environment = {{ PYTHONPATH = "{ROOT / "examples" / "heartbeat"}" }}
ready = {{ http = "http://127.0.0.1:{port}/", interval = "100ms" }}
stop_timeout = "2s"
[services.app.heartbeat]
source = "notify"
scope = "process"
interval = "200ms"
min_timeout = "2s"
max_timeout = "8s"
on_suspect = "kill-process"
""")
    d.event("app", "running", "ready")
    until(lambda: len(d.status("app")["processes"]) == 2)
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
        fell_silent(d, hung := hangs(tmp_path))
        assert note(d, "process-ended")["process"] == hung
    assert note(d, "process-replaced")["instead_of"] == hung
    assert d.status("app")["incarnation"] == 1
    assert get(port).isdigit()
