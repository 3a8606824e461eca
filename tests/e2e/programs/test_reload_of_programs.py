"""A reload of a real program whose file has an error is refused by the check that `add NAME -- COMMAND` writes."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.tools.bench.ports import free_port
from tests.e2e.conftest import Daemon
from tests.e2e.hangs.test_probes import until
from tests.e2e.programs.test_real_programs import program

Make = Callable[..., Daemon]

NGINX = """
pid {place}/pid; error_log stderr;
events {{}}
http {{ access_log off; client_body_temp_path {place}; proxy_temp_path {place}; fastcgi_temp_path {place};
uwsgi_temp_path {place}; scgi_temp_path {place};
server {{ listen 127.0.0.1:{port}; location / {{ return 200 "hello"; }} }} }}
"""
SSHD = "ListenAddress 127.0.0.1:{port}\nHostKey {place}/key\nPidFile none\n"
HAPROXY = """
defaults
    mode http
    timeout client 10s
    timeout connect 10s
    timeout server 10s
frontend web
    bind 127.0.0.1:{port}
    monitor-uri /health
"""


class Service:
    """A program with its file, added by the real command and started."""

    def __init__(self, d: Daemon, place: Path, text: str, command: list[str]) -> None:
        self.d, self.file, self.port = d, place / "conf", free_port()
        self.text = text.format(place=place, port=self.port)
        self.write(self.text)
        added = d.cli("add", "it", "--", *command)
        assert added.returncode == 0, added.stderr
        assert "finds a broken configuration before a reload" in added.stdout
        d.start()
        d.event("it", "running")
        until(self.serves)
        self.pid = d.status("it")["pid"]

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def serves(self) -> bool:
        with socket.socket() as asks:
            return asks.connect_ex(("127.0.0.1", self.port)) == 0

    def refused(self, said: str) -> None:
        """A reload is refused with these words, and the program serves on."""
        order = self.d.cli("signal", "it")
        assert order.returncode == 1, order.stdout
        assert "nothing was sent: reload_check of it has not passed: exit code" in order.stderr
        assert said in order.stderr
        assert self.d.event("it", "running", "reload-refused")["detail"]["output"]
        assert said in self.d.cli("why", "it").stdout
        assert self.d.status("it")["pid"] == self.pid and self.serves()

    def reloads(self) -> None:
        order = self.d.cli("signal", "it")
        assert order.returncode == 0, order.stderr
        self.d.event("it", "running", "signalled-by-user")
        until(self.serves)
        assert self.d.status("it")["pid"] == self.pid


def test_nginx(daemon: Make, tmp_path: Path) -> None:
    command = [program("nginx"), "-c", f"{tmp_path}/conf", "-e", "stderr"]
    it = Service(daemon("", start=False), tmp_path, NGINX, command)
    it.write("nonsense {")
    it.refused('unknown directive "nonsense"')
    it.write(it.text)
    it.reloads()


def test_haproxy_which_would_report_success(daemon: Make, tmp_path: Path) -> None:
    it = Service(daemon("", start=False), tmp_path, HAPROXY, [program("haproxy"), "-Ws", "-f", f"{tmp_path}/conf"])
    it.write("frontend\n  nonsense\n")
    it.refused("'frontend' expects an <id> argument")
    it.write(it.text)
    it.reloads()


@pytest.mark.skipif(os.geteuid() != 0, reason="sshd needs root")
def test_sshd_which_would_end(daemon: Make, tmp_path: Path) -> None:
    Path("/run/sshd").mkdir(exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    it = Service(daemon("", start=False), tmp_path, SSHD, [program("sshd"), "-D", "-e", "-f", f"{tmp_path}/conf"])
    it.write("Nonsense yes\n")
    it.refused("Bad configuration option: Nonsense")
    it.write(it.text)
    it.reloads()

    it.write("Nonsense yes\n")
    assert it.d.cli("signal", "it", "--no-check").returncode == 0
    ended = it.d.event("it", "backoff", "exited")["detail"]
    assert (ended["exit_code"], ended["after_signal"]) == (255, 1)
    why = it.d.cli("why", "it").stdout
    assert "exited with code 255" in why and "after SIGHUP" in why
    assert "the order: SIGHUP sent by" in why
    assert f"{tmp_path}/conf was changed at " in why and "after the start of this run" in why
    assert "sshd exits 255 where it cannot read its configuration, also at a reload" in why
