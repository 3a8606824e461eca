from __future__ import annotations

from scripts.tools.bench.install import Tools, from_pypi
from scripts.tools.bench.peers.base import ROTATE_AT_BYTES, ROTATED_FILES, Peer


class Circus(Peer):
    """Circus polls: ten times a second here, every 5 s by default. Output is captured where that is measured."""

    name = "circus"

    def install(self) -> Tools:
        return from_pypi("circus")

    def version(self) -> str:
        return self.output_of(self.tools["circusd"], "--version")

    def write(self) -> None:
        (self.kept / "log").mkdir()
        parts = [
            f"""
[circus]
check_delay = 0.1
endpoint = ipc://{self.home}/e
pubsub_endpoint = ipc://{self.home}/p
"""
        ]
        for service in self.services:
            parts.append(f"""
[watcher:{service.name}]
cmd = {service.line}
max_retry = -1
""")
            if service.capture:
                parts.append(f"""
stdout_stream.class = FileStream
stdout_stream.filename = {self.kept}/log/{service.name}
stdout_stream.max_bytes = {ROTATE_AT_BYTES}
stdout_stream.backup_count = {ROTATED_FILES}
""")
        (self.home / "circus.ini").write_text("".join(parts))

    def daemon(self) -> list[str]:
        return [self.tools["circusd"], f"{self.home}/circus.ini"]

    def stop_all(self) -> list[str]:
        return [self.tools["circusctl"], "--endpoint", f"ipc://{self.home}/e", "stop", "--waiting"]

    def status(self) -> list[str]:
        return [self.tools["circusctl"], "--endpoint", f"ipc://{self.home}/e", "status"]
