from __future__ import annotations

import sys
from pathlib import Path

from scripts.tools.bench.figures import OURS
from scripts.tools.bench.install import Tools
from scripts.tools.bench.peers.base import Beats, Peer, Service

HEARTBEATS = {
    Beats.TIMEOUT: 'detector = "timeout", timeout = "1s"',
    Beats.PHI: 'detector = "phi", min_timeout = "200ms", max_timeout = "1s"',
}


class Ours(Peer):
    """The daemon of this repository, with its default ledger and its default capture of output."""

    name = OURS
    watches_beats = stamps_lines = checks_http = True
    ends_politely = True  # removes its cgroups

    def install(self) -> Tools:
        return Tools((Path(sys.executable).parent,))

    def version(self) -> str:
        return self.output_of(self.tools["supervisor"], "--version").split()[-1]

    def write(self) -> None:
        stamped = str(any(service.stamped for service in self.services)).lower()
        parts = [
            f"""
[supervisor]
name = "bench"
runtime_dir = "{self.home}/run"
state_dir = "{self.kept}/state"

[defaults]
stop_timeout = "10s"
restart = {{ policy = "always", backoff = "fixed", initial = "0s", jitter = 0.0, max_restarts = 1000000 }}
log = {{ max_size = "50MiB", keep = 20, compress = false, timestamps = {stamped} }}
"""
        ]
        parts.extend(self._service(service) for service in self.services)
        (self.home / "services.toml").write_text("".join(parts))

    def daemon(self) -> list[str]:
        return [self.tools["supervisor"], "run", "-f", self._file()]

    def stop_all(self) -> list[str]:
        return [self.tools["supervisor"], "stop", "-f", self._file()]

    def down(self) -> list[str]:
        """The command that stops everything and the daemon."""
        return [self.tools["supervisor"], "down", "-f", self._file()]

    def status(self) -> list[str]:
        return [self.tools["supervisor"], "status", "-f", self._file()]

    def dashboard(self) -> list[str]:
        return [self.tools["supervisor"], "top", "-f", self._file()]

    def logs(self) -> list[Path]:
        found = (self.kept / "state" / "log").glob(f"{self.services[0].name}.log*")
        return [path for path in found if path.suffix != ".idx"]

    def _file(self) -> str:
        return f"{self.home}/services.toml"

    def _service(self, service: Service) -> str:
        command = ", ".join(f'"{word}"' for word in service.argv)
        lines = [f"\n[services.{service.name}]", f"command = [{command}]"]
        if service.beats is not Beats.NONE:
            lines.append("ready = { notify = true }")
            lines.append(f'heartbeat = {{ source = "notify", interval = "100ms", {HEARTBEATS[service.beats]} }}')
        if service.checked_at:
            url = f"http://127.0.0.1:{service.checked_at}/"
            lines.append(f'heartbeat = {{ source = "http", http = "{url}", interval = "100ms"{service.extra} }}')
        elif service.extra:
            lines.append(service.extra)
        return "\n".join([*lines, ""])
