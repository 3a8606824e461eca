"""`fleet install` on bare hosts: real sshd, real wheels, no index on the far side."""

from __future__ import annotations

import os
import signal
import stat

from tests.fleet.conftest import Fleet


def test_a_bare_host_is_installed_and_a_second_run_changes_nothing(fleet: Fleet, wheels: None) -> None:
    fleet.host("a")
    rows = fleet.document("install")
    assert rows["a"]["steps"] == ["send", "build", "activate", "configure", "start", "health"]
    assert rows["a"]["status"]["code"] == 0
    assert fleet.document("status")["a"]["state"] == "ready"

    place = fleet.hosts["a"].home / "phi"
    assert stat.S_IMODE((place / "services.toml").stat().st_mode) == 0o600
    assert list((place / "incoming").iterdir()) == []
    python = fleet.on("a", "systemd").stdout.partition("ExecStart=")[2].split()[0]
    assert python == f"{place}/current/bin/python"

    again = fleet.document("install")
    assert again["a"]["steps"] == [] and again["a"]["notes"] == []
    assert "nothing was changed" in fleet.run("install")


def test_an_installation_that_is_cut_off_is_finished_by_the_next(fleet: Fleet, wheels: None) -> None:
    host = fleet.host("a")
    process = fleet.start("install")
    assert process.stderr is not None and process.stdout is not None
    while process.stderr.readline() != "a  build environment\n":
        assert process.poll() is None
    for pid in host.sessions():
        os.kill(pid, signal.SIGKILL)
    assert process.wait(timeout=120.0) == 1
    assert "a  FAILED  build environment: the connection was lost" in process.stdout.read()
    assert fleet.document("status", code=3)["a"]["state"] == "not installed"

    while (again := fleet.start("install")).wait(timeout=300.0) != 0:  # what was begun goes on there for a while
        assert again.stdout is not None
        assert "another `supervisor fleet` is changing this host" in again.stdout.read()
    assert fleet.document("status")["a"]["state"] == "ready"
