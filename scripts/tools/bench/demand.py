"""Measures what a start on demand adds to the first request: the daemon against a bare parent, in turns in one run.

The service needs 100 ms to start, then answers one request after the other.  The bare parent listens, starts the same
program at the moment at which the client connects, and does nothing else.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from scripts.tools.bench.balanced import PATIENCE
from scripts.tools.bench.balancing import supervised
from scripts.tools.bench.figures import OURS
from scripts.tools.bench.peers.base import Peer
from scripts.tools.bench.scenarios import MS, Bench
from supervisor.client import Client

STARTS_IN = 0.1
"""Seconds that the service needs."""
LISTENING = 3
"""The descriptor of its socket."""
PROGRAM = f"""
import socket, time
time.sleep({STARTS_IN})
listening = socket.socket(fileno={LISTENING})
while True:
    client = listening.accept()[0]
    client.recv(1)
    client.sendall(b"answer")
    client.close()
"""
COMMAND = (sys.executable, "-I", "-S", "-c", PROGRAM)


def demand(bench: Bench, peer: Peer) -> None:
    if peer.name != OURS or not bench.wants("demand-added", "demand-ratio"):
        return
    # A directory of its own, because the path of a Unix socket is short.
    with tempfile.TemporaryDirectory(prefix="phi-demand-") as name:
        place = Path(name)
        with supervised(_configuration(place), place) as client:
            _bare(place)
            for _ in range(bench.effort.statuses):
                bare = _bare(place)
                _wait_until_it_waits(client)
                ours = _first_request(f"{place}/demand.sock")
                bench.record("demand-added", (ours - bare) / MS)
                bench.record("demand-ratio", ours / bare)


def _configuration(place: Path) -> str:
    command = ", ".join(f"'''{part}'''" for part in COMMAND)
    return f"""
[supervisor]
name = "demand"
runtime_dir = "{place}/r"
state_dir = "{place}/s"

[services.lazy]
command = [{command}]
sockets = ["unix:{place}/demand.sock?start=demand&idle=1s"]
"""


def _wait_until_it_waits(client: Client) -> None:
    """Until the run before was stopped because it was idle, or failed."""
    with client.stream(["status"], interval=0.2) as news:
        for message in news:
            if message[0] == "status" and all(r["state"] == "stopped" and r["ready"] for r in message[1]["instances"]):
                return


def _first_request(path: str) -> int:
    """Nanoseconds from the connection until the answer."""
    began = time.monotonic_ns()
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(path)
        return _answered(connection, began)


def _answered(connection: socket.socket, began: int) -> int:
    connection.sendall(b"?")
    if connection.recv(64) != b"answer":
        raise OSError("the first request was not answered")
    return time.monotonic_ns() - began


def _bare(place: Path) -> int:
    """The same with a parent that does nothing else."""
    path = place / "bare.sock"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as listening:
        listening.bind(str(path))
        listening.listen()
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
            began = time.monotonic_ns()
            connection.settimeout(PATIENCE)
            connection.connect(str(path))
            # Popen cannot give a descriptor another number but those of the standard streams.
            program = COMMAND[-1].replace(f"fileno={LISTENING}", "fileno=0")
            with subprocess.Popen([*COMMAND[:-1], program], stdin=listening.fileno()) as process:
                try:
                    return _answered(connection, began)
                finally:
                    process.kill()
                    path.unlink()
