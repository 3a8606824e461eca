"""Two folders of one name: no command reaches the daemon of the other, and a folder that was moved keeps its own."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.e2e.conftest import Daemon, alive

Make = Callable[..., Daemon]
ONE = '[services.one]\ncommand = "sleep 3601"\n'
OTHER = '[services.other]\ncommand = "sleep 3602"\n'


def beside(one: Daemon, place: Path) -> Daemon:
    """Another folder of the same name, with a file that has the same directories as that of `one`."""
    place.mkdir()
    other = Daemon(place, OTHER)
    other.runtime_dir, other.state_dir = one.runtime_dir, one.state_dir
    other.write(OTHER)
    return other


def test_no_order_stops_the_services_of_another_folder(daemon: Make, tmp_path: Path) -> None:
    one = daemon(ONE)
    pid = one.event("one", "running")["detail"]["pid"]
    other = beside(one, tmp_path / "app")
    for order in ("status", "up -d", "stop", "restart one", "reload", "down"):
        result = other.cli(*order.split())
        assert result.returncode == 2 and f"this daemon runs {one.file}, not {other.file}" in result.stderr
    assert alive(pid) and one.cli("status").returncode == 0
    assert "already runs" in other.cli("run").stderr


def test_a_killed_daemon_is_succeeded_only_by_its_own_file(daemon: Make, tmp_path: Path) -> None:
    one = daemon(ONE)
    pid = one.event("one", "running")["detail"]["pid"]
    one.signal(signal.SIGKILL)
    one.wait()
    other = beside(one, tmp_path / "app")
    refused: subprocess.CompletedProcess[str] = other.cli("run")
    assert refused.returncode == 1 and f"is of {one.file}, whose daemon was killed" in refused.stderr
    assert alive(pid)
    one.start()
    assert one.status("one")["pid"] == pid


def test_a_folder_that_was_moved_keeps_its_daemon(daemon: Make, tmp_path: Path) -> None:
    one = daemon("", start=False)
    one.runtime_dir, one.state_dir = tmp_path / "r", tmp_path / "s"
    one.write(ONE)
    one.start()
    pid = one.event("one", "running")["detail"]["pid"]
    moved = Path(shutil.move(one.directory, tmp_path / "moved"))
    one.file = moved / "services.toml"
    result = one.cli("up", "-d")
    assert result.returncode == 0 and "already running" in result.stdout
    assert one.status("one")["pid"] == pid
    one.signal(signal.SIGKILL)
    one.wait()
    one.start()
    assert one.event("one", "running")["incarnation"] == 2, "its directory has another path"
    assert not alive(pid)
