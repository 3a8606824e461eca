"""Files that are removed from the runtime directory are noticed and made again."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.http.server import HttpServer
from supervisor.adapters.linux import directory_watch as vigil_module
from supervisor.adapters.linux import locks as lock_module
from supervisor.adapters.linux.directory_watch import DirectoryWatch
from supervisor.adapters.linux.locks import RuntimeLock, StateLock
from supervisor.adapters.probes.notify_socket import NotifySocket
from supervisor.errors import OperationFailed
from tests.doubles.fakes import run_until


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    made = EventLoop()
    yield made
    made.close()


class StartMonitoring:
    """A directory with two files, and what was lost of it."""

    def __init__(self, loop: EventLoop, place: Path) -> None:
        self.place = place
        self.lost: list[Sequence[str]] = []
        self.problems: list[str] = []
        self.broken = False
        self.make()
        self.directory_watch = DirectoryWatch(loop, str(place), ("a", "b"), self.make_anew, self.problems.append)

    def make(self) -> None:
        self.place.mkdir(exist_ok=True)
        for name in "ab":
            (self.place / name).touch()

    def make_anew(self, lost: Sequence[str]) -> None:
        self.lost.append(lost)
        if self.broken:
            raise OperationFailed("no room")
        self.make()


@pytest.fixture
def watch(loop: EventLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartMonitoring]:
    monkeypatch.setattr(vigil_module, "SETTLE", 0.01)
    monkeypatch.setattr(vigil_module, "RETRY", 0.01)
    made = StartMonitoring(loop, tmp_path / "r")
    yield made
    made.directory_watch.close()


def test_one_file_again_and_again(loop: EventLoop, watch: StartMonitoring) -> None:
    for count in (1, 2, 3):
        (watch.place / "a").unlink()
        run_until(loop, lambda count=count: len(watch.lost) == count)  # type: ignore[misc]
    assert watch.lost == [["a"]] * 3
    assert watch.problems == []


def test_the_whole_directory_again_and_again(loop: EventLoop, watch: StartMonitoring, tmp_path: Path) -> None:
    shutil.rmtree(watch.place)
    run_until(loop, lambda: watch.lost)
    watch.place.rename(tmp_path / "elsewhere")
    run_until(loop, lambda: len(watch.lost) == 2)
    (watch.place / "b").unlink()
    run_until(loop, lambda: len(watch.lost) == 3)
    assert watch.lost == [["a", "b"], ["a", "b"], ["b"]]


def test_what_others_do_there_is_their_business(loop: EventLoop, watch: StartMonitoring) -> None:
    (watch.place / "c").touch()
    (watch.place / "c").rename(watch.place / "d")
    (watch.place / "d").rename(watch.place / "a")
    (watch.place / "e").touch()
    (watch.place / "e").unlink()
    (watch.place / "b").unlink()
    run_until(loop, lambda: watch.lost)
    assert watch.lost == [["b"]]


def test_what_is_gone_from_the_start(loop: EventLoop, tmp_path: Path) -> None:
    lost: list[Sequence[str]] = []
    directory_watch = DirectoryWatch(loop, str(tmp_path), ("a",), lambda names: lost.append(names), print)
    run_until(loop, lambda: lost)
    directory_watch.close()


def test_it_is_told_once_and_tried_until_it_can_be_done(loop: EventLoop, watch: StartMonitoring) -> None:
    watch.broken = True
    (watch.place / "a").unlink()
    run_until(loop, lambda: len(watch.lost) == 3)
    assert len(watch.problems) == 1 and "no room" in watch.problems[0]
    watch.broken = False
    run_until(loop, lambda: (watch.place / "a").exists())


def test_the_control_socket_comes_back_and_connections_stay(loop: EventLoop, tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    server = HttpServer(loop, handler=None, on_problem=print)  # type: ignore[arg-type]
    server.listen_unix(str(path))
    with socket.socket(socket.AF_UNIX) as old, socket.socket(socket.AF_UNIX) as new:
        old.connect(str(path))
        run_until(loop, lambda: server.connections == 1)
        before = os.fstat(server.descriptors()["control"]).st_ino
        server.rebind(str(path))
        assert os.fstat(server.descriptors()["control"]).st_ino == before, "what is there stays"
        path.unlink()
        server.rebind(str(path))
        new.connect(str(path))
        run_until(loop, lambda: server.connections == 2)
        assert path.stat().st_mode & 0o777 == 0o600
    server.close()


def test_the_notify_socket_comes_back_and_who_is_connected_is_heard(loop: EventLoop, tmp_path: Path) -> None:
    path = tmp_path / "notify.sock"
    heard: list[str | None] = []
    notify = NotifySocket(loop, str(path), lambda pid, uid, message, at: heard.append(message.status), print)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as old,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as new,
    ):
        old.connect(str(path))
        for turn in (1, 2):
            path.unlink()
            notify.rebind()
            notify.rebind()
            old.send(b"STATUS=old")
            new.sendto(b"STATUS=new", str(path))
            run_until(loop, lambda turn=turn: len(heard) == 2 * turn)  # type: ignore[misc]
    assert sorted(map(str, heard)) == ["new", "new", "old", "old"]
    notify.close()
    assert not path.exists()


def test_the_lock_is_held_under_its_name_again(tmp_path: Path) -> None:
    lock = RuntimeLock(str(tmp_path))
    lock.reacquire()
    (tmp_path / "lock").unlink()
    lock.reacquire()
    with pytest.raises(OperationFailed, match=f"pid {os.getpid()}"):
        RuntimeLock(str(tmp_path))
    lock.release()
    RuntimeLock(str(tmp_path)).release()


def test_a_lock_that_another_has_got_meanwhile(tmp_path: Path) -> None:
    lock = RuntimeLock(str(tmp_path))
    (tmp_path / "lock").unlink()
    another = RuntimeLock(str(tmp_path))
    with pytest.raises(OperationFailed, match="already runs"):
        lock.reacquire()
    lock.release()
    another.release()


def test_the_state_is_one_daemons_alone_whatever_it_finds_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "WAIT_FOR_THE_CLAIM", 0.01)
    claim = StateLock(str(tmp_path))
    with pytest.raises(OperationFailed, match="another daemon keeps its state"):
        StateLock(str(tmp_path))
    heir = StateLock(str(tmp_path), os.dup(claim.fd))
    claim.release()
    with pytest.raises(OperationFailed):
        StateLock(str(tmp_path))
    heir.release()
    StateLock(str(tmp_path)).release()


def test_where_directories_cannot_be_locked_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(_fd: int, _how: int) -> None:
        raise OSError(errno.EBADF, "not on this file system")

    monkeypatch.setattr(fcntl, "flock", flock)
    StateLock(str(tmp_path)).release()
