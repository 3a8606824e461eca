from __future__ import annotations

import json
from pathlib import Path

from scripts.tools.bench.install import Tools, from_npm
from scripts.tools.bench.peers.base import Peer


class Pm2(Peer):
    """PM2 in fork mode, without an interpreter or a check of version control.

    It has no rotation of its own (a module polls for it): captured output goes to one file.
    """

    name = "pm2"
    settle_s = 1.0

    def install(self) -> Tools:
        return from_npm("pm2")

    def version(self) -> str:
        manifest = Path(self.tools["pm2"]).parent.parent / "pm2" / "package.json"
        return str(json.loads(manifest.read_text())["version"])

    def write(self) -> None:
        (self.kept / "log").mkdir()
        apps = [
            {
                "name": service.name,
                "script": service.argv[0],
                "args": list(service.argv[1:]),
                "interpreter": "none",
                "vizion": False,
                "autorestart": True,
                "min_uptime": 0,
                "max_restarts": 1000000000,
                "out_file": f"{self.kept}/log/{service.name}",
            }
            for service in self.services
        ]
        (self.home / "ecosystem.json").write_text(json.dumps({"apps": apps}))

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "PM2_HOME": f"{self.home}/pm2"}

    def daemon(self) -> list[str]:
        return [self.tools["pm2"], "start", f"{self.home}/ecosystem.json"]

    def stop_all(self) -> list[str]:
        return [self.tools["pm2"], "stop", "all"]

    def status(self) -> list[str]:
        return [self.tools["pm2"], "list"]
