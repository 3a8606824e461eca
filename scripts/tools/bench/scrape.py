"""Measures what a scrape of 500 instances costs the daemon, and how long a beat and another request wait meanwhile.

The scrape is also compared with an answer of `/v1/status` in the same run, so that two machines can be compared.
"""

from __future__ import annotations

import fcntl
import http.client
import socket
import struct
import termios
import threading
import time
from pathlib import Path

from scripts.tools.bench import proc
from scripts.tools.bench.figures import OURS
from scripts.tools.bench.peers.base import Peer
from scripts.tools.bench.scenarios import MS, Bench

SCRAPED = 500
ROUNDS = 5
COLLECTED_S = 0.011
"""Beats that follow each other faster are read together."""
BEATS = 20
"""Pages into which a beat comes, each at another moment, for one sample of `scrape-beat`."""


class Control(http.client.HTTPConnection):
    """A connection to the control socket of our daemon that stays open."""

    def __init__(self, path: Path) -> None:
        super().__init__("supervisor")
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)

    def ask(self, target: str) -> bytes:
        self.request("GET", target)
        return self.getresponse().read()


def scrape(bench: Bench, peer: Peer) -> None:
    if peer.name != OURS or not bench.wants("scrape-cpu", "scrape-ratio", "scrape-beat", "scrape-wait"):
        return
    with bench.running(peer, [bench.service(i) for i in range(SCRAPED)]):
        time.sleep(bench.effort.settle_s + peer.settle_s)
        path = peer.home / "run" / "control.sock"
        control, other = Control(path), Control(path)
        for target in ("/metrics", "/v1/status", "/healthz"):
            control.ask(target)
        for _ in range(bench.effort.statuses):
            page, status = _cost(peer, control, "/metrics"), _cost(peer, control, "/v1/status")
            bench.record("scrape-cpu", page / MS)
            bench.record("scrape-ratio", page / status)
            bench.record("scrape-beat", _beat_waits(control, str(path.with_name("notify.sock"))))
            bench.record("scrape-wait", _longest_wait(control, other))
        control.close()
        other.close()


def _cost(peer: Peer, control: Control, target: str) -> float:
    """Nanoseconds of CPU that the daemon needs for one answer."""
    pids = peer.processes()
    before = proc.usage(pids)
    for _ in range(ROUNDS):
        control.ask(target)
    return (proc.usage(pids) - before).cpu_ns / ROUNDS


def _beat_waits(control: Control, path: str) -> float:
    """The longest time in ms that the daemon leaves a beat in its socket while pages are made.

    One beat for each page, in turn at its begin, later and later, and near its end.  Where other programs keep the CPUs
    busy, the time tells how long daemon and bench waited for a CPU."""
    began = time.monotonic()
    control.ask("/metrics")
    takes = time.monotonic() - began
    longest = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as beats:
        for turn in range(BEATS):
            scraping = threading.Thread(target=control.ask, args=("/metrics",))
            scraping.start()
            time.sleep(takes * turn / BEATS)
            began_ns = time.monotonic_ns()
            beats.sendto(b"WATCHDOG=1", path)
            while struct.unpack("i", fcntl.ioctl(beats, termios.TIOCOUTQ, bytes(4)))[0]:
                pass
            longest = max(longest, time.monotonic_ns() - began_ns)
            scraping.join()
            time.sleep(COLLECTED_S)
    return longest / MS


def _longest_wait(control: Control, other: Control) -> float:
    """The longest time in ms that a small request waits for its answer while a page is made."""
    scraping = threading.Thread(target=control.ask, args=("/metrics",))
    longest = 0
    scraping.start()
    while scraping.is_alive():
        began = time.monotonic_ns()
        other.ask("/healthz")
        longest = max(longest, time.monotonic_ns() - began)
    return longest / MS
