"""Small pieces of output that follow each other quickly are collected, so that they do not wake the daemon singly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from supervisor.adapters.logs import stream as streams
from supervisor.adapters.logs.stream import Stream
from tests.adapters.logs.capture import PLAIN, Capture
from tests.doubles.fakes import run_until

QUICK, SLOW = 0.001, 0.01


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
        self.stream: Stream = capture.store.open("web", PLAIN)
        self._fd = self.stream.child_fd()
        monkeypatch.setattr(streams, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(capture.store, "collect", lambda stream, seconds: self.calls.append("collect"))
        monkeypatch.setattr(capture.store, "listen", lambda stream: self.calls.append("listen"))

    def __call__(self, apart: float, size: int = 100) -> None:
        self.now += apart
        os.write(self._fd, b"." * (size - 1) + b"\n")

    def read(self, apart: float, size: int = 100) -> None:
        self(apart, size)
        self.stream.readable(0)

    def close(self) -> None:
        os.close(self._fd)


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
    for _ in range(9):
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


def test_large_pieces_are_read_one_by_one(piece: Piece) -> None:
    for _ in range(20):
        piece.read(QUICK, 40_000)
    assert piece.calls == []


def test_who_fills_half_of_the_pipe_in_the_meantime_is_read_at_once_again(piece: Piece) -> None:
    for _ in range(9):
        piece.read(QUICK)
    piece(QUICK, 40_000)
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
    monkeypatch.setattr(streams, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    stream = capture.store.open("web", PLAIN)
    lines: list[bytes] = []
    stream.subscribe(lines.extend)
    capture.loop.redirect(stream.fd, lambda _events: stream.readable(0))
    fd = stream.child_fd()
    for number in range(9):
        os.write(fd, b"%d\n" % number)
        stream.readable(0)
    capture.loop.redirect(stream.fd, lambda _events: pytest.fail("the pipe is not waited for"))
    os.write(fd, b"last\n")
    run_until(capture.loop, lambda: b"last" in lines)
    os.close(fd)
    assert capture.kept().endswith(b"8\nlast\n")


def test_a_stream_that_was_removed_is_collected_no_more(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = capture.store.open("web", PLAIN)
    capture.store.collect(stream, 0.0)
    capture.store.remove("web")
    ticks: list[bool] = []
    capture.loop.call_at(capture.loop.now(), lambda: ticks.append(True))
    run_until(capture.loop, lambda: ticks)
    assert stream.written == 0
