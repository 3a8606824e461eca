"""A real agent process between a real ZooKeeper and a daemon and a dead-man that a test plays."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from supervisor.core.model.cluster_spec import SETTINGS_VARIABLE, ClusterSpec
from supervisor.core.model.plain import to_plain

LONGEST = 60.0


class Host:
    """`present`: epoch and whether it is gone, by slot of the one service "job"; `words`: what the agent has said."""

    def __init__(
        self,
        folder: Path,
        hosts: str,
        node: str = "a",
        slots: int = 1,
        session: float = 4.0,
        failsafe_at: tuple[str, int] | None = None,
    ) -> None:
        """`failsafe_at`: its address, at which it promises other hosts."""
        self.folder, self.node = folder / node, node
        self.folder.mkdir(parents=True, exist_ok=True)
        self.spec = ClusterSpec(
            hosts=hosts, node=node, session_timeout=session, contact_interval=0.2, request_timeout=0.5, tick_time=0.5,
            address=failsafe_at, failsafe=failsafe_at is not None,
        )  # fmt: skip
        self.slots = slots
        self.present: dict[int, tuple[int | None, bool]] = dict.fromkeys(range(slots), (None, True))
        self.wanted, self.answers = True, True
        self.pushed: dict[str, object] | None = None
        self.orders: list[dict[str, object]] = []
        self.status: dict[str, object] = {}
        self.incidents: dict[str, object] = {}
        self.words: list[dict[str, Any]] = []
        self.renewed: list[str] = []
        self._doors = {name: self._door(name) for name in ("cluster.sock", "deadman.sock")}
        self._open: dict[str, socket.socket] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start the agent."""
        environment = {**os.environ, SETTINGS_VARIABLE: json.dumps(to_plain(self.spec))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.cluster", str(self.folder)], env=environment, stdin=subprocess.DEVNULL
        )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the agent; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        self.until(lambda: self.process is None or self.process.poll() is not None)
        return self.process.wait()

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        for sock in (*self._doors.values(), *self._open.values()):
            sock.close()

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the daemon and the dead-man -----------------------------------------------------------------------------

    def until(self, holds: Callable[[], object], *others: Host) -> None:
        """Play the daemon, here and on other hosts, until something holds."""
        deadline = time.monotonic() + LONGEST
        while not holds():
            assert time.monotonic() < deadline, self.words[-1:]
            for one in (self, *others):
                one.turn(0.01)

    def turn(self, seconds: float) -> None:
        ready = select.select([*self._doors.values(), *self._open.values()], [], [], seconds)[0]
        for name, door in self._doors.items():
            if door in ready:
                self._open[name] = door.accept()[0]
                self._open[name].setblocking(False)
                if name == "cluster.sock":
                    self.tell()
        for name, sock in list(self._open.items()):
            if sock in ready:
                try:
                    packet = sock.recv(1 << 18)
                except OSError:
                    packet = b""
                if not packet:
                    del self._open[name]
                    sock.close()
                elif name == "cluster.sock":
                    self.words.append(json.loads(packet))
                    self.tell()
                else:
                    self.renewed.append(packet.decode())

    def tell(self) -> None:
        """The daemon's answer."""
        sock = self._open.get("cluster.sock")
        if sock is None or not self.answers:
            return
        answer = {
            "heard": self.words[-1]["at"] if self.words else 0.0,
            "able": True, "reason": "", "orders": self.orders, "status": self.status, "incidents": self.incidents,
            "services": [{
                "service": "job", "mode": "spread", "instances": self.slots, "require": {}, "prefer": {}, "apart": "",
                "digest": "d", "stop_timeout": 0.5, "wanted": self.wanted, "completes": False,
            }],
            "instances": [
                {"name": f"job@{n + 1}", "service": "job", "slot": n, "epoch": epoch, "gone": gone,
                 "completed": False, "ready": not gone}
                for n, (epoch, gone) in self.present.items()
            ],
        }  # fmt: skip
        if self.pushed is not None:
            answer |= {"pushed": self.pushed, "pushes": []}
        with suppress(OSError):
            sock.send(json.dumps(answer).encode())

    def dead_man(self, text: str) -> None:
        self._open["deadman.sock"].send(text.encode())

    def run(self) -> int:
        """Run slot 0 as soon as there is a lease; its epoch."""
        self.until(lambda: self.lease() is not None)
        lease = self.lease()
        assert lease is not None
        self.present[0] = lease["epoch"], False
        self.tell()
        return int(lease["epoch"])

    def lease(self) -> dict[str, Any] | None:
        """That of slot 0, by the last word."""
        found = [one for one in self.words[-1]["leases"] if one["slot"] == 0] if self.words else []
        return found[0] if found else None

    def _door(self, name: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.bind(str(self.folder / name))
        sock.listen(4)
        return sock
