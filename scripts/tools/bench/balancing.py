"""The figures of balancing: the real HAProxy in front of real instances, under load.  See docs/balancing.md."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from scripts.tools.bench.balanced import Clients, balanced_service
from scripts.tools.bench.ports import free_ports
from supervisor.client import Client

MOST = 201
"""Ports that are used."""

LISTEN = free_ports(MOST)
PORTS = LISTEN + 1


def configuration(place: Path, replicas: int, more: str = "") -> str:
    service = balanced_service(LISTEN, (PORTS, PORTS + 31), place, replicas=replicas, drain="10s", more=more)
    return f"""
[supervisor]
name = "balancing"
runtime_dir = "{place}/r"
state_dir = "{place}/s"
{service}"""


@contextmanager
def supervised(text: str, place: Path) -> Iterator[Client]:
    """A daemon with this configuration, all of whose instances are ready."""
    file = place / "services.toml"
    file.write_text(text)
    command = [sys.executable, "-m", "supervisor"]
    subprocess.run([*command, "-f", str(file), "up", "-d"], check=True, stdout=subprocess.DEVNULL)
    try:
        yield Client(f"{place}/r/control.sock")
    finally:
        subprocess.run([*command, "-f", str(file), "down"], check=False, stdout=subprocess.DEVNULL)


def pid(client: Client, name: str) -> int | None:
    return next((row["pid"] for row in client.status()["instances"] if row["name"] == name and row["ready"]), None)


def reloads(place: Path) -> tuple[int, int]:
    """How often HAProxy was reloaded, and how many old workers it has."""
    told = b""
    while b" master " not in told:  # it refuses while it executes itself anew
        with suppress(OSError), closing(socket.socket(socket.AF_UNIX)) as master:
            master.connect(f"{place}/r/haproxy/m.sock")
            master.sendall(b"show proc\n")
            master.shutdown(socket.SHUT_WR)
            told = b""
            while part := master.recv(65536):
                told += part
    lines = told.decode().splitlines()
    count = next(int(line.split()[2]) for line in lines if " master " in line)
    return count, sum(" worker " in line for line in lines) - 1


def kills(requests: int) -> str:
    place = Path(tempfile.mkdtemp(prefix="balancing-"))
    with supervised(configuration(place, 4), place) as client:
        clients, killed = Clients(LISTEN, 8), 0
        while clients.answered < requests:
            name = f"web@{killed % 4 + 1}"
            if (found := pid(client, name)) is not None:
                os.kill(found, signal.SIGKILL)
                killed += 1
            time.sleep(1)
        clients.stop()
        told = f"{clients.answered} requests, an instance killed {killed} times: {len(clients.failed)} failed"
    shutil.rmtree(place)
    return told


def hang() -> str:
    place = Path(tempfile.mkdtemp(prefix="balancing-"))
    beat = """
[services.web.heartbeat]
source = "http"
http = "http://127.0.0.1:{port}/healthz"
interval = "250ms"
min_timeout = "1s"
max_timeout = "3s"
on_suspect = "report"
"""
    with supervised(configuration(place, 4, beat), place) as client:
        clients = Clients(LISTEN, 8)
        found = pid(client, "web@2")
        assert found is not None
        began = time.time()
        os.kill(found, signal.SIGUSR1)
        while client.balance()["services"][0]["slots"] and "web@2" in _active(client):
            time.sleep(0.005)
        detected = time.time() - began
        before, late = (place / "2").stat().st_size, len(clients.failed)
        answered = clients.answered
        time.sleep(5)
        after = (place / "2").stat().st_size - before
        told = f"no request {detected:.2f} s after an instance began to hang; then "
        told += f"{clients.answered - answered} requests: {after} to it, {len(clients.failed) - late} failed"
        os.kill(found, signal.SIGKILL)
        clients.stop()
        told += f"; {len(clients.failed)} of {clients.answered} in all"
    shutil.rmtree(place)
    return told


def _active(client: Client) -> dict[str, Any]:
    slots = client.balance()["services"][0]["slots"]
    return {str(slot["instance"]): slot for slot in slots if slot["state"] == "active"}


def evenness(seconds: float) -> str:
    place = Path(tempfile.mkdtemp(prefix="balancing-"))
    with supervised(configuration(place, 4), place) as client:
        clients = Clients(LISTEN, 8)
        time.sleep(seconds)
        clients.stop()
        time.sleep(3)
        carried = client.balance()["services"][0]["carried"]
    shutil.rmtree(place)
    mean = statistics.mean(carried.values())
    apart = max(abs(value - mean) for value in carried.values()) / mean
    told = f"least connections over 4 instances, {sum(carried.values())} requests"
    return f"{told}: L at most {100 * apart:.1f} % from the mean"


def operations(count: int) -> str:
    """Restarts of one instance, and every tenth time another number of instances."""
    place = Path(tempfile.mkdtemp(prefix="balancing-"))
    with supervised(configuration(place, 4), place) as client:
        clients, began = Clients(LISTEN, 4), time.monotonic()
        old, replicas, most = 0, 4, 0
        for number in range(count):
            if number % 10 == 9:
                replicas = 3 + number // 10 % 6
                client.scale([f"web={replicas}"])
            else:
                client.act("restart", [f"web@{number % 3 + 1}"])
            while not all(row["ready"] for row in client.status()["instances"] if row["goal"] == "up"):
                time.sleep(0.02)
            most, old = max(most, reloads(place)[1]), reloads(place)[0]
        took = time.monotonic() - began
        clients.stop()
        time.sleep(12)
        view = client.balance()["services"][0]
        leaked = len(view["slots"]) - replicas
        told = f"{count} operations in {took:.0f} s, {clients.answered} requests: {len(clients.failed)} failed, "
        told += f"{old} reloads, at most {most} old workers and {reloads(place)[1]} at the end, {leaked} slots leaked"
    shutil.rmtree(place)
    return told


class Addresses:
    """Listens at the addresses of all instances, and notes when it got which connection."""

    def __init__(self, count: int) -> None:
        self.last = [0.0] * count
        for number in range(count):
            listening = socket.create_server(("127.0.0.1", PORTS + number), backlog=64)
            threading.Thread(target=self._serve, args=(number, listening), daemon=True).start()

    def _serve(self, number: int, listening: socket.socket) -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
        while True:
            connection, _ = listening.accept()
            now = time.time()
            with connection, suppress(OSError):
                if connection.recv(65536):
                    self.last[number] = now
                    connection.sendall(answer)


def suspicion(instances: int, samples: int) -> str:
    """From the record of a suspicion to the last request that came to the instance.

    HAProxy sends all requests to the first instance that it may, so that the one that falls silent is busy."""
    place = Path(tempfile.mkdtemp(prefix="balancing-"))
    (place / "beats").mkdir()
    text = f"""
[supervisor]
name = "balancing"
runtime_dir = "{place}/r"
state_dir = "{place}/s"
[services.web]
command = ["sleep", "100000"]
replicas = {instances}
ports = "{PORTS}-{PORTS + instances - 1}"
balance = {{ listen = "127.0.0.1:{LISTEN}", algorithm = "first" }}
[services.web.heartbeat]
source = "file"
file = "{place}/beats/{{replica}}"
interval = "1s"
detector = "timeout"
timeout = "3s"
on_suspect = "report"
"""
    silent: set[int] = set()
    end = threading.Event()

    def touch() -> None:
        while not end.wait(0.5):
            for number in range(instances):
                if number not in silent:
                    (place / "beats" / str(number + 1)).touch()

    for number in range(instances):
        (place / "beats" / str(number + 1)).touch()
    beating = threading.Thread(target=touch)
    beating.start()
    addresses = Addresses(instances)
    delays: list[float] = []
    try:
        with supervised(text, place) as client:
            clients = Clients(LISTEN, 4, (False,))
            while len(delays) < samples:
                time.sleep(0.3)
                busy = max(range(instances), key=lambda number: addresses.last[number])
                silent.add(busy)
                event = None
                while event is None:
                    time.sleep(0.2)
                    found = client.events([f"web@{busy + 1}"], limit=5)
                    event = next((e for e in found if e["to"] == "suspect" and e["from"] == "running"), None)
                time.sleep(0.3)
                at = _moment(event["at"])
                delays.append(max(0.0, addresses.last[busy] - at))
            clients.stop()
    finally:
        end.set()
        beating.join()
    shutil.rmtree(place)
    median, most = 1e3 * statistics.median(delays), 1e3 * max(delays)
    told = f"{instances} instances, {samples} suspicions: the last new request came {median:.1f} ms after the record "
    return told + f"(median; at most {most:.1f} ms); {len(clients.failed)} of {clients.answered} failed"


def _moment(text: str) -> float:
    from supervisor.core.text.timestamps import from_iso

    return from_iso(text)


def main(*, quick: bool) -> int:
    if shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        print("haproxy is not installed", file=sys.stderr)
        return 1
    print(f"load of the host: {os.getloadavg()[0]:.1f}, {os.cpu_count()} CPUs")
    print(kills(1_000 if quick else 10_000), flush=True)
    print(hang(), flush=True)
    print(evenness(3 if quick else 30), flush=True)
    print(operations(20 if quick else 200), flush=True)
    print(suspicion(20 if quick else 200, 3 if quick else 20), flush=True)  # last: it keeps the ports
    return 0
