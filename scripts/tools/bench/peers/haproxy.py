from __future__ import annotations

import shutil

from scripts.tools.bench.install import Absent, Tools
from scripts.tools.bench.peers.base import Peer

CONFIG = """
global
    maxconn 1000
    nbthread 1
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend unused
    bind {home}/haproxy.sock
    default_backend probed
backend probed
    option httpchk GET /
"""
"""It starts only with a listener."""


class HAProxy(Peer):
    """HAProxy's own checks over HTTP, in one thread; it makes a connection for each. A shell starts the victims."""

    name = "HAProxy"
    checks_http = True
    skips = frozenset({"kill", "burst", "start", "stop", "idle", "pss", "status", "capture", "probe-kept"})

    def install(self) -> Tools:
        if shutil.which("haproxy") is None:
            raise Absent("haproxy is not installed")
        return Tools(())

    def version(self) -> str:
        return self.output_of("haproxy", "-v").split()[2]

    def write(self) -> None:
        servers = [
            f"    server {service.name} 127.0.0.1:{service.checked_at} check inter 100ms\n"
            for service in self.services
            if service.checked_at
        ]
        (self.home / "haproxy.cfg").write_text(CONFIG.format(home=self.home) + "".join(servers))

    def daemon(self) -> list[str]:
        victims = " & ".join(service.line for service in self.services)
        return ["/bin/sh", "-c", f"{victims} & exec haproxy -db -f {self.home}/haproxy.cfg"]
