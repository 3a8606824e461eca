from __future__ import annotations

from pathlib import Path

from scripts.tools.bench.install import Tools, from_debian_system
from scripts.tools.bench.peers.base import ROTATE_AT_BYTES, ROTATED_FILES, Peer, write_script


class S6(Peer):
    """s6: an s6-supervise per service, an s6-log where capture is measured. Two starts are at least a second apart."""

    name = "s6"
    stamps_lines = True
    skips = frozenset({"status", "stop-return"})  # one s6-svstat shows one service; s6-svscanctl does not wait

    def install(self) -> Tools:
        return from_debian_system("s6", "s6-svscan")

    def version(self) -> str:
        return self.tools.version

    def write(self) -> None:
        for service in self.services:
            folder = self.home / "services" / service.name
            folder.mkdir(parents=True)
            write_script(folder / "run", f"exec {service.line}")
            if service.capture:
                (folder / "log").mkdir()
                action = f"{'T ' if service.stamped else ''}n{ROTATED_FILES} s{ROTATE_AT_BYTES} {self.kept}/log"
                write_script(folder / "log" / "run", f"exec {self.tools['s6-log']} {action}")

    def environment(self) -> dict[str, str]:
        environment = super().environment()
        return {**environment, "PATH": f"{self.tools.folders[0]}:{environment['PATH']}"}

    def daemon(self) -> list[str]:
        return [self.tools["s6-svscan"], "-c", str(2 * len(self.services) + 10), f"{self.home}/services"]

    def stop_all(self) -> list[str]:
        return [self.tools["s6-svscanctl"], "-t", f"{self.home}/services"]

    def logs(self) -> list[Path]:
        return [path for path in super().logs() if path.name == "current" or path.name.startswith("@")]
