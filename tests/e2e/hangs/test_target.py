"""The detection target under the real daemon: it is assessed, reported, saved and restored."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from tests.e2e.conftest import Daemon

Make = Callable[..., Daemon]

WORKER = """
import time
from supervisor import heartbeat

for step in range(260):
    heartbeat.beat()
    time.sleep(0.01)
print("hanging now", flush=True)
time.sleep(1000)
"""


def test_a_hang_is_found_within_the_time_wanted(daemon: Make, tmp_path: Path) -> None:
    program = tmp_path / "worker.py"
    program.write_text(WORKER)
    d = daemon(f"""
[services.worker]
command = ["{sys.executable}", "{program}"]
heartbeat = {{ interval = "10ms", target = {{ detect_within = "1s", max_false_restarts = "1/1h" }} }}
restart = {{ policy = "never" }}
""")
    suspect = d.event("worker", "suspect")
    assert suspect["detail"]["detector"] == "adaptive"
    assert suspect["detail"]["silence_s"] < 1.0
    d.event("worker", "exited")
    (row,) = json.loads(d.cli("status", "--json").stdout)["instances"]
    target = row["target"]
    assert (target["detect_within_s"], target["max_false_restarts_per_30d"]) == (1.0, 720.0)
    assert target["beats"] >= 200
    assert target["feasible"] is not None
    assert target["patience_s"] <= target["most_s"] == 0.5
    assert target["says"] in " ".join(d.cli("why", "worker").stdout.split())
    found = json.loads(d.cli("detectors", "tune", "worker", "--json").stdout)
    assert found["beats"] >= target["beats"]
    assert found["present"]["setting"] == "target 1s, 1/1h"
