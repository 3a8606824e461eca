"""The wall clock is set while a daemon runs, and while none does.  libfaketime shows our processes another time."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.tools.chaos.faked_time import LIBRARY, faked_time
from tests.e2e.conftest import Daemon

SERVICES = """
[services.web]
command = ["sleep", "7000"]
restart = { initial = "10ms", jitter = 0 }
"""
LONGEST = 600.0
"""Seconds; more than this test may take, and less than any step of the clock."""

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="no libfaketime")


def figures(daemon: Daemon) -> Any:
    done = daemon.cli("report", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that says which time it is; it is there for longer than the daemons."""
    with faked_time(tmp_path / "clock") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield tmp_path / "clock"


@pytest.mark.parametrize("step", ["+2h", "-2h"])
def test_a_step_of_the_clock_is_neither_outage_nor_availability(
    clock: Path, daemon: Callable[..., Daemon], step: str
) -> None:
    one = daemon(SERVICES)
    pid = one.event("web", "running")["detail"]["pid"]
    clock.write_text(step)
    os.kill(pid, signal.SIGKILL)
    told = one.said(lambda line: isinstance(line, dict) and line.get("cause") == "clock-set")
    assert abs(told["detail"]["stepped_s"]) == pytest.approx(7200, abs=LONGEST)
    one.event("web", "running")
    found = figures(one)
    total = found["total"]
    assert 0 < total["ready_s"] <= total["wanted_s"] <= found["seconds"] < LONGEST
    assert 0 <= total["longest_outage_s"] < LONGEST
    assert "web" in one.cli("events").stdout
    assert "the wall clock was set" in one.cli("events", "(daemon)").stdout

    one.signal(signal.SIGKILL)
    one.wait()
    clock.write_text("+30h")
    one.start()
    assert "the wall clock was set forwards" in one.cli("events", "-n", "5").stdout
    found = figures(one)
    assert 0 < found["total"]["ready_s"] <= found["seconds"] < LONGEST
