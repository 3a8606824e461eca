"""Which directories the daemon takes for its own."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.adapters.linux.directories import Untrusted, open_directory, own_directory, socket_owner
from supervisor.errors import OperationFailed

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
STRANGER = 65534


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory as /tmp is."""
    place = tmp_path / "tmp"
    place.mkdir()
    place.chmod(0o1777)
    return place


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    def held() -> set[str]:
        return set(os.listdir("/proc/self/fd"))  # noqa: PTH208

    before = held()
    yield
    assert held() == before


def test_makes_what_is_missing_and_mends_the_mode(shared: Path) -> None:
    path = f"{shared}/supervisor-0/name"
    assert own_directory(path, 0o711) == path
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o711
    assert stat.S_IMODE(Path(path).parent.stat().st_mode) & 0o022 == 0
    Path(path).chmod(0o755)
    own_directory(path, 0o700, os.getegid())
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o700
    assert socket_owner(f"{path}/control.sock") == os.geteuid()


@AS_ROOT
@pytest.mark.parametrize("whose", ["supervisor-0", "supervisor-0/name"])
def test_a_directory_that_another_user_made_first_is_refused(shared: Path, whose: str) -> None:
    path = f"{shared}/supervisor-0/name"
    own_directory(path, 0o700)
    os.chown(f"{shared}/{whose}", STRANGER, -1)
    for use in (path, f"{path}/below"):
        with pytest.raises(OperationFailed, match=f"{whose} belongs to user {STRANGER}"):
            own_directory(use, 0o700)
    with pytest.raises(Untrusted):
        socket_owner(f"{path}/control.sock")
    assert not Path(f"{path}/below").exists()


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_directory_below_a_shared_one_is_closed_to_others(shared: Path, mode: int) -> None:
    path = f"{shared}/mine/name"
    own_directory(path, 0o700)
    if os.geteuid() == 0:
        os.chown(shared / "mine", -1, STRANGER)
    elif mode == 0o775:
        pytest.skip("needs a group that is not our own")
    (shared / "mine").chmod(mode)
    with pytest.raises(OperationFailed, match="mine can be written by others"):
        own_directory(path, 0o700)


def test_a_link_in_a_shared_directory_is_refused_and_elsewhere_followed(shared: Path, tmp_path: Path) -> None:
    real = own_directory(f"{tmp_path}/real/name", 0o700)
    (shared / "link").symlink_to(f"{tmp_path}/real")
    with pytest.raises(OperationFailed, match="link is a link in a directory that every user can write to"):
        own_directory(f"{shared}/link/name", 0o700)
    (tmp_path / "absolute").symlink_to(f"{tmp_path}/real")
    (tmp_path / "relative").symlink_to("../" + tmp_path.name + "/real")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "into").symlink_to(f"{shared}/link")
    for link in ("absolute", "relative"):
        fd = open_directory(f"{tmp_path}/{link}/name")
        assert os.path.samestat(os.fstat(fd), Path(real).stat())
        os.close(fd)
    with pytest.raises(OperationFailed, match="Too many levels"):
        own_directory(f"{tmp_path}/round/name", 0o700)
    with pytest.raises(OperationFailed, match="is a link in a directory"):
        own_directory(f"{tmp_path}/into/name", 0o700)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in ("file", "file/below"):
        with pytest.raises(OperationFailed, match=r"file is not a directory"):
            own_directory(f"{tmp_path}/{path}", 0o700)
    with pytest.raises(FileNotFoundError):
        open_directory(f"{tmp_path}/missing")
    Path(own_directory(f"{tmp_path}/open", 0o700)).chmod(0o777)
    with pytest.raises(OperationFailed, match="can be written by others"):
        own_directory(f"{tmp_path}/open", 0o700)
