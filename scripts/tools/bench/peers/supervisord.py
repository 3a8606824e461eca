from __future__ import annotations

from scripts.tools.bench.install import Tools, from_pypi
from scripts.tools.bench.peers.base import ROTATE_AT_BYTES, ROTATED_FILES, Peer


class Supervisord(Peer):
    """supervisord. startsecs = 0 allows a restart without backoff; output goes to its own log files, as by default."""

    name = "supervisord"

    def install(self) -> Tools:
        return from_pypi("supervisor")

    def version(self) -> str:
        return self.output_of(self.tools["supervisord"], "--version")

    def write(self) -> None:
        (self.kept / "log").mkdir()
        parts = [
            f"""
[supervisord]
nodaemon = true
logfile = {self.home}/supervisord.log
pidfile = {self.home}/supervisord.pid
childlogdir = {self.kept}/log
[unix_http_server]
file = {self.home}/s
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl = unix://{self.home}/s
"""
        ]
        parts.extend(
            f"""
[program:{service.name}]
command = {service.line}
autorestart = true
startsecs = 0
startretries = 1000000
stdout_logfile_maxbytes = {ROTATE_AT_BYTES}
stdout_logfile_backups = {ROTATED_FILES}
"""
            for service in self.services
        )
        (self.home / "conf").write_text("".join(parts))

    def daemon(self) -> list[str]:
        return [self.tools["supervisord"], "-c", f"{self.home}/conf"]

    def stop_all(self) -> list[str]:
        return [self.tools["supervisorctl"], "-c", f"{self.home}/conf", "stop", "all"]

    def status(self) -> list[str]:
        return [self.tools["supervisorctl"], "-c", f"{self.home}/conf", "status"]
