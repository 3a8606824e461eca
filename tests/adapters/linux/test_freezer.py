"""Which cgroup freezes a process, read from files as the kernel has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.adapters.linux import freezer, procfs

CGROUP = b"6:freezer:/lxc/etcd\n4:memory:/lxc/etcd\n0::/\n"


class Host:
    """The files of one process, by path."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: dict[str, bytes] = {"/proc/7/cgroup": CGROUP}
        monkeypatch.setattr(procfs, "read", lambda path, _most=0: self.files.get(path))
        monkeypatch.setattr(procfs, "cgroup_directory", lambda path: f"/v2{path}")
        freezer._v1_mounts.cache_clear()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(monkeypatch)


@pytest.fixture(autouse=True)
def forget_mounts() -> object:
    yield
    freezer._v1_mounts.cache_clear()


MOUNT = "37 31 0:34 {root} /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
UNIFIED = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("root", "place", "state", "frozen"),
    [
        ("/", "/lxc/etcd", b"FROZEN\n", True),
        ("/", "/lxc/etcd", b"FREEZING\n", True),
        ("/", "/lxc/etcd", b"THAWED\n", False),
        ("/lxc", "/etcd", b"FROZEN\n", True),
        ("/lxc", "/etcd", b"THAWED\n", False),
    ],
)
def test_the_state_of_the_v1_freezer_decides(host: Host, root: str, place: str, state: bytes, frozen: bool) -> None:
    host.files["/proc/self/mountinfo"] = (UNIFIED + MOUNT.format(root=root)).encode()
    host.files[f"/sys/fs/cgroup/freezer{place}/freezer.state"] = state
    host.files["/proc/7/wchan"] = freezer.REFRIGERATOR  # is not asked where there is a state
    assert freezer.frozen_by(7) == ("frozen by the v1 freezer /lxc/etcd" if frozen else None)


@pytest.mark.parametrize(("wchan", "frozen"), [(b"__refrigerator", True), (b"hrtimer_nanosleep", False)])
def test_where_no_freezer_is_mounted_the_place_where_it_waits_does(host: Host, wchan: bytes, frozen: bool) -> None:
    host.files["/proc/7/wchan"] = wchan
    assert (freezer.frozen_by(7) is not None) is frozen
    host.files["/proc/self/mountinfo"] = MOUNT.format(root="/another").encode()
    freezer._v1_mounts.cache_clear()
    assert (freezer.frozen_by(7) is not None) is frozen


def test_the_events_of_v2_count_first_and_a_process_that_has_ended_is_not_frozen(host: Host) -> None:
    assert freezer.frozen_by(8) is None
    host.files["/v2//cgroup.events"] = b"populated 1\nfrozen 1\n"
    assert freezer.frozen_by(7) == "frozen cgroup"
    host.files["/proc/7/cgroup"] = b"0::/\n"
    assert freezer.frozen_by(7) == "frozen cgroup"


def test_a_real_process_is_not_frozen() -> None:
    assert freezer.frozen_by(int(Path("/proc/self").readlink().name)) is None
