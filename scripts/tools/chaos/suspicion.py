"""Suspicion between three hosts in namespaces: false ones under loss and busy loops, and how soon true ones come.

Loss is made by the kernel: a filter that drops datagrams by chance is attached to the agents' own sockets.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from scripts.tools.chaos.cluster import BEGUN_WITHIN, Cluster, Host, needs, place_of_hosts
from scripts.tools.chaos.cluster_network import Network
from scripts.tools.chaos.cluster_observer import Observer
from scripts.tools.chaos.cluster_times import Times
from scripts.tools.chaos.pressure import pressure
from scripts.tools.chaos.private_daemon import JSON, tell

LOSS, LOOPS, STOPS = 0.05, 16, 10
TIMES = Times()
WISH = 0.3 * TIMES.session
"""Seconds: cluster.detect_within, as it is by default."""
SAID = "is under suspicion: its heartbeats"
SYS_PIDFD_GETFD, SO_ATTACH_FILTER = 438, 26
HEARD_WITHIN = 300.0


def suspicion(minutes: int, seed: int, say: Callable[[str], None]) -> JSON:
    """So many minutes of loss and loops, then some hosts that stand still, one of them until its session is over."""
    needs()
    dice = random.Random(seed)
    report: JSON = {"violations": [], "minutes": minutes, "seed": seed}
    with place_of_hosts() as place, Network() as network, Observer(place / "observer.sock") as observer:
        world = Cluster(place, network, observer, dice, TIMES)
        hosts = list(world.hosts.values())
        try:
            if wrong := world.settle(BEGUN_WITHIN):
                raise SystemExit(wrong)
            _all_heard(hosts)
            before = _said(hosts)
            agents = [host.pids("cluster-agent") for host in hosts]
            for host, (pid,) in zip(hosts, agents, strict=True):
                _lose(pid, host.network.address[host.node])
            waited = pressure()
            with _loops():
                time.sleep(60.0 * minutes)
            report["pressure"] = busy = (pressure() - waited) / (60.0 * minutes)
            if agents != [host.pids("cluster-agent") for host in hosts]:
                report["violations"].append("an agent was started again, and has lost nothing since then")
            report["false"] = false = _said(hosts) - before
            report["lost"] = lost = sum(_dropped(host.pids("cluster-agent")[0]) for host in hosts)
            under = f"{lost} heartbeats lost, {LOOPS} busy loops, pressure {busy:.0%}"
            say(f"{minutes} min, {under}: {false} false suspicions")
            report["violations"] += [f"{false} false suspicions"] if false else []
            _all_heard(hosts)
            report["suspected"] = times = [_stopped(dice.choice(hosts), hosts, say) for _ in range(STOPS)]
            victim = dice.choice(hosts)
            suspected, gone = _stopped_until_gone(victim, hosts)
            report["session"] = gone
            say(f"suspected after {suspected:.2f} s, session over after {gone:.2f} s")
            worst = max(*times, suspected)
            say(f"stopped hosts: median {statistics.median(times):.2f} s, worst {worst:.2f} s, wish {WISH:g} s")
            if worst > 1.5 * WISH or 3 * suspected > gone:
                report["violations"].append(f"suspected after {worst:.2f} s; session over after {gone:.2f} s")
        finally:
            for host in hosts:
                host.end()
    return tell(report, say)


def _all_heard(hosts: list[Host]) -> None:
    _until(lambda: all(len(host.word().get("heard", ())) == len(hosts) - 1 for host in hosts))


def _said(hosts: list[Host]) -> int:
    """How many suspicions the daemons have logged."""
    return sum((host.place / "daemon.log").read_text().count(SAID) for host in hosts)


def _stopped(victim: Host, hosts: list[Host], say: Callable[[str], None]) -> float:
    """Seconds until both others suspect a host whose processes all stand still."""
    time.sleep(random.Random(time.monotonic_ns()).random() * WISH)  # anywhere between two heartbeats
    with _standing(victim) as moment:
        taken = _suspected(victim, hosts) - moment
    _all_heard(hosts)
    say(f"{victim.node} stopped: suspected after {taken:.2f} s")
    return taken


def _stopped_until_gone(victim: Host, hosts: list[Host]) -> tuple[float, float]:
    others = [host for host in hosts if host is not victim]
    with _standing(victim) as moment:
        suspected = _suspected(victim, hosts) - moment
        _until(lambda: not any(one["here"] for host in others for one in _members(host) if one["node"] == victim.node))
        return suspected, time.monotonic() - moment


def _members(host: Host) -> list[JSON]:
    return list(host.word().get("members", ()))


def _suspected(victim: Host, hosts: list[Host]) -> float:
    """The moment at which the last of the others has told its daemon."""
    for host in hosts:
        if host is not victim:
            _until(lambda host=host: victim.node in host.word().get("suspects", ()))  # type: ignore[misc]
    return time.monotonic()


@contextmanager
def _standing(victim: Host) -> Iterator[float]:
    pids = victim.pids("daemon", "cluster-agent", "cluster-deadman")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield time.monotonic()
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HEARD_WITHIN
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"not so within {HEARD_WITHIN:g} s")
        time.sleep(0.01)


@contextmanager
def _loops() -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(LOOPS):
            loop = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(loop.wait)
            stack.callback(loop.kill)
        yield


def _lose(pid: int, address: str) -> None:
    """Let the kernel drop datagrams to the process's socket of this address by chance.  OSError."""
    for path in Path(f"/proc/{pid}/fd").iterdir():
        sock = _copied(pid, int(path.name))
        if sock is not None:
            with sock:
                if sock.type == socket.SOCK_DGRAM and sock.getsockname()[0] == address:
                    _attach(sock)
                    return
    raise OSError(f"process {pid} has no socket at {address}")


def _dropped(pid: int) -> int:
    """How many datagrams the kernel has dropped at the sockets of its namespace."""
    return sum(int(line.split()[-1]) for line in Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:])


def _copied(pid: int, descriptor: int) -> socket.socket | None:
    """A copy of a descriptor of another process, where it is a socket of the network."""
    if not str(Path(f"/proc/{pid}/fd/{descriptor}").readlink()).startswith("socket:"):
        return None
    process = os.pidfd_open(pid)
    try:
        found = ctypes.CDLL(None, use_errno=True).syscall(SYS_PIDFD_GETFD, process, descriptor, 0)
    finally:
        os.close(process)
    if found < 0:
        return None
    sock = socket.socket(fileno=found)
    if sock.family == socket.AF_INET:
        return sock
    sock.close()
    return None


def _attach(sock: socket.socket) -> None:
    """A classic BPF program: load a random number; drop the datagram where it is small, else take all of it."""
    random_number, taken = 0xFFFFF000 + 56, 0xFFFFFFFF  # SKF_AD_OFF + SKF_AD_RANDOM
    program = b"".join(
        struct.pack("=HBBI", *line)
        for line in (
            (0x20, 0, 0, random_number),
            (0x35, 0, 1, round(LOSS * 2**32)),
            (0x06, 0, 0, taken),
            (0x06, 0, 0, 0),
        )
    )
    held = ctypes.create_string_buffer(program)
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program) // 8, ctypes.addressof(held)))
