"""Real ZooKeeper servers for tests: one or more on loopback, in a directory of their own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.tools.bench.ports import free_ports

JAR = Path("/usr/share/java/zookeeper.jar")
MISSING = "" if JAR.exists() and shutil.which("java") else "needs ZooKeeper: apt-get install zookeeper"
"""Why there are none here; empty: there are."""
MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
BEGIN_SECONDS = 60.0


class Server:
    """One server; `port`: for clients; `jars`: what it needs beside its own."""

    def __init__(self, folder: Path, number: int, port: int, jars: Sequence[str] = ()) -> None:
        self.folder, self.number, self.port = folder, number, port
        self._path = ":".join([str(JAR), *(str(JAR.with_name(f"{name}.jar")) for name in jars)])
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "java", "-Xmx64m", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
                    "-cp", self._path, MAIN, str(self.folder / "zoo.cfg"),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
            )  # fmt: skip

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; after SIGSTOP, return when all its threads stand still."""
        assert self.process is not None
        self.process.send_signal(number)
        if number is signal.SIGSTOP:
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def stop(self) -> None:
        """KILL it, and forget the process; its data stay."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def mode(self) -> str:
        """leader, follower or standalone; empty while it serves nobody."""
        for line in self.ask("srvr").splitlines():
            if line.startswith("Mode:"):
                return line.partition(":")[2].strip()
        return ""

    def ask(self, command: str) -> str:
        """The answer to a four-letter word; empty if there is none."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1.0) as sock:
                sock.settimeout(1.0)
                sock.sendall(command.encode())
                return b"".join(iter(lambda: sock.recv(65536), b"")).decode()
        except OSError:
            return ""


class Ensemble:
    """Servers that know each other.  A context manager: at its end all are killed.

    `ways`: (from, to) → the port of `to` for its followers, as `from` knows it: for a test that stands between them."""

    def __init__(
        self, folder: Path, size: int = 1, tick: float = 0.5, more: str = "", jars: Sequence[str] = ()
    ) -> None:
        self.tick, self.more = tick, more
        first = free_ports(3 * size)
        ports = range(first, first + 3 * size)
        self.servers = [Server(folder / f"zk{n + 1}", n + 1, ports[n], jars) for n in range(size)]
        self.quorum, self.election = ports[size : 2 * size], ports[2 * size :]

    def configure(self, ways: Mapping[tuple[int, int], int] | None = None) -> None:
        for server in self.servers:
            server.folder.mkdir(parents=True, exist_ok=True)
            (server.folder / "myid").write_text(f"{server.number}\n")
            lines = [
                f"tickTime={round(1000 * self.tick)}", f"dataDir={server.folder}", f"clientPort={server.port}",
                "clientPortAddress=127.0.0.1", "initLimit=20", "syncLimit=10", "admin.enableServer=false",
                "4lw.commands.whitelist=srvr,ruok,mntr,cons", "forceSync=no", "preAllocSize=64", self.more,
            ]  # fmt: skip
            if len(self.servers) > 1:
                for n in range(len(self.servers)):
                    quorum = (ways or {}).get((server.number, n + 1), self.quorum[n])
                    lines.append(f"server.{n + 1}=127.0.0.1:{quorum}:{self.election[n]}")
            (server.folder / "zoo.cfg").write_text("\n".join(lines) + "\n")

    def __enter__(self) -> Ensemble:
        if not (self.servers[0].folder / "zoo.cfg").exists():
            self.configure()
        try:
            for server in self.servers:
                server.start()
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.stop()

    def wait(self) -> None:
        """Until all serve."""
        deadline = time.monotonic() + BEGIN_SECONDS
        for server in self.servers:
            while not server.mode():
                alive = server.process is not None and server.process.poll() is None
                assert alive and time.monotonic() < deadline, (server.folder / "log").read_text()[-4000:]
                time.sleep(0.05)

    @property
    def hosts(self) -> str:
        """The connect string."""
        return ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def leader(self) -> Server:
        return next(server for server in self.servers if server.mode() == "leader")
