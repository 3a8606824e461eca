"""What runs on a host: units, files and their modes.  Where systemd would be asked, a stand-in writes down how."""

from __future__ import annotations

import fcntl
import io
import json
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from supervisor.fleet import far_side
from supervisor.fleet.far_side import Failed
from supervisor.fleet.ssh import limited


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with a release that is this environment, a file, and a systemd that writes down what it is told."""
    place = tmp_path / "phi"
    (place / "releases/1-a/bin").mkdir(parents=True)
    (place / "releases/1-a/complete").touch()
    python = place / "releases/1-a/bin/python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    far_side.activate(place, "1-a")
    (place / "services.toml").write_text(
        '[supervisor]\nname = "t"\nruntime_dir = "r"\nstate_dir = "s"\n[services.web]\ncommand = ["sleep", "1000"]\n'
    )
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "systemctl").write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/told\n')
    (bin_ / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(far_side, "SYSTEMD_RUNS", tmp_path)
    monkeypatch.setattr(far_side, "SYSTEM_UNITS", tmp_path / "units")
    return place


def told(directory: Path) -> list[str]:
    return (directory.parent / "told").read_text().splitlines()


@pytest.mark.parametrize(("user", "options"), [(False, ""), (True, "--user ")])
def test_a_unit_is_written_for_this_directory_and_started(directory: Path, user: bool, options: str) -> None:
    written = Path(far_side.unit(directory, user=user)["unit"])
    name = f"supervisor-{str(directory)[1:].replace('/', '-')}.service"
    folder = directory.parent / ("home/.config/systemd/user" if user else "units")
    assert written == folder / name and stat.S_IMODE(written.stat().st_mode) == 0o644
    assert f"-f {directory}/services.toml" in written.read_text()
    assert list(folder.iterdir()) == [written]
    far_side.start(directory)
    assert [line for line in told(directory) if line != "--version"] == [
        f"{options}daemon-reload",
        f"{options}enable --now {name}",
    ]
    assert far_side.look(directory, pending=False)["unit"] == str(written)


def test_a_unit_follows_the_file(directory: Path) -> None:
    far_side.unit(directory, user=False)
    before = next((directory.parent / "units").iterdir()).read_text()
    arrived = Path(far_side.prepare(directory)["incoming"]) / "x"
    arrived.write_text((directory / "services.toml").read_text() + 'stop_timeout = "500s"\n')
    far_side.configure(directory, str(arrived), "1-a")
    (unit,) = (directory.parent / "units").iterdir()
    assert "TimeoutStopSec=524s" in unit.read_text() and "TimeoutStopSec=524s" not in before
    assert [line for line in told(directory) if line != "--version"] == ["daemon-reload"] * 2


def test_only_one_command_changes_a_host(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (directory / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        far_side.main("prepare", str(directory), {})
        assert "another `supervisor fleet` is changing this host" in json.loads(capsys.readouterr().out)["error"]
        far_side.main("look", str(directory), {"pending": False})
        assert json.loads(capsys.readouterr().out)["current"] == "1-a"
    far_side.main("prepare", str(directory), {})
    assert "error" not in json.loads(capsys.readouterr().out)


def test_what_is_there_is_seen(directory: Path) -> None:
    found = far_side.look(directory, pending=True)
    assert (found["current"], found["releases"], found["unit"]) == ("1-a", ["1-a"], None)
    assert found["status"]["code"] == 5 and "no daemon" in found["status"]["said"]
    (directory / "releases/1-a/complete").unlink()
    assert far_side.look(directory, pending=True)["releases"] == []
    assert far_side.look(directory / "other", pending=True)["status"] is None


def test_what_arrives_is_for_its_owner_alone(directory: Path) -> None:
    incoming = Path(far_side.prepare(directory)["incoming"])
    assert stat.S_IMODE(incoming.stat().st_mode) == 0o700


def test_a_file_that_is_refused_leaves_the_other_in_its_place(directory: Path) -> None:
    before = (directory / "services.toml").read_text()
    arrived = Path(far_side.prepare(directory)["incoming"]) / "x"
    arrived.write_text("[services.web]\ncommnd = 1\n")
    with pytest.raises(
        Failed, match=r'(?m)^services\.toml:2: services\.web\.commnd: unknown key; did you mean "command"'
    ):
        far_side.configure(directory, str(arrived), "1-a")
    assert (directory / "services.toml").read_text() == before
    assert not (directory / ".services.toml").exists() and not arrived.exists()


def test_a_file_that_is_taken_keeps_the_former_one(directory: Path) -> None:
    before = (directory / "services.toml").read_text()
    arrived = Path(far_side.prepare(directory)["incoming"]) / "x"
    arrived.write_text(before + '[services.more]\ncommand = ["sleep", "1"]\n')
    far_side.configure(directory, str(arrived), "1-a")
    assert "more" in (directory / "services.toml").read_text()
    assert (directory / "services.toml.former").read_text() == before


def test_an_archive_with_a_path_in_it_is_refused(directory: Path) -> None:
    with tarfile.open(directory / "a.tar", "w") as tar:
        entry = tarfile.TarInfo("../escaped")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    with pytest.raises(Failed, match=r"'\.\./escaped' is no wheel"):
        far_side.build(directory, str(directory / "a.tar"), "2-b", "phi-supervisor")
    assert not (directory / "releases/escaped").exists()
    assert "2-b" not in far_side.look(directory, pending=False)["releases"]


def test_a_problem_is_one_line_of_json(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory.parent / "file").touch()
    far_side.main("prepare", str(directory.parent / "file/phi"), {})
    error = json.loads(capsys.readouterr().out)["error"]
    assert error.startswith(str(directory.parent / "file")) and error.endswith("Not a directory")


def test_it_needs_nothing_but_the_standard_library() -> None:
    program = Path(far_side.__file__).read_text() + "\nmain('look', '/nonexistent', {'pending': False})\n"
    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-"], input=program, capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout)["current"] is None


def test_a_command_has_a_limit_on_the_host_and_is_quoted() -> None:
    assert limited("echo 'a b'; $(x)", 5.0) == """exec timeout -k 5 5 sh -c 'echo '"'"'a b'"'"'; $(x)'"""
