"""The least that a restart, the capture of output, and beats must cost; not supervisors."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from scripts.tools.bench.install import Tools
from scripts.tools.bench.peers.base import Peer

_NOT_MEASURED = frozenset({"stop", "idle", "pss", "capture", "status"})
_ONLY_CAPTURE = frozenset(
    {"kill", "burst", "start", "stop", "idle", "pss", "status", "capture-rate", "capture-lines-rate"}
)


class Shell(Peer):
    """`while :; do victim; done` for each service."""

    name = "shell loop"
    is_floor = True
    skips = _NOT_MEASURED

    def install(self) -> Tools:
        return Tools(())

    def version(self) -> str:
        return Path("/bin/sh").resolve().name

    def write(self) -> None:
        loops = [f"while :; do {service.line}; done &" for service in self.services]
        (self.home / "loop.sh").write_text("\n".join([*loops, "wait", ""]))

    def daemon(self) -> list[str]:
        return ["/bin/sh", f"{self.home}/loop.sh"]


class Bare(Peer):
    """subprocess.Popen and a pidfd, and nothing else."""

    name = "bare Popen"
    is_floor = True
    skips = _NOT_MEASURED

    def install(self) -> Tools:
        return Tools(())

    def version(self) -> str:
        return f"Python {sys.version.split()[0]}"

    def write(self) -> None:
        (self.home / "services.json").write_text(json.dumps([service.argv for service in self.services]))

    def daemon(self) -> list[str]:
        loop = Path(__file__).parent.parent / "bareloop.py"
        return [sys.executable, "-I", "-S", str(loop), f"{self.home}/services.json"]


class Receive(Bare):
    """A socket of which everything is received some times a second, and nothing else."""

    name = "bare beats"
    watches_beats = True
    skips = _NOT_MEASURED | {"kill", "burst", "start", "hang"}

    def daemon(self) -> list[str]:
        loop = Path(__file__).parent.parent / "barebeats.py"
        return [sys.executable, "-I", "-S", str(loop), f"{self.home}/services.json", f"{self.home}/notify"]


class Splice(Peer):
    """A pipe of 1 MiB and a loop that splices what is in it to the end of a file, and nothing else."""

    name = "bare splice"
    is_floor = True
    skips = _ONLY_CAPTURE

    def install(self) -> Tools:
        return Tools(())

    def version(self) -> str:
        return f"Python {sys.version.split()[0]}"

    def write(self) -> None:
        (self.kept / "log").mkdir()

    def daemon(self) -> list[str]:
        loop = Path(__file__).parent.parent / "baresplice.py"
        return [sys.executable, "-I", "-S", str(loop), f"{self.kept}/log/out", *self.services[0].argv]
