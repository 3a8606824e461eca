"""The measurements: each scenario runs a system once or several times and records samples for several rows."""

from __future__ import annotations

import contextlib
import os
import random
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.tools.bench import proc, subreaper
from scripts.tools.bench.figures import OURS, slope
from scripts.tools.bench.peers.base import Beats, Peer, Service
from scripts.tools.bench.victims import Journal, Kind, Record, TooLate

MS, SECOND = 1e6, 1e9  # in nanoseconds
MIB, KIB = 1024 * 1024, 1024
BLOCKS_OF_256_MIB = 164
SOFT_FILES = 1024
MANY = 2000
START_TIMEOUT_S = 60.0
OLD_ENOUGH_S = 1.5  # age of a service after which no system delays a restart
POLITE_END_S = 10.0
SAVING_PERIODS = 3
"""Idle periods for which beats are measured: with the full effort what detectors have learned is saved once in them."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How often and how long each thing is measured."""

    slow_kills: int = 20
    fast_kills: int = 40
    bursts: int = 5
    starts_of_100: int = 5
    starts_of_1000: int = 3
    settle_s: float = 3.0
    idle_s: float = 10.0
    statuses: int = 10
    capture_blocks: int = BLOCKS_OF_256_MIB
    captures: int = 3
    hangs: int = 9


FULL = Effort()
QUICK = Effort(
    slow_kills=2,
    fast_kills=3,
    bursts=1,
    starts_of_100=1,
    starts_of_1000=1,
    settle_s=1.5,
    idle_s=1.0,
    statuses=3,
    capture_blocks=BLOCKS_OF_256_MIB // 4,
    captures=1,
    hangs=2,
)


@dataclass
class Bench:
    """What every scenario needs. `record` takes (row key, sample); `wanted` says whether a row is to be measured."""

    victim: Path
    journal: Journal
    scratch: Path
    effort: Effort
    record: Callable[[str, float], None]
    wanted: Callable[[str], bool]
    rng: random.Random = field(default_factory=random.Random)

    def service(self, ident: int, *mode: str, capture: bool = False, beats: Beats = Beats.NONE, **more: Any) -> Service:
        argv = (str(self.victim), str(self.journal.path), str(ident), *(mode or ("pause",)))
        return Service(ident, argv, capture, beats, **more)

    @contextlib.contextmanager
    def running(
        self,
        peer: Peer,
        services: list[Service],
        timeout: float = START_TIMEOUT_S,
        prepare: Callable[[Path], None] = lambda kept: None,
    ) -> Iterator[float]:
        """Run `peer` with `services` until all have started; yields the seconds that this took from the launch.

        `prepare` is called before that, with the folder for its logs and state."""
        home, kept = Path(tempfile.mkdtemp(prefix="phi-bench-", dir=_in_memory())), self.scratch / "kept"
        kept.mkdir()
        self.journal.forget()
        try:
            peer.configure(home, kept, services)
            prepare(kept)
            launched = time.monotonic_ns()
            daemon = peer.launch()
            records = self.journal.wait([service.id for service in services], launched, timeout)
            yield (max(record.ns for record in records) - launched) / SECOND
            if peer.ends_politely:
                _end_politely(daemon)
        except TooLate as late:
            raise TooLate(f"{late}; it said: {peer.said() or 'nothing'}") from late
        finally:
            subreaper.end_all(self.victim)
            peer.clean()
            shutil.rmtree(home)
            shutil.rmtree(kept)

    def wants(self, *keys: str) -> bool:
        return any(self.wanted(key) for key in keys)


def _in_memory() -> str | None:
    """A folder in a tmpfs; None where there is none.  On a disk a FIFO can take longer than the start of a service:
    ext4 without a journal passes over each inode that was freed within the last minute."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def works(bench: Bench, peer: Peer) -> None:
    """Run one service briefly, to warm caches and to detect a system that does not work. Raises TooLate."""
    with bench.running(peer, [bench.service(0)], timeout=20.0):
        pass


def single_kills(bench: Bench, peer: Peer) -> None:
    plans = (
        ("kill-slow", bench.effort.slow_kills, OLD_ENOUGH_S, 1.0),
        ("kill-fast", bench.effort.fast_kills, 0.2, 0.1),
    )
    if not bench.wants("kill-slow", "kill-fast"):
        return
    with bench.running(peer, [bench.service(0)]):
        time.sleep(OLD_ENOUGH_S)
        for key, kills, apart, spread in plans:
            for _ in range(kills if bench.wanted(key) else 0):
                # a random phase, or polling systems would fall into step with the kills
                time.sleep(apart + bench.rng.uniform(0.0, spread))
                killed = kill(bench, [0])
                [back] = bench.journal.wait([0], killed, START_TIMEOUT_S)
                bench.record(key, (back.ns - killed) / MS)


def hundred(bench: Bench, peer: Peer) -> None:
    looks = bench.wants("burst", "status", "idle-cpu-100", "idle-wakes-100", "pss-100", "pss-slope")
    if not looks and not bench.wants("start-100", "stop-gone", "stop-return"):
        return
    services = [bench.service(i) for i in range(100)]
    for turn in range(bench.effort.starts_of_100):
        with bench.running(peer, services) as started_s:
            bench.record("start-100", started_s)
            time.sleep(OLD_ENOUGH_S)
            if looks and turn == 0:
                time.sleep(bench.effort.settle_s + peer.settle_s)
                _idle(bench, peer, 100)
                _status(bench, peer)
                _bursts(bench)
            _stop(bench, peer)


def thousand(bench: Bench, peer: Peer) -> None:
    looks = bench.wants("idle-cpu-1000", "idle-wakes-1000", "pss-1000", "pss-slope")
    starts = bench.wants("start-1000", "start-cpu-1000")
    if not starts and not looks:
        return
    services = [bench.service(i) for i in range(1000)]
    for turn in range(bench.effort.starts_of_1000 if starts else 1):
        with bench.running(peer, services) as started_s:
            bench.record("start-cpu-1000", proc.usage(peer.processes()).cpu_ns / SECOND)
            bench.record("start-1000", started_s)
            if looks and turn == 0:
                time.sleep(bench.effort.settle_s + peer.settle_s)
                _idle(bench, peer, 1000)


def beats(bench: Bench, peer: Peer) -> None:
    if not peer.watches_beats or not bench.wanted("beats-1000"):
        return
    with bench.running(peer, [bench.service(i, "beat", "100", "0", beats=Beats.PHI) for i in range(100)]):
        time.sleep(bench.effort.settle_s + peer.settle_s)
        used, seconds = _used(peer, SAVING_PERIODS * bench.effort.idle_s)
        bench.record("beats-1000", used.cpu_ns / SECOND / seconds * 100)


def hang(bench: Bench, peer: Peer) -> None:
    for key, watch in (("hang-timeout", Beats.TIMEOUT), ("hang-phi", Beats.PHI)):
        if not peer.watches_beats or not bench.wanted(key):
            continue
        with bench.running(peer, [bench.service(0, "beat", "100", "30", beats=watch)]):
            since = 0
            for _ in range(bench.effort.hangs):
                [hung] = bench.journal.wait([0], since, START_TIMEOUT_S, Kind.HUNG)
                [back] = bench.journal.wait([0], hung.ns, START_TIMEOUT_S)
                since = hung.ns
                bench.record(key, (back.ns - hung.ns) / MS)


def many(bench: Bench, peer: Peer) -> None:
    if peer.name != OURS or not bench.wants("many-running", "many-start"):
        return
    peer.soft_files = SOFT_FILES
    try:
        with bench.running(peer, [bench.service(i) for i in range(MANY)], timeout=2 * START_TIMEOUT_S) as started_s:
            bench.record("many-start", started_s)
            killed = kill(bench, [MANY - 1])
            bench.journal.wait([MANY - 1], killed, START_TIMEOUT_S)
            bench.record("many-running", float(_alive(bench, MANY)))
    finally:
        peer.soft_files = None


SCENARIOS = (single_kills, hundred, thousand, beats, hang, many)


SETTLE_S = 10.0
"""Seconds that every system gets to finish the work of its start (journals, ledgers) before it counts as idle."""


def _idle(bench: Bench, peer: Peer, services: int) -> None:
    """Record CPU, wake-ups and memory of a system whose services do nothing."""
    if bench.wants(f"idle-cpu-{services}", f"idle-wakes-{services}"):
        time.sleep(SETTLE_S)
        used, seconds = _used(peer, bench.effort.idle_s)
        bench.record(f"idle-cpu-{services}", used.cpu_ns / SECOND / seconds * 100)
        bench.record(f"idle-wakes-{services}", used.switches / seconds)
    bench.record(f"pss-{services}", proc.pss(peer.processes()) / MIB)


def pss_slope(medians: dict[str, float]) -> float | None:
    """KiB of memory that each service beyond the first hundred costs."""
    if "pss-100" not in medians or "pss-1000" not in medians:
        return None
    return slope((100, medians["pss-100"] * KIB), (1000, medians["pss-1000"] * KIB))


def _bursts(bench: Bench) -> None:
    for _ in range(bench.effort.bursts if bench.wanted("burst") else 0):
        time.sleep(OLD_ENOUGH_S + bench.rng.uniform(0.0, 1.0))
        killed = kill(bench, range(100))
        back = bench.journal.wait(range(100), killed, START_TIMEOUT_S)
        bench.record("burst", (max(record.ns for record in back) - killed) / MS)


def _status(bench: Bench, peer: Peer) -> None:
    command = peer.status()
    if command is None or not bench.wanted("status"):
        return
    for _ in range(bench.effort.statuses):
        began = time.monotonic_ns()
        peer.command(command).wait()
        bench.record("status", (time.monotonic_ns() - began) / MS)


def _used(peer: Peer, seconds: float) -> tuple[proc.Usage, float]:
    pids = peer.processes()
    before, began = proc.usage(pids), time.monotonic()
    time.sleep(seconds)
    return proc.usage(pids) - before, time.monotonic() - began


def _stop(bench: Bench, peer: Peer) -> None:
    """Run the stop command; record when the last victim has ended and when the command returns."""
    command = peer.stop_all()
    if command is None or not bench.wants("stop-gone", "stop-return"):
        return
    poll = select.epoll()
    victims = {os.pidfd_open(bench.journal.latest(service.id).pid) for service in peer.services}
    for fd in victims:
        poll.register(fd, select.EPOLLIN | select.EPOLLONESHOT)
    time.sleep(OLD_ENOUGH_S)  # what a burst of restarts left to do is done
    began = time.monotonic_ns()
    stopper = peer.command(command)
    returning = os.pidfd_open(stopper.pid)
    poll.register(returning, select.EPOLLIN | select.EPOLLONESHOT)
    left = {*victims, returning}
    gone = returned = began
    while left and (ready := poll.poll(START_TIMEOUT_S)):
        now = time.monotonic_ns()
        for fd, _ in ready:
            left.discard(fd)
            if fd == returning:
                returned = now
            else:
                gone = now
    stopper.wait()
    for fd in (*victims, returning):
        os.close(fd)
    poll.close()
    if not left:
        bench.record("stop-gone", (gone - began) / MS)
        if returned >= gone:  # else it has not waited for all of them
            bench.record("stop-return", (returned - began) / MS)


def kill(bench: Bench, ids: range | list[int]) -> int:
    """Send SIGKILL to the victims, as close together as possible; returns the time before (CLOCK_MONOTONIC, ns)."""
    records: list[Record] = [bench.journal.latest(i) for i in ids]
    handles = [os.pidfd_open(record.pid) for record in records]
    began = time.monotonic_ns()
    for fd in handles:
        signal.pidfd_send_signal(fd, signal.SIGKILL)
    for fd in handles:
        os.close(fd)
    return began


def _alive(bench: Bench, count: int) -> int:
    living = set(proc.descendants(os.getpid()))
    return sum(bench.journal.latest(i).pid in living for i in range(count))


def _end_politely(daemon: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM, so that a system can remove what it made outside its folder."""
    daemon.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        daemon.wait(POLITE_END_S)
