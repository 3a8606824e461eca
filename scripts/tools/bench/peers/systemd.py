from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from scripts.tools.bench.install import Absent, Tools
from scripts.tools.bench.peers.base import Beats, Peer, Service

UNITS = Path("/run/systemd/system")
TARGET = "phi-supervisor-bench.target"
COMMANDS = {"systemd", "systemd-journal"}


class Systemd(Peer):
    """The machine's own systemd, with units in /run that are removed after the run. Its memory includes journald's."""

    name = "systemd"
    watches_beats = True
    settle_s = 5.0  # journald continues to write for a while
    skips = frozenset({"capture"})

    def install(self) -> Tools:
        if Path("/proc/1/comm").read_text().strip() != "systemd":
            raise Absent("systemd is not PID 1 here")
        if os.geteuid() != 0:
            raise Absent("units can be added by root only")
        return Tools((Path(shutil.which("systemctl") or "/usr/bin/systemctl").parent,))

    def version(self) -> str:
        return self.output_of(self.tools["systemctl"], "--version").split()[1]

    def write(self) -> None:
        self.clean()
        for service in self.services:
            (UNITS / f"{self._unit(service)}").write_text(self._text(service))
        wants = " ".join(self._unit(service) for service in self.services)
        (UNITS / TARGET).write_text(f"[Unit]\nWants={wants}\n")
        self.command([self.tools["systemctl"], "daemon-reload"]).wait()

    def daemon(self) -> list[str]:
        return [self.tools["systemctl"], "start", TARGET]

    def stop_all(self) -> list[str]:
        return [self.tools["systemctl"], "stop", *map(self._unit, self.services)]

    def status(self) -> list[str]:
        return [self.tools["systemctl"], "list-units", "--no-pager", "phi-supervisor-bench-*"]

    def processes(self) -> list[int]:
        """systemd and journald, which are not descendants of the bench."""
        found = []
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if folder.name.isdigit() and (folder / "comm").read_text().strip() in COMMANDS:
                    found.append(int(folder.name))
        return found

    def clean(self) -> None:
        if not list(UNITS.glob("phi-supervisor-bench*")):
            return
        self.command([self.tools["systemctl"], "stop", "phi-supervisor-bench-*"]).wait()
        for unit in UNITS.glob("phi-supervisor-bench*"):
            unit.unlink()
        self.command([self.tools["systemctl"], "daemon-reload"]).wait()

    def _unit(self, service: Service) -> str:
        return f"phi-supervisor-bench-{service.name}.service"

    def _text(self, service: Service) -> str:
        watchdog = "Type=notify\nWatchdogSec=1\n" if service.beats is not Beats.NONE else ""
        return (
            "[Unit]\nStartLimitIntervalSec=0\n"
            f"[Service]\nExecStart={service.line}\nRestart=always\nRestartSec=0\n{watchdog}"
        )
