"""Measures what it costs to watch: thousands of beats a second, hundreds of http probes, and a dashboard.

This supervisor is measured, and an earlier commit of it; for beats also each other peer that watches them.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator

from scripts.tools.bench import proc
from scripts.tools.bench.peers.base import Beats, Peer
from scripts.tools.bench.peers.ours import Ours
from scripts.tools.bench.scenarios import SAVING_PERIODS, SECOND, Bench, kill
from supervisor.client import Client

BEATING, EACH_MS = 20, 2
"""10,000 beats a second."""
PROBED = 50
"""500 probes a second, because each is probed ten times."""
SHOWN = 200
SCREEN = struct.pack("HHHH", 50, 160, 0, 0)
FIRST_PICTURE_S = 10.0
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%s\r\nok"


def many_beats(bench: Bench, peer: Peer) -> None:
    if not peer.watches_beats or not bench.wants("beats-10000", "beats-late"):
        return
    services = [bench.service(i, "beat", str(EACH_MS), "0", beats=Beats.PHI) for i in range(BEATING)]
    with bench.running(peer, services):
        time.sleep(bench.effort.settle_s + peer.settle_s)
        bench.record("beats-10000", _share(peer.processes(), SAVING_PERIODS * bench.effort.idle_s))
        if isinstance(peer, Ours):
            events = Client(f"{peer.home}/run/control.sock").events(limit=1000)
            bench.record("beats-late", float(sum(event["to"] == "suspect" for event in events)))


def probes(bench: Bench, peer: Peer) -> None:
    for key, keep in (("probe-new", ""), ("probe-kept", ", keep_alive = true")):
        if not peer.checks_http or not bench.wanted(key):
            continue
        with _server() as port:
            services = [bench.service(i, checked_at=port, extra=keep) for i in range(PROBED)]
            with bench.running(peer, services):
                time.sleep(bench.effort.settle_s + peer.settle_s)
                bench.record(key, _share(peer.processes(), bench.effort.idle_s))


def dashboard(bench: Bench, peer: Peer) -> None:
    if not isinstance(peer, Ours) or not bench.wants("dashboard-own", "dashboard-daemon"):
        return
    with bench.running(peer, [bench.service(i) for i in range(SHOWN)]):
        time.sleep(bench.effort.settle_s + peer.settle_s)
        daemon = peer.processes()
        with _shown(peer) as pid:
            time.sleep(FIRST_PICTURE_S)
            began, before, of_daemon = time.monotonic(), proc.usage([pid]), proc.usage(daemon)
            while time.monotonic() - began < bench.effort.idle_s:
                kill(bench, [0])
                time.sleep(1.0)
            seconds = time.monotonic() - began
            bench.record("dashboard-own", (proc.usage([pid]) - before).cpu_ns / SECOND / seconds * 100)
            bench.record("dashboard-daemon", (proc.usage(daemon) - of_daemon).cpu_ns / SECOND / seconds * 100)


def _share(pids: list[int], seconds: float) -> float:
    """Per cent of a core that the processes use in the next `seconds`."""
    before, began = proc.usage(pids), time.monotonic()
    time.sleep(seconds)
    return (proc.usage(pids) - before).cpu_ns / SECOND / (time.monotonic() - began) * 100


class _Answering(asyncio.Protocol):
    """Answers each request, and closes the connection where that is asked for."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        closes = b"Connection: close" in data
        self._transport.write(ANSWER % (b"Connection: close\r\n" if closes else b""))
        if closes:
            self._transport.close()


@contextlib.contextmanager
def _server() -> Iterator[int]:
    """A quick HTTP server in a thread of this process; its port."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(_Answering, "127.0.0.1", 0, backlog=1024))
    serving = threading.Thread(target=loop.run_forever)
    serving.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        serving.join()
        server.close()
        loop.close()


@contextlib.contextmanager
def _shown(peer: Ours) -> Iterator[int]:
    """The dashboard on a terminal that takes all it draws; its pid."""
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, SCREEN)
    environment = {**peer.environment(), "TERM": "xterm-256color"}
    dashboard = subprocess.Popen(
        peer.dashboard(), stdin=terminal, stdout=terminal, stderr=terminal, env=environment, start_new_session=True
    )
    os.close(terminal)
    drawn = threading.Thread(target=_read_all, args=(master,))
    drawn.start()
    try:
        yield dashboard.pid
    finally:
        dashboard.kill()
        dashboard.wait()
        drawn.join()
        os.close(master)


def _read_all(fd: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(fd, 1 << 16):
            pass


SCENARIOS = (many_beats, probes, dashboard)
