"""Probes and hooks under the real daemon: what they leave behind, and what they cannot ask."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.linux import procfs
from tests.e2e.conftest import PATIENCE, Daemon, alive

Make = Callable[..., Daemon]

SLEEPER = 'command = ["sleep", "1000"]'


@pytest.fixture
def leavings(tmp_path: Path) -> Iterator[Callable[[], list[int]]]:
    """The living processes whose command line contains a word of this test alone."""
    word = f"{tmp_path}/left".encode()

    def find() -> list[int]:
        return [
            pid
            for pid in procfs.pids()
            if word in (procfs.read(f"/proc/{pid}/cmdline") or b"")
            and (stat := procfs.stat(pid)) is not None
            and stat.state not in "ZX"
        ]

    yield find
    for pid in find():
        os.kill(pid, signal.SIGKILL)


def leaver(tmp_path: Path, then: str) -> tuple[list[str], Path]:
    """A command that leaves two children, one of them in a session of its own without any environment; and a file
    with a line for each run.  The file `children` beside it has the pid of each child."""
    runs = tmp_path / "runs"
    child = tmp_path / "left.sh"
    child.write_text(f"echo $$ >>{tmp_path}/children\nsleep 1000 & wait\n")
    children = f"sh {child} & env -i /usr/bin/setsid /bin/sh {child} &"
    return ["sh", "-c", f"echo run >>{runs}; {children} {then}"], runs


def until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def runs_of(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.parametrize("key", ["ready", "heartbeat"])
@pytest.mark.parametrize("then", ["exit 1", "exit 0", "exec sleep 1000"], ids=["no", "yes", "timeout"])
def test_what_a_probe_leaves_ends_with_it(
    daemon: Make, tmp_path: Path, leavings: Callable[[], list[int]], key: str, then: str
) -> None:
    command, runs = leaver(tmp_path, then)
    keys = {
        "ready": f'ready = {{ exec = {json.dumps(command)}, interval = "50ms", timeout = "300ms" }}',
        "heartbeat": f'heartbeat = {{ source = "exec", exec = {json.dumps(command)}, interval = "50ms", '
        f'probe_timeout = "300ms", max_timeout = "1h", min_timeout = "1h" }}',
    }
    d = daemon(f"[services.web]\n{SLEEPER}\n{keys[key]}\n")
    until(lambda: runs_of(runs) >= (1 if (key, then) == ("ready", "exit 0") else 4))
    assert len(leavings()) <= 8  # those of the present run
    down = d.cli("down")
    assert down.returncode == 0, down.stderr
    assert leavings() == []


def test_what_a_hook_leaves_ends_with_it(daemon: Make, tmp_path: Path, leavings: Callable[[], list[int]]) -> None:
    command, runs = leaver(tmp_path, "exit 0")
    d = daemon(f'[services.web]\n{SLEEPER}\nhooks = [{{ on = ["ready"], run = {json.dumps(command)} }}]\n')
    until(lambda: runs_of(runs))
    until(lambda: not leavings())
    assert d.cli("down").returncode == 0


def test_a_probe_and_a_hook_that_hang_are_ended_by_the_next_daemon(
    daemon: Make, tmp_path: Path, leavings: Callable[[], list[int]]
) -> None:
    command, runs = leaver(tmp_path, "exec sleep 1000")
    d = daemon(
        f'[services.web]\n{SLEEPER}\nheartbeat = {{ source = "exec", exec = {json.dumps(command)}, '
        f'probe_timeout = "1h", interval = "1h", max_timeout = "2h" }}\n'
        f'hooks = [{{ on = ["ready"], run = {json.dumps(command)}, timeout = "1h" }}]\n'
    )
    until(lambda: runs_of(runs) == 2)
    children = tmp_path / "children"
    until(lambda: runs_of(children) == 4)
    old = {int(pid) for pid in children.read_text().split()}
    service = d.status("web")["pid"]
    assert d.process is not None
    d.process.kill()
    d.process.wait()
    assert old <= set(leavings())
    d.start()
    until(lambda: not old & set(leavings()))
    assert d.status("web")["pid"] == service and alive(service)


CANNOT = {
    "gone": ["/nowhere/client"],
    "not-executable": ["/dev/null"],
    "126": ["sh", "-c", "/dev/null"],
    "127": ["sh", "-c", "no-such-client ping"],
    "killed": ["sh", "-c", "kill -9 $$"],
    "stopped": ["sh", "-c", "kill -STOP $$"],
}


@pytest.mark.parametrize("command", CANNOT.values(), ids=CANNOT)
def test_a_probe_that_cannot_run_ends_no_service(daemon: Make, tmp_path: Path, command: list[str]) -> None:
    """The first probe answers; then the program is another."""
    probe = tmp_path / "probe"
    probe.symlink_to("/bin/true")
    d = daemon(
        f"[services.web]\n{SLEEPER}\n"
        f'heartbeat = {{ source = "exec", exec = ["sh", "-c", "exec {probe}"], interval = "50ms", '
        f'probe_timeout = "400ms", min_timeout = "400ms", max_timeout = "800ms" }}\n'
    )
    d.event("web", "running")
    pid = d.status("web")["pid"]
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in command) + "\n")
    script.chmod(0o755)
    other = tmp_path / "other"
    other.symlink_to(script)
    other.rename(probe)
    told = d.event("web", "running", "probe-unknown")
    assert told["detail"]["error"]
    until(lambda: d.status("web")["probe"]["failures"] >= 2)
    row = d.status("web")
    assert (row["state"], row["pid"], row["restarts"]) == ("running", pid, 0)
    # On a starved host a probe may be ended before it finds that it cannot run, which counts as no answer.
    until(lambda: (row := d.status("web"))["probe"]["blind_s"] and row["probe"]["error"] and row["phi"] is None)
    until(lambda: any("web: its probe cannot ask" in t for t in d.client.get("/v1/status")["supervisor"]["problems"]))
    until(lambda: "probe cannot ask" in d.cli("status").stdout)
    until(lambda: "its probe could not ask" in d.cli("why", "web").stdout)
    other.symlink_to("/bin/true")
    other.rename(probe)
    assert d.event("web", "running", "probe-known")["detail"]["blind_s"] > 0.0
    # The host of the test may starve a probe again, so these are waited for.
    until(lambda: d.status("web")["probe"]["blind_s"] is None)
    until(lambda: not any("its probe cannot ask" in t for t in d.client.get("/v1/status")["supervisor"]["problems"]))
    assert d.status("web")["pid"] == pid


def test_a_start_is_not_ended_for_a_probe_that_cannot_run(daemon: Make, tmp_path: Path) -> None:
    probe = tmp_path / "probe"
    d = daemon(
        f'[services.web]\n{SLEEPER}\nstart_timeout = "3s"\n'
        f'ready = {{ exec = ["sh", "-c", "{probe}"], interval = "50ms", timeout = "5s" }}\n'
    )
    d.event("web", "starting", "probe-unknown")
    until(lambda: (probe := d.status("web")["probe"])["failures"] >= 8 and probe["blind_s"] > 4.0)
    row = d.status("web")
    assert (row["state"], row["incarnation"], row["ready_within_s"]) == ("starting", 1, None)
    probe.symlink_to("/bin/true")
    d.event("web", "running", "ready")
    assert d.status("web")["incarnation"] == 1
