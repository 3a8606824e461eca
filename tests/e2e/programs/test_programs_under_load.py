"""Real programs beside sixteen busy loops: what hangs is ended, what is healthy is not, also without the daemon.

The long form is `scripts/chaos --programs` (docs/chaos.md), with sixty programs, for an hour.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.tools.chaos.catalog import PROGRAMS, TARGET, find
from scripts.tools.chaos.prepare import Prepared, prepare
from scripts.tools.chaos.pressure import busy_loops
from scripts.tools.chaos.private_daemon import ended, events
from tests.e2e import conftest
from tests.e2e.conftest import Daemon

LOOPS = 16
HANGS = {"beater": "lock", "gunicorn": "lock", "redis-cli": "lock"}
SPINS = "uvicorn"
HEALTHY = ("redis", "nginx", "http-server", "memcached", "openssl", "tmux", "script", "vmstat", "worker-log")
SHORT = ', target = { detect_within = "2s" }, max_timeout = "3s"'
"""For what spins: it is ended when it could run for so long, and a busy host lets it run little."""
PATIENCE = 120.0
"""Seconds without any news from a daemon that gets little CPU time."""


@pytest.fixture
def programs(tmp_path: Path) -> list[Prepared]:
    chosen = [p for p in PROGRAMS if p.name in {*HANGS, SPINS, *HEALTHY}]
    missing = sorted({name for p in chosen for name in (p.needs or "python3", *p.also) if find(name) is None})
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed (scripts/test installs it where it may)")
    place = tmp_path / "p"
    place.mkdir()
    chosen = [replace(p, beat=p.beat.replace(TARGET, SHORT)) if p.name == SPINS else p for p in chosen]
    return prepare(place, chosen, pytest.fail)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "PATIENCE", PATIENCE)


def each(d: Daemon, names: Collection[str], *changes: str, cause: str | None = None) -> None:
    """Wait until each of them has made each of these transitions, in any order; `cause`: of the first one."""
    left = {(name, to) for name in names for to in changes}

    def last_one(line: object) -> bool:
        if isinstance(line, dict) and (line.get("to") != changes[0] or cause in (None, line.get("cause"))):
            left.discard((line.get("instance"), line.get("to")))
        return not left

    d.said(last_one)


def written(file: Path, times: int) -> None:
    """Wait until a program has written to this file so many times."""
    until = time.monotonic() + PATIENCE
    for _ in range(times):
        before = file.stat().st_mtime_ns
        while file.stat().st_mtime_ns == before:
            assert time.monotonic() < until
            time.sleep(0.01)


def test_only_what_hangs_is_ended(
    daemon: Callable[..., Daemon], programs: list[Prepared], patient: None, tmp_path: Path
) -> None:
    by_name = {p.program.name: p for p in programs}
    d = daemon("\n".join(p.toml for p in programs), start=False).start(wait=False)
    each(d, by_name, "running")
    first = {row["name"]: row for row in d.client.get("/v1/status")["instances"]}
    assert {row["incarnation"] for row in first.values()} == {1}

    def hang(name: str, way: str) -> None:
        def send(number: int) -> bool:
            os.kill(first[name]["pid"], number)
            return True

        assert by_name[name].hang(way, send)

    with busy_loops(LOOPS):
        for name, way in HANGS.items():
            hang(name, way)
        each(d, HANGS, "stopping", "running", cause="heartbeat-silent")
        hang(SPINS, "spin")
        assert d.event(SPINS, "suspect")["cause"] == "heartbeat-silent"
        d.signal(signal.SIGSTOP)
        written(tmp_path / "p" / "script" / "typescript", 3)  # it writes once a second
        d.signal(signal.SIGKILL)
        d.wait()
        d.start(wait=False)
        each(d, HEALTHY, "running", cause="adopted")
    each(d, [SPINS], "stopping", "running", cause="heartbeat-silent")

    rows = {row["name"]: row for row in d.client.get("/v1/status")["instances"]}
    for name in HEALTHY:
        assert (rows[name]["state"], rows[name]["pid"]) == ("running", first[name]["pid"])
    of_ours = [e for e in events(d.client) if ended(e) or e["to"] in ("backoff", "failed", "exited")]
    assert {(e["instance"], e["incarnation"]) for e in of_ours} == {(name, 1) for name in (*HANGS, SPINS)}
