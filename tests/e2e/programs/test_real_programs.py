"""Programs of other projects, started unmodified."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.tools.bench.ports import free_port
from tests.e2e.conftest import Daemon, wait_gone
from tests.e2e.hangs.test_probes import until

Make = Callable[..., Daemon]


def program(name: str) -> str:
    """Its path; where it is not installed the test is skipped, and says so."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed (scripts/test installs it where it may)")
    return found


def test_redis_is_ready_when_it_says_so(daemon: Make, tmp_path: Path) -> None:
    redis, port = program("redis-server"), free_port()
    d = daemon(f"""
[services.redis]
command = ["{redis}", "--supervised", "systemd", "--port", "{port}", "--dir", "{tmp_path}", "--save", ""]
ready = {{ notify = true }}
heartbeat = {{ source = "tcp", tcp = "127.0.0.1:{port}", interval = "200ms" }}
restart = {{ initial = "0s" }}
""")
    assert d.event("redis", "running")["detail"]["how"] == "notify"
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"PING\r\n")
        assert client.recv(16) == b"+PONG\r\n"
    assert d.status("redis")["status"], "what it says of itself is shown"
    first = d.status("redis")["pid"]
    d.client.post("/v1/signal", {"services": ["redis"], "signal": "KILL"})
    assert d.event("redis", "running")["incarnation"] == 2
    assert d.cli("stop", "redis").returncode == 0
    assert "User requested shutdown" in (d.state_dir / "log" / "redis.log").read_text(), "it was asked, not killed"
    wait_gone(first)


def test_nginx_in_the_foreground(daemon: Make, tmp_path: Path) -> None:
    nginx, port = program("nginx"), free_port()
    config = tmp_path / "nginx.conf"
    config.write_text(f"""
daemon off; master_process on; worker_processes 2; pid {tmp_path}/pid; error_log stderr;
events {{}}
http {{ access_log off; client_body_temp_path {tmp_path}; proxy_temp_path {tmp_path}; fastcgi_temp_path {tmp_path};
uwsgi_temp_path {tmp_path}; scgi_temp_path {tmp_path};
server {{ listen 127.0.0.1:{port}; location / {{ return 200 "hello"; }} }} }}
""")
    d = daemon(f"""
[services.nginx]
command = ["{nginx}", "-c", "{config}", "-e", "stderr"]
ready = {{ http = "http://127.0.0.1:{port}/", interval = "50ms" }}
heartbeat = {{ source = "http", http = "http://127.0.0.1:{port}/", interval = "200ms" }}
stop_signal = "QUIT"
""")
    assert d.event("nginx", "running")["detail"]["how"] == "http"
    until(lambda: len(d.client.get("/v1/instances/nginx")["tree"]) == 3)  # one worker answers before there is another
    tree = d.client.get("/v1/instances/nginx")["tree"]
    assert len(tree) == 3, "the master and two workers"
    assert d.cli("stop", "nginx").returncode == 0
    for process in tree:
        wait_gone(process["pid"])


def test_gunicorn_whose_workers_hang_is_found(daemon: Make, tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    port = free_port()
    (tmp_path / "app.py").write_text("""
import os, threading
hang = threading.Event()
def app(environ, start_response):
    if environ["PATH_INFO"] == "/hang":
        hang.set()
    if hang.is_set():
        threading.Event().wait()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]
""")
    d = daemon(f"""
[services.app]
command = "{sys.executable} -m gunicorn -b 127.0.0.1:{port} --threads 1 --timeout 0 app:app"
directory = "{tmp_path}"
ready = {{ http = "http://127.0.0.1:{port}/", interval = "100ms" }}
stop_timeout = "1s"
restart = {{ initial = "0s" }}
[services.app.heartbeat]
source = "http"
http = "http://127.0.0.1:{port}/"
interval = "200ms"
probe_timeout = "500ms"
min_timeout = "1s"
max_timeout = "5s"
""")
    d.event("app", "running")
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
        ended = d.event("app", "stopping")
    assert ended["cause"] == "heartbeat-silent"
    assert "no answer" in ended["detail"]["last_probe_error"]
    assert d.event("app", "running")["incarnation"] == 2
