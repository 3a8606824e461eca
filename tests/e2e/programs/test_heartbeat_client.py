"""The heartbeat client under the real daemon: a main loop that hangs while all its threads live is found."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Daemon

Make = Callable[..., Daemon]

HANGS = """
import threading, time
from supervisor import heartbeat

def chat():
    while True:
        time.sleep(0.02)
        print("the other thread is well", flush=True)

threading.Thread(target=chat, daemon=True).start()
lock = threading.Lock()
with heartbeat.service:
    heartbeat.background()
    for step in range(40):
        time.sleep(0.02)
        heartbeat.progress()
    print("hanging now", flush=True)
    lock.acquire()
    lock.acquire()
"""


def test_a_main_loop_that_hangs_while_its_threads_live_is_found(daemon: Make, tmp_path: Path) -> None:
    program = tmp_path / "hangs.py"
    program.write_text(HANGS)
    d = daemon(f"""
[services.worker]
command = ["{sys.executable}", "{program}"]
ready = {{ notify = true }}
heartbeat = {{ source = "notify", interval = "50ms", min_timeout = "3s", max_timeout = "5s" }}
restart = {{ initial = "10ms" }}
""")
    assert d.event("worker", "running")["detail"]["how"] == "notify"
    assert d.event("worker", "suspect")["cause"] == "heartbeat-silent"
    ended = d.event("worker", "stopping")
    assert ended["cause"] == "heartbeat-silent"
    assert len(ended["detail"]["intervals_s"]) >= 5


@pytest.mark.parametrize(("program", "ready"), [("sh", "notify.sh"), ("node", "worker.js"), ("sh", "plain.sh")])
def test_an_example_without_our_library_is_heard(daemon: Make, program: str, ready: str) -> None:
    """systemd-notify ends at once, and still its datagram is known for the service's."""
    if shutil.which(program) is None or shutil.which("systemd-notify") is None:
        pytest.skip(f"no {program} or no systemd-notify here")
    how = "log" if ready == "plain.sh" else "notify"
    wanted = 'log = "^ready$"' if how == "log" else "notify = true"
    d = daemon(f"""
[services.worker]
command = ["{program}", "{ROOT}/examples/heartbeat/{ready}"]
ready = {{ {wanted} }}
heartbeat = {{ source = "{how}", interval = "500ms" }}
""")
    assert d.event("worker", "running")["detail"]["how"] == how
