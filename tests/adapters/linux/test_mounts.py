"""Which paths lead through a file system that may not answer: by a table of mounts, without touching that one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.adapters.linux.mounts import MountTable


@pytest.fixture
def table(tmp_path: Path) -> MountTable:
    """A table in which `far side` (with a space in its name) is NFS, and `far side/near` an ext4 in it."""
    for name in ("far side/near", "home"):
        (tmp_path / name).mkdir(parents=True)
    escaped = f"{tmp_path}/far side".replace(" ", "\\040")
    (tmp_path / "mountinfo").write_text(
        "22 27 0:21 / / rw,relatime - ext4 /dev/vda rw\n"
        f"60 22 0:40 / {escaped} rw,relatime shared:3 master:1 - nfs4 server:/x rw\n"
        f"61 60 0:41 / {escaped}/near rw - ext4 /dev/vdb rw\n"
        f"62 22 0:42 / {tmp_path}/twice rw - fuse.x x rw\n"
        f"63 62 0:43 / {tmp_path}/twice rw - tmpfs x rw\n"
    )
    return MountTable(str(tmp_path / "mountinfo"))


@pytest.mark.parametrize(
    ("path", "is_remote"),
    [
        ("far side", True),
        ("far side/a/b", True),
        ("far side/near/a", True),
        ("home", False),
        ("home/../far side/x", True),
        ("home/./x/../y", False),
        ("far sides", False),
        ("twice/x", False),
        ("no/such/thing", False),
    ],
)
def test_paths(table: MountTable, tmp_path: Path, path: str, is_remote: bool) -> None:
    far = f"{tmp_path}/far side"
    assert table.remote(f"{tmp_path}/{path}") == (far if is_remote else None)
    assert table.remote(path, str(tmp_path)) == (far if is_remote else None)


def test_symbolic_links_are_followed(table: MountTable, tmp_path: Path) -> None:
    far = f"{tmp_path}/far side"
    (tmp_path / "absolute").symlink_to(far)
    (tmp_path / "home/relative").symlink_to("../absolute/x")
    (tmp_path / "near").symlink_to("home")
    (tmp_path / "endless").symlink_to("endless")
    assert table.remote(f"{tmp_path}/absolute/y") == far
    assert table.remote(f"{tmp_path}/home/relative") == far
    assert table.remote(f"{tmp_path}/near/x") is None
    assert table.remote(f"{tmp_path}/endless") is None


def test_all_that_an_exec_touches(table: MountTable, tmp_path: Path) -> None:
    far = f"{tmp_path}/far side"
    script = tmp_path / "home/script"

    def remote(*command: str, directory: str | None = None, search: str = "/usr/bin:/bin") -> str | None:
        return table.remote_for_exec(command, directory, search)

    assert remote("sleep", "1") is None
    assert remote("sleep", directory=far) == far
    assert remote("./x", directory=f"{tmp_path}/home") is None
    assert remote("sleep", search=f"/usr/bin:{far}") is None, "it is found before"
    assert remote("no-such-program", search=f"/usr/bin:{far}") == far
    assert remote("sleep", search=f"{far}:/usr/bin") == far
    for text, result in (
        (f"#!{far.replace(' ', '')}/x\n", None),
        (f"#! {tmp_path}/link/python -E\n", far),
        ("#!/bin/sh\n", None),
        ("#!\n", None),
        ("", None),
    ):
        script.write_text(text)
        script.chmod(0o755)
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(far)
        assert remote(str(script)) == result, text
    script.unlink()
    os.mkfifo(script)
    assert remote(str(script)) is None, "and it was not opened"


def test_where_all_is_local_and_for_the_mounts_of_the_daemon_itself(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text("22 27 0:21 / / rw,relatime - nfs4 server:/root rw\n")
    table = MountTable(str(tmp_path / "mountinfo"))
    assert table.remote("/etc") is None, "without it there were no daemon that could wait for it"


def test_a_mount_made_later_is_seen(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys\n"
        "from supervisor.adapters.linux.mounts import MountTable\n"
        "table, place = MountTable(), sys.argv[1].encode()\n"
        "assert place not in table._points\n"
        "subprocess.run(['mount', '-t', 'tmpfs', 'x', sys.argv[1]], check=True)\n"
        "table.remote('/'); assert table._points[place] is True\n"
    )
    unshare = ["unshare", "--mount", "--propagation", "private"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespace can be made here")
    subprocess.run([*unshare, sys.executable, "-c", script, str(tmp_path)], check=True)
