"""Two folders of one name: no command reaches the daemon of the other, and a folder that was moved keeps its own."""

from __future__ import annotations

import json
import os
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
    one.event("one", "running")
    pid = one.status("one")["pid"]  # a daemon that answers has written which file it runs
    one.signal(signal.SIGKILL)
    one.wait()
    other = beside(one, tmp_path / "app")
    refused: subprocess.CompletedProcess[str] = other.cli("run")
    assert refused.returncode == 1 and f"belongs to {one.file}, whose daemon was killed" in refused.stderr
    assert alive(pid)
    one.start()
    assert one.status("one")["pid"] == pid


def test_a_folder_that_was_moved_keeps_its_daemon(daemon: Make, tmp_path: Path) -> None:
    one = daemon("", start=False)
    one.runtime_dir, one.state_dir = tmp_path / "r", tmp_path / "s"
    one.write(ONE)
    one.start()
    pid = one.event("one", "running")["detail"]["pid"]
    path = one.file
    moved = Path(shutil.move(one.directory, tmp_path / "moved"))
    one.file = moved / "services.toml"
    result = one.cli("up", "-d")
    assert result.returncode == 0 and "already running" in result.stdout
    told = f"the file was moved; the daemon reads {path}\n"
    assert told in result.stderr and "supervisor init" not in result.stderr
    refused = one.cli("reload")
    assert refused.returncode == 2 and told in refused.stderr and "`supervisor down`, then" in refused.stderr
    assert one.status("one")["pid"] == pid
    one.signal(signal.SIGKILL)
    one.wait()
    one.start()
    assert one.event("one", "running")["incarnation"] == 2, "its directory has another path"
    assert not alive(pid)


def test_a_moved_folder_gives_no_order_to_the_one_in_its_place(daemon: Make, tmp_path: Path) -> None:
    """Its daemon reads the file by its path: a reload would put the other file in force."""
    one = daemon("", start=False)
    one.runtime_dir, one.state_dir = tmp_path / "r", tmp_path / "s"
    one.write(ONE)
    one.start()
    pid = one.event("one", "running")["detail"]["pid"]
    path = one.file
    one.file = Path(shutil.move(one.directory, tmp_path / "moved")) / "services.toml"
    path.parent.mkdir()
    path.write_text(one.file.read_text().replace(ONE, OTHER))
    result = one.cli("reload")
    assert result.returncode == 2 and f"this daemon runs {path}, not {one.file}" in result.stderr
    assert alive(pid)
    shutil.rmtree(path.parent)
    assert one.status("one")["pid"] == pid


def test_up_succeeds_a_killed_daemon_in_a_folder_that_was_moved(daemon: Make, tmp_path: Path) -> None:
    one = daemon("", start=False)
    one.runtime_dir, one.state_dir = tmp_path / "r", tmp_path / "s"
    one.write(ONE)
    one.start()
    one.signal(signal.SIGKILL)
    one.wait()
    one.file = Path(shutil.move(one.directory, tmp_path / "moved")) / "services.toml"
    result = one.cli("up", "-d")
    assert result.returncode == 0, result.stderr
    assert one.cli("down").returncode == 0


def test_a_link_is_followed_to_the_new_release(daemon: Make, tmp_path: Path) -> None:
    """A deploy moves `current` on; the shell says `current`, where the kernel says the release."""
    d = daemon("", start=False)
    releases = [tmp_path / "1", tmp_path / "2"]
    current = tmp_path / "current"
    for release in releases:
        release.mkdir()
        d.file = release / "services.toml"
        d.write(
            '[services.app]\ncommand = "sleep 3601"\n[services.elsewhere]\ncommand = "sleep 3602"\ndirectory = "/"\n'
        )
    current.symlink_to(releases[0])
    d.file = current / "services.toml"
    d.start()
    d.event("elsewhere", "running")
    pid = d.status("elsewhere")["pid"]
    current.unlink()
    current.symlink_to(releases[1])
    d.file = Path("services.toml")
    reload = d.cli("reload", cwd=current, env=os.environ | {"PWD": str(current)})
    assert reload.returncode == 0 and "directory (restarted)" in reload.stdout
    moved = d.event("app", "running")["detail"]["pid"]
    assert Path(f"/proc/{moved}/cwd").resolve() == releases[1]
    assert d.status("elsewhere")["pid"] == pid
    again = d.cli("reload", cwd=current, env=os.environ | {"PWD": str(current)})
    assert "no changes" in again.stdout


def test_up_says_that_an_edited_file_is_not_in_force(daemon: Make) -> None:
    d = daemon(ONE)
    d.event("one", "running")
    assert "not in force" not in d.cli("up", "-d").stderr
    d.write(ONE + OTHER)
    up = d.cli("up", "-d")
    assert up.returncode == 0 and "the edited file is not in force: `supervisor reload` applies it" in up.stderr
    d.write(ONE + "[services.broken]\n")
    up = d.cli("up", "-d")
    assert up.returncode == 0 and "no command" in up.stderr


def test_all_daemons_of_the_host_are_listed(daemon: Make) -> None:
    d = daemon(ONE)
    d.event("one", "running")

    def listed() -> list[tuple[str, bool]]:
        """The state of this daemon, and whether its file exists.  Others may run on this host."""
        found = json.loads(d.cli("ls", "--json").stdout)["daemons"]
        return [(one["state"], one["file_exists"]) for one in found if one["runtime_dir"] == str(d.runtime_dir)]

    assert listed() == [("running", True)]
    away = d.file.rename(d.directory / "away.toml")
    assert listed() == [("running", False)]
    away.rename(d.file)
    d.signal(signal.SIGKILL)
    d.wait()
    assert listed() == [("killed", True)]
    assert d.cli("down").returncode == 0
    d.start()
    d.event("one", "running")
    assert d.cli("down").returncode == 0
    assert listed() == []
