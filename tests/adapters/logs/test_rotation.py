"""Rotation and compression: whole lines, nothing lost, also when killed or refused at any step."""

from __future__ import annotations

import errno
import gzip
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.logs import rotation as logfiles
from supervisor.adapters.logs.reader import read
from supervisor.adapters.logs.segment import LONGEST_LINE
from supervisor.core.model.spec import LogSpec
from tests.adapters.logs.capture import Capture, numbered, say
from tests.doubles.fakes import run_until


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Capture]:
    it = Capture(tmp_path)
    yield it
    it.close()


def spec(max_size: int = 1000, keep: int = 5, compress: bool = False) -> LogSpec:
    return LogSpec(max_size=max_size, keep=keep, compress=compress)


@pytest.mark.parametrize("timestamps", [False, True])
def test_lines_are_whole_and_files_keep_their_size(capture: Capture, timestamps: bool) -> None:
    stream = capture.store.open("web", LogSpec(max_size=5000, keep=1000, compress=False, timestamps=timestamps))
    rng = random.Random(7)
    text = b"".join(b"%08d %s\n" % (i, b"x" * rng.randrange(300)) for i in range(1000))
    say(stream, text)
    kept = capture.kept()
    assert (b"".join(line[25:] for line in kept.splitlines(keepends=True)) if timestamps else kept) == text
    segments = capture.segments()
    assert len(segments) > 20
    assert all(content.endswith(b"\n") for _, content in segments[:-1])
    slack = 4096 + 30 * 300 if timestamps else 0
    assert all(len(content) <= 5000 + slack for _, content in segments)
    assert stream.writer.cut == 0


def test_only_so_many_are_kept(capture: Capture) -> None:
    stream = capture.store.open("web", spec(keep=3))
    say(stream, numbered(0, 95))
    names = {f.name for f in capture.logs.iterdir()}
    plain = {"web.log", "web.log.1", "web.log.2", "web.log.3"}
    assert names == plain | {f"{name}.idx" for name in plain}
    assert capture.kept() == numbered(60, 95)


def test_keep_nothing(capture: Capture) -> None:
    say(capture.store.open("web", spec(keep=0)), numbered(0, 95))
    assert {f.name for f in capture.logs.iterdir()} == {"web.log", "web.log.idx"}
    assert capture.kept() == numbered(90, 95)


def test_a_smaller_keep_takes_effect_at_the_next_start(capture: Capture) -> None:
    say(capture.store.open("web", spec(keep=5)), numbered(0, 100))
    capture.store.open("web", spec(keep=2))
    assert [name for name, _ in capture.segments()] == ["web.log.2", "web.log.1", "web.log"]


def test_a_line_longer_than_the_file_is_still_whole(capture: Capture) -> None:
    stream = capture.store.open("web", spec(keep=50))
    text = b"".join(b"%d" % i * 5000 + b"\n" for i in range(10))
    say(stream, text)
    assert capture.kept() == text
    assert all(content.endswith(b"\n") for _, content in capture.segments())
    assert stream.writer.cut == 0


def test_a_line_without_end_is_cut_and_counted(capture: Capture) -> None:
    stream = capture.store.open("web", spec(keep=50))
    text = b"x" * (3 * LONGEST_LINE + 1000) + b"\nnext\n"
    say(stream, text)
    assert capture.kept() == text
    assert stream.writer.cut == 2
    assert max(len(content) for _, content in capture.segments()) <= LONGEST_LINE + (1 << 16)


# -- killed or refused at any step ------------------------------------------------------------------------------------


class Killed(BaseException):
    """As if the process ended here."""


STEPS = ("open", "rename", "unlink", "write", "pwrite", "ftruncate", "splice")


def failing_at(monkeypatch: pytest.MonkeyPatch, n: int, error: Callable[[], BaseException]) -> list[str]:
    """Let the `n`th step that changes files fail.  Returns the steps taken."""
    taken: list[str] = []
    for name in STEPS:
        real = getattr(os, name)

        def step(*args: Any, _name: str = name, _real: Any = real, **kwargs: Any) -> Any:
            if _name == "open" and not args[1] & os.O_CREAT:
                return _real(*args, **kwargs)
            taken.append(_name)
            if len(taken) == n:
                raise error()
            return _real(*args, **kwargs)

        monkeypatch.setattr(os, name, step)
    return taken


def put(stream: Any, text: bytes) -> None:
    """Write to the pipe without draining it."""
    fd = stream.child_fd()
    os.write(fd, text)
    os.close(fd)


def rotation_ready(root: Path) -> tuple[Capture, Any]:
    """A stream just below its size, with an unfinished line, and more of it in the pipe."""
    capture = Capture(root)
    stream = capture.store.open("web", spec(keep=9))
    say(stream, numbered(0, 39) + numbered(39, 40)[:70])
    put(stream, numbered(39, 40)[70:] + numbered(40, 45))
    return capture, stream


def test_killed_at_any_step_nothing_is_lost_torn_or_doubled(tmp_path: Path) -> None:
    n = 0
    while True:
        n += 1
        root = tmp_path / str(n)
        capture, stream = rotation_ready(root)
        with pytest.MonkeyPatch.context() as patch:
            taken = failing_at(patch, n, Killed)
            try:
                stream.drain()
            except Killed:
                pass
            else:
                break
        successor = Capture(root)
        successor.store.open("web", spec(keep=9)).drain()
        say(successor.store.open("web", spec(keep=9)), numbered(45, 60))
        assert successor.kept() == numbered(0, 60), f"killed at step {n}: {taken}"
        lines = read(str(successor.logs), "web", lines=60)
        assert [text[:8] for _, text in lines.lines] == [f"{i:08}" for i in range(60)], f"read after {taken}"
        assert not list(successor.logs.glob("*.new"))
        successor.close()
        capture.close()
    assert n > 10
    capture.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_refused_at_any_step_nothing_is_lost_unseen(tmp_path: Path, number: int) -> None:
    n = 0
    while True:
        n += 1
        root = tmp_path / str(n)
        capture, stream = rotation_ready(root)
        with pytest.MonkeyPatch.context() as patch:
            taken = failing_at(patch, n, lambda: OSError(number, os.strerror(number)))
            stream.drain()
        if len(taken) < n:
            break
        if stream._loss is not None:
            stream._loss.retry_at = 0.0
        say(stream, numbered(45, 60))
        kept = capture.kept()
        told = "".join(message for _, message in capture.problems)
        if kept != numbered(0, 60):
            assert f"{stream.lost} bytes of it were lost" in told and stream.lost > 0, taken
            assert b"bytes of output lost here" in kept
        ours = [line for line in kept.splitlines() if not line.startswith(b"[supervisor")]
        numbers = [int(line[:8]) for line in ours if len(line) == 99]
        assert len(numbers) >= len(ours) - 1 and numbers == sorted(set(numbers)), taken
        capture.close()
    assert n > 10
    capture.close()


def test_a_rotation_that_keeps_failing_is_told_once_and_bounded(
    capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    stream = capture.store.open("web", spec(max_size=10_000))
    monkeypatch.setattr(logfiles, "make_room", refuse)
    say(stream, numbered(0, 150))
    assert capture.kept() == numbered(0, 150)
    assert [message for _, message in capture.problems] == [
        "the log cannot be rotated and exceeds its size limit: Permission denied"
    ]
    say(stream, numbered(150, 500))
    assert len(capture.kept()) <= 20_000
    assert "being dropped" in capture.problems[-1][1] and len(capture.problems) == 2
    monkeypatch.undo()
    assert stream._loss is not None
    stream._loss.retry_at = 0.0
    say(stream, numbered(500, 510))
    assert capture.kept().endswith(numbered(500, 510))


# -- compression ------------------------------------------------------------------------------------------------------


def compressed(capture: Capture, count: int) -> None:
    run_until(capture.loop, lambda: len(list(capture.logs.glob("*.gz"))) == count and settled(capture))


def settled(capture: Capture) -> bool:
    return not capture.store._compressor._busy


def test_rotated_files_are_compressed_and_zcat_reads_them(capture: Capture) -> None:
    stream = capture.store.open("web", spec(max_size=600_000, compress=True))
    say(stream, numbered(0, 15_000))
    compressed(capture, 2)
    assert [name for name, _ in capture.segments()] == ["web.log.2.gz", "web.log.1.gz", "web.log"]
    assert capture.kept() == numbered(0, 15_000)
    out = subprocess.run(
        ["zcat", capture.logs / "web.log.2.gz", capture.logs / "web.log.1.gz"], capture_output=True, check=True
    ).stdout
    assert out + (capture.logs / "web.log").read_bytes() == numbered(0, 15_000)
    assert (capture.logs / "web.log.2.gz").stat().st_size < 100_000
    assert capture.problems == []


def test_members_are_whole_lines_and_small(capture: Capture) -> None:
    stream = capture.store.open("web", spec(max_size=600_000, compress=True))
    say(stream, numbered(0, 7_000))
    compressed(capture, 1)
    packed = (capture.logs / "web.log.1.gz").read_bytes()
    position, members = 0, 0
    while position < len(packed):
        size = int.from_bytes(packed[position + 16 : position + 20], "little")
        member = gzip.decompress(packed[position : position + size])
        assert member.endswith(b"\n") and len(member) <= 1 << 20
        position, members = position + size, members + 1
    assert members == 3


def test_files_may_move_and_vanish_while_they_are_compressed(capture: Capture) -> None:
    stream = capture.store.open("web", spec(max_size=100_000, keep=2, compress=True))
    for i in range(20):
        say(stream, numbered(i * 500, i * 500 + 500))
        capture.loop.call_soon(lambda: None)
        capture.loop.turn()
    compressed(capture, 2)
    kept = capture.kept()
    first = int(kept[:8])
    assert kept == numbered(first, 10_000)
    assert capture.problems == [] and not list(capture.logs.glob("*.new"))


def test_what_was_not_compressed_is_taken_up_at_the_next_start(tmp_path: Path) -> None:
    capture = Capture(tmp_path)
    say(capture.store.open("web", spec(keep=3)), numbered(0, 35))
    capture.close()
    # Killed between the two halves of the replacement: both forms are there.
    plain = capture.logs / "web.log.2"
    (capture.logs / "web.log.2.gz").write_bytes(gzip.compress(plain.read_bytes()))
    successor = Capture(tmp_path)
    successor.store.open("web", spec(keep=3))
    assert not plain.exists()
    successor.store.open("web", spec(keep=3, compress=True))
    compressed(successor, 3)
    assert successor.kept() == numbered(0, 35)
    successor.close()


def test_closing_in_the_middle_leaves_the_plain_file(tmp_path: Path) -> None:
    capture = Capture(tmp_path)
    stream = capture.store.open("web", spec(max_size=3_000_000, compress=True))
    say(stream, numbered(0, 31_000))
    assert capture.store._compressor._busy
    capture.close()
    assert capture.kept() == numbered(0, 31_000)
    successor = Capture(tmp_path)
    successor.store.open("web", spec(max_size=3_000_000))
    assert not list(successor.logs.glob("*.new"))
    successor.close()


def test_compression_that_fails_is_told_and_keeps_the_plain_file(capture: Capture) -> None:
    stream = capture.store.open("web", spec(compress=True))
    (capture.logs / "web.log.gz.new").mkdir()
    say(stream, numbered(0, 12))
    run_until(capture.loop, lambda: capture.problems)
    assert "stays uncompressed" in capture.problems[0][1]
    shutil.rmtree(capture.logs / "web.log.gz.new")
    assert capture.kept() == numbered(0, 12)
