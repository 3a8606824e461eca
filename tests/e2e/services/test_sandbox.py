"""Sandboxed services under a real daemon: they beat, also after its crash, and what fails is told with its step."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.adapters.processes.sandbox import refusal
from supervisor.core.model.spec import SandboxSpec
from tests.e2e.conftest import PATIENCE, Daemon

Make = Callable[..., Daemon]
FULL = SandboxSpec(private_tmp=True, private_devices=True, protect_system="strict", protect_home="tmpfs")
REFUSED = refusal(FULL)
pytestmark = pytest.mark.skipif(REFUSED != "", reason=f"a sandbox {REFUSED}")

BEATER = """
import os, socket, time
def tell(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text, os.environ['NOTIFY_SOCKET'])
def socket_file():
    try:
        found = os.stat(os.environ['NOTIFY_SOCKET'])
        return found.st_ino, found.st_ctime_ns
    except OSError:  # no daemon
        return None
print(os.listdir('/tmp'), os.path.exists('/dev/kmsg'), flush=True)
tell(b'READY=1')
first = socket_file()
while True:
    now = socket_file()
    try:
        tell(b'WATCHDOG=1')
    except OSError:
        now = None
    if now not in (None, first):
        print('back', flush=True)
        first = now
    time.sleep(0.05)
"""
BOXED = """
[services.boxed]
command = ["/usr/bin/python3", "-I", "-c", '''%s''']
directory = "/"
ready.notify = true
heartbeat = { interval = "100ms", timeout = "2s", detector = "timeout" }
stop_timeout = "2s"
sandbox = { private_tmp = true, private_devices = true, protect_system = "strict", protect_home = "tmpfs" }
"""


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "its log does not have that"
        time.sleep(0.01)


@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="needs a Python outside of all homes")
def test_a_service_beats_from_its_sandbox_also_to_the_next_daemon(daemon: Make) -> None:
    """The runtime directory lies below /tmp, which the service has for itself."""
    d = daemon(BOXED % BEATER)
    d.event("boxed", "running", "ready")
    before = d.status("boxed")
    log = d.state_dir / "log" / "boxed.log"
    until(lambda: log.read_text().endswith("\n"))  # READY=1 may be read before the output
    assert log.read_text().endswith(" False\n")
    d.signal(signal.SIGKILL)
    d.wait()
    d.start()
    d.event("boxed", "running", "adopted")
    assert d.status("boxed")["pid"] == before["pid"]
    until(lambda: "back\n" in log.read_text())


def test_a_path_that_is_gone_is_told_with_the_step(daemon: Make, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    d = daemon(
        f'[services.a]\ncommand = "sleep 1000"\nautostart = false\nsandbox.read_only_paths = ["{tmp_path}/data"]\n'
        'restart = { initial = "1ms", max_restarts = 1 }\n'
    )
    (tmp_path / "data").rmdir()
    d.client.post("/v1/start", {"services": ["a"]})
    failed = d.event("a", "backoff", "spawn-failed")
    assert failed["detail"]["error"] == f"sandbox: open {os.path.realpath(tmp_path)}/data: No such file or directory"


def test_check_shows_a_sandbox_and_what_root_can_do(daemon: Make) -> None:
    d = daemon('[services.a]\ncommand = "sleep 1000"\nsandbox.protect_system = "full"\n', start=False)
    checked = d.cli("check")
    assert (checked.returncode, "sandbox /usr, /boot and /etc read-only" in checked.stdout) == (0, True)
    assert ("root can undo it" in checked.stderr) == (os.geteuid() == 0)


def test_a_reload_that_changes_the_sandbox_restarts(daemon: Make) -> None:
    d = daemon('[services.a]\ncommand = "sleep 1000"\n')
    d.event("a", "running")
    d.write('[services.a]\ncommand = "sleep 1000"\nsandbox.protect_system = true\n')
    assert d.cli("reload").returncode == 0
    d.event("a", "stopping")
    d.event("a", "running")
    pid = d.status("a")["pid"]
    assert Path(f"/proc/{pid}/ns/mnt").readlink() != Path("/proc/self/ns/mnt").readlink()
