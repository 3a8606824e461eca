"""The evidence of a hang, as the real daemon records it."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.adapters.diagnosis import pyspy
from tests.e2e.conftest import Daemon, wait_gone

Make = Callable[..., Daemon]

HANGS = """
import threading, time
from supervisor import heartbeat

def hangs_here():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

heartbeat.dump_on()
with heartbeat.service:
    for _ in heartbeat.each(range(20)):
        time.sleep(0.03)
    hangs_here()
"""


def service(tmp_path: Path, more: str) -> str:
    program = tmp_path / "hangs.py"
    program.write_text(HANGS)
    return f"""
[services.worker]
command = ["{sys.executable}", "{program}"]
directory = "{tmp_path}"
ready = {{ notify = true }}
heartbeat = {{ source = "notify", interval = "50ms", min_timeout = "300ms", max_timeout = "5s" }}
restart = {{ policy = "never" }}
{more}
"""


def test_why_shows_the_line_that_hangs(daemon: Make, tmp_path: Path) -> None:
    d = daemon(service(tmp_path, 'dump_signal = "USR2"'))
    d.event("worker", "stopping")
    told = d.cli("why", "worker").stdout
    assert "hangs at hangs.py:8 in hangs_here()" in told.splitlines()[0]
    assert "was in hangs_here (hangs.py:8) ← <module>" in told and ", by SIGUSR2" in told


@pytest.mark.skipif(pyspy.program() is None, reason="py-spy is not installed")
def test_py_spy_shows_it_without_the_service_playing_along(daemon: Make, tmp_path: Path) -> None:
    d = daemon(service(tmp_path, ""))
    d.event("worker", "stopping")
    told = d.cli("why", "worker").stdout
    assert "hangs at hangs.py:8 in hangs_here()" in told.splitlines()[0]
    assert "was in hangs_here (hangs.py:8) ← <module>" in told and ", by py-spy" in told
    evidence = d.cli("why", "worker", "--evidence").stdout
    assert "waits_in" in evidence and f"hangs_here ({tmp_path}/hangs.py:8)" in evidence


WRITES_ITS_STACKS = """
import faulthandler, signal, threading, time
faulthandler.register(signal.SIGUSR2)
for _ in range(20):
    print("a job is done", flush=True)
    time.sleep(0.05)
threading.Event().wait()
"""


@pytest.mark.parametrize("source", ["log", "activity"])
def test_an_answer_with_its_stacks_is_no_sign_of_life(daemon: Make, tmp_path: Path, source: str) -> None:
    """The process runs and writes because it is asked to, before the report."""
    program = tmp_path / "hangs.py"
    program.write_text(WRITES_ITS_STACKS)
    d = daemon(f"""
[services.worker]
command = ["{sys.executable}", "-S", "{program}"]
dump_signal = "USR2"
[services.worker.heartbeat]
source = "{source}"
interval = "50ms"
min_timeout = "1s"
on_suspect = "report"
""")
    d.event("worker", "suspect")
    told = d.said(lambda line: isinstance(line, dict) and line.get("instance") == "worker")
    assert (told["to"], told["detail"].get("action")) == ("suspect", "report")
    assert "threading.py" in d.cli("why", "worker", "--evidence").stdout


def test_a_core_file_is_waited_for(daemon: Make, tmp_path: Path) -> None:
    if Path("/proc/sys/kernel/core_pattern").read_text()[0] in "|/" or resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        pytest.skip("core files go elsewhere here, or nowhere")
    d = daemon(service(tmp_path, 'evidence = "core"\nstop_timeout = "60s"'))
    pid = d.event("worker", "running")["detail"].get("pid") or d.status("worker")["pid"]
    assert d.event("worker", "stopping")["cause"] == "heartbeat-silent"
    ended = d.event("worker", "exited")
    wait_gone(pid)
    assert ended["detail"]["signal"] == 6
    assert [core for core in tmp_path.glob("core*") if core.stat().st_size > 0]
    assert "core file requested" in d.cli("why", "worker").stdout
