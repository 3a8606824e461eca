"""The wheels that are sent: made from the files that run, for the platform of the host."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

import supervisor
from supervisor.fleet import wheelhouse
from supervisor.fleet.problems import HostProblem
from supervisor.fleet.steps import Target
from supervisor.fleet.wheelhouse import Wheelhouse, installed, own_wheel, tags

GLIBC = Target(python="3.11", machine="x86_64", libc="glibc", libc_version="2.31")


def test_the_own_wheel_is_the_same_when_the_files_are(tmp_path: Path) -> None:
    name, content = own_wheel()
    assert own_wheel() == (name, content)
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        names = wheel.namelist()
        assert wheel.read("supervisor/errors.py") == Path(supervisor.__file__).with_name("errors.py").read_bytes()
        metadata = wheel.read(f"phi_supervisor-{supervisor.__version__}.dist-info/METADATA").decode()
    assert "supervisor/py.typed" in names and not [name for name in names if "__pycache__" in name]
    assert f"\nVersion: {supervisor.__version__}\n" in metadata and "\nRequires-Dist: click" in metadata


def test_pip_takes_the_own_wheel(tmp_path: Path) -> None:
    name, content = own_wheel()
    (tmp_path / name).write_bytes(content)
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--no-compile", "--target"]
    subprocess.run([*command, str(tmp_path / "to"), str(tmp_path / name)], check=True, capture_output=True)
    assert (tmp_path / "to/supervisor/fleet/far_side.py").exists()


def test_platform_tags() -> None:
    assert tags(GLIBC)[0] == "manylinux_2_31_x86_64"
    assert tags(GLIBC)[-2:] == ["manylinux_2_17_x86_64", "manylinux2014_x86_64"]
    assert tags(Target(python="3.12", machine="aarch64"))[0] == "musllinux_1_2_aarch64"


def test_the_versions_are_those_that_are_installed_here() -> None:
    found = installed()
    assert {"pip", "click", "rich", "textual", "pydantic-core"} <= set(found)
    assert "pytest" not in found and "fabric" not in found and "kazoo" not in found
    assert "kazoo" in installed(frozenset({"cluster"}))


def test_a_directory_without_the_wheels_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "wheels").mkdir()
    refused = pytest.raises(HostProblem, match=r"no wheels for Python 3\.11 on x86_64: ERROR: .*click")
    with closing(Wheelhouse(tmp_path / "wheels")) as house, refused as caught:
        house.release(GLIBC)
    assert "--wheels DIRECTORY" in caught.value.hint
    assert not list((tmp_path / "cache").rglob("*.whl"))


def test_an_archive_is_made_once_and_its_name_follows_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Target] = []

    def download(self: Wheelhouse, target: Target, wanted: list[str], pins: list[str], to: Path) -> None:
        made.append(target)
        to.mkdir()
        (to / "click-1-py3-none-any.whl").write_bytes(b"click")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(Wheelhouse, "_download", download)
    with closing(Wheelhouse()) as house:
        first = house.release(GLIBC)
        assert first.name.startswith(f"{supervisor.__version__}-") and house.release(GLIBC) is first
        with tarfile.open(first.archive) as tar:
            assert sorted(tar.getnames()) == ["click-1-py3-none-any.whl", own_wheel()[0]]
    assert not first.archive.exists()
    with closing(Wheelhouse()) as house:
        assert house.release(GLIBC).name == first.name and len(made) == 1  # kept from the first time
    monkeypatch.setattr(wheelhouse, "own_wheel", lambda: ("other.whl", b"other"))
    with closing(Wheelhouse()) as house:
        assert house.release(GLIBC).name != first.name
