"""Measures the figures in docs/decisions: what a library would cost the daemon, and how long a call takes.

Each import is measured in fresh interpreters that already hold the daemon's own modules; the figure is the median of
several runs. For a call it is the fastest of several runs, which other work on the machine disturbs least.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from collections.abc import Callable
from dataclasses import make_dataclass
from pathlib import Path
from statistics import median

RUNS = 7
DAEMON = "import supervisor.daemon.__main__, supervisor.daemon.runtime"
"""Imports the modules of a running daemon."""
BARE = "pass"
LIBRARIES = {
    "asyncio, one loop that ran once": (DAEMON, "import asyncio; asyncio.run(asyncio.sleep(0))"),
    "the same in a bare interpreter": (BARE, "import asyncio; asyncio.run(asyncio.sleep(0))"),
    "uvicorn and starlette": (DAEMON, "import uvicorn, starlette.applications, starlette.routing"),
    "h11": (DAEMON, "import h11"),
    "the configuration's compiler (pydantic-core)": (DAEMON, "import supervisor.config.compile"),
    "prometheus_client": (DAEMON, "import prometheus_client"),
    "psutil": (DAEMON, "import psutil"),
    "click": (BARE, "import click"),
    "rich": (BARE, "import rich.console, rich.table"),
}
PROBE = """
import time
{before}
def held():
    with open("/proc/self/smaps_rollup") as lines:
        kib = dict(line.split()[:2] for line in lines if line.endswith("kB\\n"))
    return int(kib["Rss:"]), int(kib["Anonymous:"])
before, began = held(), time.process_time()
{what}
took, after = time.process_time() - began, held()
print(after[0] - before[0], after[1] - before[1], 1e3 * took)
"""


def libraries() -> None:
    """Print by how much an interpreter grows with each import, and how long that takes.

    Resident memory counts code that other processes may share as if it were not shared; anonymous memory is always the
    process's own.
    """
    print("| imported | resident, MB | anonymous, MB | ms of CPU |\n| --- | ---: | ---: | ---: |")
    for name, (before, what) in LIBRARIES.items():
        probe = [sys.executable, "-c", PROBE.format(before=before, what=what)]
        runs = [subprocess.run(probe, capture_output=True, text=True, check=True).stdout.split() for _ in range(RUNS)]
        resident, anonymous, took = (median(float(run[k]) for run in runs) for k in range(3))
        print(f"| {name} | {resident * 1024 / 1e6:.1f} | {anonymous * 1024 / 1e6:.1f} | {took:.0f} |", flush=True)


def calls() -> None:
    print("\n| call | µs |\n| --- | ---: |")
    ballast = b""
    print(f"| define 24 frozen dataclasses | {1e6 * _each(_dataclasses, 3):.0f} |")
    print(f"| define 24 named tuples | {1e6 * _each(_named_tuples, 3):.0f} |")
    for size in (0, 200):
        ballast += os.urandom(size << 20)
        for how, spawn in (("vfork", _vfork), ("fork", _fork)):
            print(
                f"| spawn and wait by {how}, {size} MiB more in the parent | {1e6 * _each(spawn, 100):.0f} |",
                flush=True,
            )
    del ballast
    for name, call in _readers():
        print(f"| {name} | {1e6 * _each(call, 2000):.0f} |", flush=True)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:
        for mode in ("OFF", "NORMAL", "FULL"):
            print(
                f"| one event in SQLite, WAL, synchronous={mode} | {1e6 * _commit(Path(place), mode):.0f} |", flush=True
            )


def _dataclasses() -> None:
    for k in range(24):
        make_dataclass(f"Event{k}", [("incarnation", int), ("at", float)], frozen=True, slots=True)


def _named_tuples() -> None:
    for k in range(24):
        namedtuple(f"Event{k}", ("incarnation", "at"))


def _vfork() -> None:
    subprocess.Popen(["/bin/true"]).wait()


def _fork() -> None:
    pid = os.fork()
    if pid == 0:
        os.execv("/bin/true", ["/bin/true"])
    os.waitpid(pid, 0)


def _readers() -> list[tuple[str, Callable[[], object]]]:
    import psutil

    from supervisor.adapters.linux import procfs

    process = psutil.Process()

    def by_psutil() -> None:
        with process.oneshot():
            process.ppid(), process.status(), process.cpu_times(), process.memory_info()

    own = os.getpid()
    return [
        ("parent, state, CPU time, memory of a process: our reader", lambda: procfs.stat(own)),
        ("the same by psutil, in oneshot()", by_psutil),
        ("when a process began: our reader", lambda: procfs.start_time(own)),
        ("the same by psutil", lambda: psutil.Process(own).create_time()),
        ("two variables of its environment: our reader", lambda: procfs.environment_values(own, "HOME", "PATH")),
        ("the same by psutil", lambda: psutil.Process(own).environ()),
        ("its descendants: our reader", lambda: procfs.descendants(own)),
        ("the same by psutil", lambda: psutil.Process(own).children(recursive=True)),
    ]


def _each(call: Callable[[], object], times: int) -> float:
    took = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(times):
            call()
        took.append((time.perf_counter() - began) / times)
    return min(took)


def _commit(place: Path, mode: str) -> float:
    db = sqlite3.connect(place / f"{mode}.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute(f"PRAGMA synchronous={mode}")
    db.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, at REAL, detail TEXT)")
    try:
        return _each(lambda: db.execute("INSERT INTO events (at, detail) VALUES (?, ?)", (time.time(), "x" * 200)), 300)
    finally:
        db.close()


if __name__ == "__main__":
    libraries()
    calls()
