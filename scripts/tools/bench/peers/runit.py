from __future__ import annotations

from pathlib import Path

from scripts.tools.bench.install import Tools, from_debian
from scripts.tools.bench.peers.base import ROTATE_AT_BYTES, ROTATED_FILES, Peer, write_script


class Runit(Peer):
    """Runit: a runsv per service, an svlogd where capture is measured. Services younger than 1 s restart later."""

    name = "runit"

    def install(self) -> Tools:
        return from_debian("runit", "runsvdir")

    def version(self) -> str:
        return self.tools.version

    def write(self) -> None:
        for service in self.services:
            folder = self.home / "services" / service.name
            folder.mkdir(parents=True)
            write_script(folder / "run", f"exec {service.line}")
            if service.capture:
                log = self.kept / "log"
                log.mkdir()
                (log / "config").write_text(f"s{ROTATE_AT_BYTES}\nn{ROTATED_FILES}\n")
                (folder / "log").mkdir()
                write_script(folder / "log" / "run", f"exec {self.tools['svlogd']} {log}")

    def environment(self) -> dict[str, str]:
        environment = super().environment()
        return {**environment, "PATH": f"{self.tools.folders[0]}:{environment['PATH']}"}

    def daemon(self) -> list[str]:
        return [self.tools["runsvdir"], "-P", f"{self.home}/services"]

    def stop_all(self) -> list[str]:
        return [self.tools["sv"], "-w", "30", "stop", *self._folders()]

    def status(self) -> list[str]:
        return [self.tools["sv"], "status", *self._folders()]

    def logs(self) -> list[Path]:
        return [path for path in super().logs() if path.name == "current" or path.name.startswith("@")]

    def _folders(self) -> list[str]:
        return [f"{self.home}/services/{service.name}" for service in self.services]
