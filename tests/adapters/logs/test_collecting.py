"""Small pieces of output that follow each other quickly are collected, so that they do not wake the daemon singly."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from supervisor.adapters.logs import stream as streams
from supervisor.adapters.logs.stream import Stream
from supervisor.core.model.spec import LogSpec
from tests.adapters.logs.capture import PLAIN, Capture
from tests.doubles.fakes import run_until

QUICK, SLOW, AT_ONCE = 0.001, 0.01, 0.00001


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Capture]:
    it = Capture(tmp_path)
    yield it
    it.close()


class Piece:
    """Writes pieces to a stream, each `apart` seconds after the one before by the clock that the stream reads."""

    def __init__(self, capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.calls: list[str] = []
        self.collected_for = 0.0
        self.stream: Stream = capture.store.open("web", PLAIN)
        self.fd = self.stream.child_fd()
        monkeypatch.setattr(streams, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(capture.store, "collect", self._collect)
        monkeypatch.setattr(capture.store, "listen", lambda stream: self.calls.append("listen"))

    def _collect(self, _stream: Stream, until: float) -> None:
        self.calls.append("collect")
        self.collected_for = until - self.now

    def __call__(self, apart: float, size: int = 100) -> None:
        self.now += apart
        os.write(self.fd, b"." * (size - 1) + b"\n")

    def read(self, apart: float, size: int = 100) -> None:
        self(apart, size)
        self.stream(0)

    def renew(self) -> None:
        """As where the process is started again."""
        os.close(self.fd)
        self.fd = self.stream.child_fd()

    def close(self) -> None:
        os.close(self.fd)


@pytest.fixture
def piece(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> Iterator[Piece]:
    it = Piece(capture, monkeypatch)
    yield it
    it.close()


def test_quick_small_pieces_are_collected_until_nothing_comes(piece: Piece) -> None:
    for _ in range(9):  # the first one follows none
        assert piece.calls == []
        piece.read(QUICK)
    assert piece.calls == ["collect"]
    piece(QUICK)
    piece.stream.collected()
    assert piece.calls == ["collect"] * 2
    piece.stream.collected()
    assert piece.calls == ["collect", "collect", "listen"]
    assert piece.stream.written == 1000
    for _ in range(8):  # the first one follows what was collected
        piece.read(QUICK)
    assert piece.calls == ["collect", "collect", "listen", "collect"]


def test_slow_pieces_are_read_one_by_one(piece: Piece) -> None:
    for _ in range(20):
        piece.read(SLOW)
    for _ in range(3):
        for _ in range(7):
            piece.read(QUICK)
        piece.read(SLOW)
    assert piece.calls == []


def test_pieces_are_collected_until_the_pipe_has_enough_at_their_rate(piece: Piece) -> None:
    """26,214 bytes are enough in a pipe of 64 KiB, and 419,430 in one of 1 MiB."""
    for _ in range(9):
        piece.read(QUICK)
    assert piece.collected_for == pytest.approx(0.002)
    for size, seconds in ((20_000, 0.00131), (26_000, 0.00101), (10_000, 0.002)):
        piece(QUICK, size)
        piece.stream.collected()
        assert piece.collected_for == pytest.approx(seconds, rel=0.01)
    for _ in range(4):
        piece(QUICK, 60_000)
        piece.stream.collected()
    assert piece.collected_for == pytest.approx(0.002)  # the pipe has grown
    assert piece.calls == ["collect"] * 8


def test_large_pieces_without_a_pause_are_read_at_once(piece: Piece) -> None:
    """There is no time to collect more, and the pipe could not hold it."""
    piece.stream._pipe_size = 1 << 20
    for _ in range(30):
        piece.read(AT_ONCE, 60_000)
    assert piece.calls == []


def test_who_fills_the_pipe_in_the_meantime_is_read_at_once_again(piece: Piece) -> None:
    for _ in range(9):
        piece.read(QUICK)
    piece(AT_ONCE, 60_000)
    piece.stream.collected()
    assert piece.calls == ["collect", "listen"]


def test_the_pipe_is_listened_to_again_after_a_subscriber_has_failed(piece: Piece) -> None:
    for _ in range(9):
        piece.read(QUICK)

    def fail(_lines: list[bytes]) -> None:
        raise RuntimeError("as a fault of a subscriber would")

    piece.stream.subscribe(fail)
    piece(QUICK)
    with pytest.raises(RuntimeError):
        piece.stream.collected()
    assert piece.calls == ["collect", "listen"]


def test_what_is_collected_reaches_file_and_subscribers(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop's timer reads the last line: the pipe itself no longer wakes the loop."""
    clock = count(time.monotonic(), QUICK)
    monkeypatch.setattr(streams, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    stream = capture.store.open("web", PLAIN)
    lines: list[bytes] = []
    stream.subscribe(lines.extend)
    capture.loop.redirect(stream.fd, lambda _events: stream(0))
    fd = stream.child_fd()
    for number in range(9):
        os.write(fd, b"%d\n" % number)
        stream(0)
    capture.loop.redirect(stream.fd, lambda _events: pytest.fail("the pipe is not waited for"))
    os.write(fd, b"last\n")
    run_until(capture.loop, lambda: b"last" in lines)
    os.close(fd)
    assert capture.kept().endswith(b"8\nlast\n")


def test_a_pipe_that_is_collected_may_be_replaced(capture: Capture) -> None:
    """Its name was removed, and a process was started meanwhile: it is watched again when the collection ends."""
    stream = capture.store.open("web", PLAIN)
    capture.store.collect(stream, 0.0)
    (capture.fifos / "web").unlink()
    fd = stream.child_fd()
    os.write(fd, b"new\n")
    run_until(capture.loop, lambda: stream.written == 4)
    os.write(fd, b"newer\n")
    run_until(capture.loop, lambda: stream.written == 10)
    os.close(fd)


@pytest.mark.parametrize("shared", [False, True])
def test_a_look_goes_on_where_the_log_is_full(capture: Capture, tmp_path: Path, shared: bool) -> None:
    """Else the rest of the pipe would wait for the end of a collection, and its program with it."""
    path = str(tmp_path / "own" / "all.log") if shared else None
    spec = LogSpec(compress=False, max_size=1 << 16, path=path, path_shared=shared)
    stream = capture.store.open("web", spec)
    fd = stream.child_fd()
    for looks in (1, 2, 3):
        os.write(fd, (b"." * 99 + b"\n") * 600)
        stream(0)
        assert stream.written == looks * 60_000
    os.close(fd)


def test_a_new_pipe_in_place_of_a_busy_one_grows_as_well(piece: Piece, capture: Capture) -> None:
    for size in (1 << 16, 1 << 20):
        assert fcntl.fcntl(piece.stream.fd, fcntl.F_GETPIPE_SZ) == size
        for _ in range(4):
            piece.read(QUICK, 60_000)
    (capture.fifos / "web").unlink()
    piece.renew()
    assert fcntl.fcntl(piece.stream.fd, fcntl.F_GETPIPE_SZ) == 1 << 16
    for _ in range(4):
        piece.read(QUICK, 60_000)
    assert fcntl.fcntl(piece.stream.fd, fcntl.F_GETPIPE_SZ) == 1 << 20


def test_a_small_pipe_is_read_more_often(piece: Piece, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel gives two pages where the user's share of pipe buffers is used up, and no more later."""
    monkeypatch.setattr(streams, "_BUSY_PIPE_SIZE", 8192)
    fcntl.fcntl(piece.fd, fcntl.F_SETPIPE_SZ, 8192)
    piece.stream.read_from(piece.stream.fd)
    for _ in range(9):
        piece.read(QUICK, 6_000)
    assert piece.collected_for == pytest.approx(0.00055, rel=0.01)


def test_a_pipe_that_cannot_be_watched_is_looked_at_again_and_again(
    capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = capture.store.open("web", PLAIN)
    register, refusals = capture.loop.register, [True] * 3

    def refused(fd: int, callback: Callable[[int], None]) -> None:
        if refusals:
            refusals.pop()
            raise OSError(errno.ENOSPC, "as where the user's share of watches is used up")
        register(fd, callback)

    monkeypatch.setattr(capture.loop, "register", refused)
    capture.store.collect(stream, 0.0)
    fd = stream.child_fd()
    run_until(capture.loop, lambda: not refusals)
    os.write(fd, b"kept\n")
    run_until(capture.loop, lambda: stream.written == 5)
    os.write(fd, b"watched\n")
    run_until(capture.loop, lambda: stream.written == 13)
    os.close(fd)


def test_a_new_pipe_that_cannot_be_watched_is_looked_at_all_the_same(
    capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At first, and where its name was removed: its program would wait for ever once the pipe is full."""

    def refused(_fd: int, _callback: Callable[[int], None]) -> None:
        raise OSError(errno.ENOSPC, "as where the user's share of watches is used up")

    def put(wanted: int) -> None:
        fd = stream.child_fd()
        os.write(fd, b"kept\n")
        run_until(capture.loop, lambda: stream.written == wanted)
        os.close(fd)

    with monkeypatch.context() as patched:
        patched.setattr(capture.loop, "register", refused)
        stream = capture.store.open("web", PLAIN)
        put(5)
    run_until(capture.loop, lambda: not capture.store._collecting)
    (capture.fifos / "web").unlink()
    with monkeypatch.context() as patched:
        patched.setattr(capture.loop, "register", refused)
        put(10)


def test_a_stream_that_was_removed_is_collected_no_more(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = capture.store.open("web", PLAIN)
    capture.store.collect(stream, 0.0)
    capture.store.remove("web")
    ticks: list[bool] = []
    capture.loop.call_at(capture.loop.now(), lambda: ticks.append(True))
    run_until(capture.loop, lambda: ticks)
    assert stream.written == 0
