"""`scripts/chaos` against a daemon of its own: every kind of fault but the long one is detected and healed."""

from __future__ import annotations

import json
import subprocess
import sys

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
