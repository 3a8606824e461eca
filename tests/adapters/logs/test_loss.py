"""A log that cannot be written: the child never blocks, subscribers still get lines, the loss is reported."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from supervisor.adapters.logs.reader import read
from supervisor.adapters.logs.stream import Stream
from tests.adapters.logs.capture import DATED, PLAIN, Capture, numbered, say, undated


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Capture]:
    it = Capture(tmp_path)
    yield it
    it.close()


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size`: the kernel refuses as it does on a full disk, but with EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def retry_now(stream: Stream) -> None:
    """As if the second between two attempts were over."""
    assert stream._loss is not None
    stream._loss.retry_at = 0.0


def test_output_is_dropped_counted_and_told_and_then_written_again(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    lines: list[bytes] = []
    stream.subscribe(lines.extend)
    with full_disk(5_050):
        say(stream, numbered(0, 100))
        assert len(capture.kept()) == 5_050
        assert capture.problems == [
            ("web", "output is being dropped, because the log cannot be written: File too large")
        ]
        retry_now(stream)
        say(stream, numbered(100, 110))  # the attempt fails, silently
        assert len(capture.problems) == 1
    retry_now(stream)
    say(stream, numbered(110, 120))
    lost = 60 * 100 - 50
    assert stream.lost == lost
    assert stream.written == 120 * 100 - lost
    assert capture.problems[1:] == [("web", f"output is written again; {lost} bytes of it were lost: File too large")]
    note = b"\n[supervisor: %d bytes of output lost here: File too large]\n" % lost
    assert capture.kept() == numbered(0, 51)[:5_050] + note + numbered(110, 120)
    assert lines == numbered(0, 120).splitlines()  # a full disk stops no heartbeat


def test_losses_in_a_row_are_tried_and_told_less_and_less_often(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    intervals = []
    for _ in range(9):
        with full_disk(0):
            say(stream, b"gone\n")
        assert stream._loss is not None
        intervals.append(stream._loss.interval)
        retry_now(stream)
        say(stream, b"here\n")
    assert intervals == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert stream._last_loss is not None
    stream._last_loss.ended_at -= 601.0
    with full_disk(0):
        say(stream, b"gone\n")
    assert stream._loss is not None and stream._loss.interval == 1.0


def test_it_goes_on_with_a_whole_line(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    with full_disk(200):
        say(stream, numbered(0, 10) + b"begun while the disk was full, ")
    retry_now(stream)
    say(stream, b"ended when it was not\nwhole\n")
    lost = 800 + len(b"begun while the disk was full, ended when it was not\n")
    note = b"[supervisor: %d bytes of output lost here: File too large]\n" % lost
    assert capture.kept() == numbered(0, 2) + note + b"whole\n"
    assert stream.lost == lost


def test_no_attempt_within_a_second(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    with full_disk(200):
        say(stream, numbered(0, 3))
    say(stream, numbered(3, 4))
    assert capture.kept() == numbered(0, 2)


def test_the_child_is_never_blocked(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    with full_disk(0):
        fd = stream.child_fd()
        for _ in range(100):
            os.write(fd, b"x" * 60_000)  # would block if the pipe were not emptied
            stream(0)
        os.close(fd)
    assert stream.lost == 6_000_000


def test_lines_that_are_to_be_dated_wait_while_the_disk_is_full_for_the_dates(capture: Capture) -> None:
    stream = capture.store.open("web", DATED)
    lines: list[bytes] = []
    stream.subscribe(lines.extend)
    with full_disk(1_100):
        say(stream, numbered(0, 10))  # fits as it is, not with the time before each line
        assert lines == numbered(0, 10).splitlines()
        assert undated(capture.kept()) == b""
    say(stream, numbered(10, 12))
    assert undated(capture.kept()) == numbered(0, 12)
    assert capture.problems == [] and stream.lost == 0


def test_what_waited_comes_before_the_word_about_the_loss(capture: Capture) -> None:
    stream = capture.store.open("web", DATED)
    with full_disk(1_100):
        say(stream, numbered(0, 10))
        say(stream, numbered(10, 11))
    retry_now(stream)
    say(stream, numbered(11, 12))
    note = b"[supervisor: 100 bytes of output lost here: No space left on device]\n"
    assert undated(capture.kept()) == numbered(0, 10) + note + numbered(11, 12)
    assert stream.lost == 100


def test_an_unwritable_place_is_a_loss_and_ends_when_it_is_mended(capture: Capture) -> None:
    (capture.logs / "web.log").mkdir()
    stream = capture.store.open("web", PLAIN)
    stream.drain()
    assert capture.problems == []  # nothing was lost so far
    say(stream, b"gone\n")
    assert "Is a directory" in capture.problems[0][1]
    assert stream.tail(3) == []
    (capture.logs / "web.log").rmdir()
    retry_now(stream)
    say(stream, b"here\n")
    assert capture.kept() == b"[supervisor: 5 bytes of output lost here: Is a directory]\nhere\n"


def test_without_an_index_output_is_kept_undated(capture: Capture) -> None:
    (capture.logs / "web.log.idx").mkdir()
    say(capture.store.open("web", PLAIN), b"line\n")
    assert capture.kept() == b"line\n" and capture.problems == []
    (capture.logs / "web.log.idx").rmdir()
    assert read(str(capture.logs), "web").lines == [(None, "line")]
