"""Measures the CPU time of commands: `status` against a bare interpreter, and what reads the ledger where that is long.

CPU time of the whole process, in turns within one run: a busy machine changes it little, and both sides alike.
"""

from __future__ import annotations

import fcntl
import os
import pty
import sqlite3
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scripts.tools.bench import proc
from scripts.tools.bench.peers.base import Peer
from scripts.tools.bench.peers.ours import Ours
from scripts.tools.bench.scenarios import SECOND, Bench
from supervisor.adapters.ledger.schema import open_ledger

TURNS = 15
INSTANCES = 100
EVENTS = 1_000_000
READ = 100_000
"""Events of the last two days: what `report --since 1d` reads."""
DAY_S = 86_400.0
OLD_S = 25 * DAY_S
STORY = (
    ("running", "backoff", "killed-by-signal", '{"signal":9,"delay_s":0.1,"attempt":1}'),
    ("backoff", "starting", "backoff-elapsed", "{}"),
    ("starting", "running", "spawned", '{"pid":12345}'),
)


def commands(bench: Bench, peer: Peer) -> None:
    if not isinstance(peer, Ours):
        return
    services = [bench.service(i) for i in range(INSTANCES)]
    if bench.wants("status-cpu", "status-json-cpu", "status-tty-cpu"):
        with bench.running(peer, services):
            _status(bench, peer)
    if bench.wants("why-ledger", "events-ledger", "report-cpu", "report-daemon-cpu"):
        with bench.running(peer, services):
            few = [_ledger_commands(bench, peer) for _ in range(TURNS)]
        with bench.running(peer, services, prepare=lambda kept: _fill(kept / "state", [s.name for s in services])):
            many = [_ledger_commands(bench, peer) for _ in range(TURNS)]
            _refuse_another_ledger(peer.kept / "state")
            _report(bench, peer)
        for key, number in (("why-ledger", 0), ("events-ledger", 1)):
            for short, long in zip(few, many, strict=True):
                bench.record(key, long[number] / short[number])


def _status(bench: Bench, peer: Ours) -> None:
    status = peer.status()
    _python(peer), _cpu(peer, status)  # compiles what is not compiled yet
    for _ in range(TURNS):
        bare = _python(peer)
        bench.record("status-cpu", _cpu(peer, status) / bare)
        bench.record("status-json-cpu", _cpu(peer, [*status, "--json"]) / bare)
        bench.record("status-tty-cpu", _cpu(peer, status, on_terminal=True) / bare)


def _ledger_commands(bench: Bench, peer: Ours) -> tuple[float, float]:
    """The CPU time of `why` and of `events -n 50`."""
    supervisor, file = peer.tools["supervisor"], f"{peer.home}/services.toml"
    return (
        _cpu(peer, [supervisor, "why", "-f", file, peer.services[0].name]),
        _cpu(peer, [supervisor, "events", "--file", file, "-n", "50"]),
    )


def _report(bench: Bench, peer: Ours) -> None:
    command = [peer.tools["supervisor"], "report", "-f", f"{peer.home}/services.toml", "--since", "1d"]
    for _ in range(bench.effort.captures):
        before = proc.usage(peer.processes())
        bench.record("report-cpu", _cpu(peer, command) / SECOND)
        bench.record("report-daemon-cpu", (proc.usage(peer.processes()) - before).cpu_ns / SECOND)


def _python(peer: Ours) -> float:
    return _cpu(peer, [str(Path(peer.tools["supervisor"]).with_name("python")), "-c", "pass"])


def _cpu(peer: Ours, argv: list[str], on_terminal: bool = False) -> float:
    """Nanoseconds of CPU time that the command took, in the kernel and outside."""
    with _terminal() if on_terminal else open(os.devnull, "wb") as out:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=peer.home,
            env={**peer.environment(), "TERM": "xterm-256color"},
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise OSError(f"{' '.join(argv)} ended with {process.returncode}")
    return (used.ru_utime + used.ru_stime) * SECOND


@contextmanager
def _terminal() -> Iterator[int]:
    """A terminal of 160 columns, whose output is read and thrown away."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))

    def read() -> None:
        with suppress(OSError):
            while os.read(ours, 65536):
                pass

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield its
    finally:
        os.close(its)
        reader.join()
        os.close(ours)


def _refuse_another_ledger(state: Path) -> None:
    """Raise OSError where the daemon has added no event to those of `_fill`."""
    db = sqlite3.connect(f"file:{state}/ledger.db?mode=ro", uri=True)
    (last,) = db.execute("SELECT max(id) FROM events").fetchone()
    db.close()
    if last <= EVENTS:
        raise OSError(f"the daemon does not use the ledger in {state}")


def _fill(state: Path, names: list[str]) -> None:
    """A ledger of a million events, a tenth of them of the last two days."""
    now = time.time()
    db = open_ledger(str(state / "ledger.db"))

    def rows() -> Iterator[tuple[object, ...]]:
        for number in range(EVENTS):
            recent = number - (EVENTS - READ)
            age = (
                OLD_S - number * (OLD_S - 2 * DAY_S) / (EVENTS - READ)
                if recent < 0
                else 2 * DAY_S * (1 - recent / READ)
            )
            name = names[number // 3 % len(names)]
            before, after, cause, detail = STORY[number % 3]
            yield number + 1, now - age, name, name, 1, "up", before, after, cause, detail, int(number < EVENTS - 100)

    db.execute("BEGIN")
    db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows())
    db.execute("COMMIT")
    db.close()
