from __future__ import annotations

import sys
from pathlib import Path

from scripts.tools.bench.install import Tools, from_debian
from scripts.tools.bench.peers.base import Peer, write_script

ORPHANAGE = Path(__file__).parent.parent / "orphanage.py"


class Monit(Peer):
    """Monit checks pid files once a second, its shortest cycle; start programs put the victims into the background."""

    name = "monit"
    skips = frozenset({"start", "stop", "idle", "pss", "capture", "status", "burst"})

    def install(self) -> Tools:
        return from_debian("monit", "monit")

    def version(self) -> str:
        return self.tools.version

    def write(self) -> None:
        parts = [
            f"""
set daemon 1
set logfile {self.home}/monit.log
set pidfile {self.home}/monit.pid
set idfile {self.home}/monit.id
set statefile {self.home}/monit.state
"""
        ]
        for service in self.services:
            start = self.home / f"start-{service.name}"
            pidfile = self.home / f"{service.name}.pid"
            write_script(start, f"{service.line} &\necho $! > {pidfile}")
            parts.append(f'check process {service.name} with pidfile {pidfile}\n  start program = "{start}"\n')
        config = self.home / "monitrc"
        config.write_text("".join(parts))
        config.chmod(0o600)

    def daemon(self) -> list[str]:
        return [sys.executable, str(ORPHANAGE), self.tools["monit"], "-I", "-c", f"{self.home}/monitrc"]
