"""`scripts/chaos` against a daemon of its own: every kind of fault but the long one is detected and healed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from tests.e2e.conftest import ROOT


def test_each_fault_is_detected_and_healed() -> None:
    command = [
        sys.executable,
        "-m",
        "scripts.tools.chaos",
        "--faults",
        "kill,stop,hang",
        "--rounds",
        "3",
        "--seed",
        "3",
        "--json",
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    outcomes = {o["fault"]: o for o in json.loads(result.stdout)}
    assert outcomes.keys() == {"kill", "stop", "hang"}
    assert "killed-by-signal" in outcomes["kill"]["cause"]
    assert outcomes["stop"]["cause"].startswith("held as stopped"), "stopped is not dead"
    assert outcomes["hang"]["cause"].startswith("heartbeat-silent")


def test_nonsense_is_refused() -> None:
    command = [sys.executable, "-m", "scripts.tools.chaos", "--faults", "earthquake"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert "kill, stop, hang, starve" in result.stderr


def test_no_task_of_a_celery_fleet_is_lost() -> None:
    """The short form: every kind of fault once, and two restarts of the broker.  How soon a stuck child was found
    (`late`) depends on the host, and is judged by the long form alone."""
    pytest.importorskip("celery")
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed (scripts/test installs it where it may)")
    command = [sys.executable, "-m", "scripts.tools.chaos", "--celery", "70", "--for", "400s", "--json"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    report = json.loads(result.stdout)
    whole = json.dumps(report)
    assert report["violations"] == [], whole
    assert (report["lost"], report["sent_again_by_the_sender"], report["broker_restarts"]) == (0, 0, 2), whole
    assert (report["healthy_workers_ended_while_the_broker_was_away"], report["stuck_children"]) == (0, 2), whole
