"""A capturing process is killed again and again in the middle of a flood: its successors lose and tear nothing."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.core.model.spec import LogSpec
from tests.adapters.logs.capture import DATED, PLAIN, Capture, numbered, say, undated
from tests.doubles.fakes import run_until

CAPTURER = """
import os, sys
from supervisor.adapters.logs.store import LogStore
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.core.model.spec import LogSpec

root, tell_after, timestamps = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True"
loop = EventLoop()
store = LogStore(loop, root + "/log", root + "/fifo", lambda *_: None)
stream = store.open("web", LogSpec(max_size=100_000, keep=1000, compress=True, timestamps=timestamps))
turns = 0

def output():
    global turns
    turns += 1
    if turns == tell_after:
        os.write(1, b"x")

stream.on_output = output
loop.run()
"""

WRITER = """
import os, select
i = 0
while i % 500 or not select.select([0], [], [], 0)[0]:
    os.write(1, b"%08d %s\\n" % (i, b"x" * (i % 200)))
    i += 1
os.write(1, b"end\\n")
"""

SPEC = LogSpec(max_size=100_000, keep=1000, compress=False)


@pytest.mark.parametrize("timestamps", [False, True])
def test_sigkill_in_the_middle(tmp_path: Path, timestamps: bool) -> None:
    first = Capture(tmp_path)
    fd = first.store.open("web", SPEC).child_fd()
    first.close()
    with subprocess.Popen([sys.executable, "-S", "-c", WRITER], stdin=subprocess.PIPE, stdout=fd) as writer:
        try:
            for generation in range(8):
                kill_after(generation * 3 % 8 + 1, tmp_path, timestamps)
        finally:
            assert writer.stdin is not None
            writer.stdin.close()
            last = Capture(tmp_path)
            stream = last.store.open("web", SPEC)
            ended: list[bool] = []
            stream.subscribe(lambda lines: ended.append(True) if b"end" in lines else None)
            run_until(last.loop, lambda: ended)
    os.close(fd)
    kept = last.kept().removesuffix(b"end\n").splitlines()
    if timestamps:
        kept = [line[25:] if line[4:5] == b"-" else line for line in kept]
    assert kept == [b"%08d %s" % (i, b"x" * (i % 200)) for i in range(len(kept))]
    assert len(last.segments()) > 5
    last.close()


class Killed(BaseException):
    """As SIGKILL in the middle of a system call: nothing is tidied up."""


@pytest.mark.parametrize("written", [0, 1, 24, 25, 300, 4096, 12_499, None])
@pytest.mark.parametrize("after", [DATED, PLAIN])
def test_sigkill_while_lines_are_dated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int | None, after: LogSpec
) -> None:
    """The kernel ends a write at any page.  `written`: bytes; None: all of them, without a record of it."""
    first = Capture(tmp_path)
    stream = first.store.open("web", DATED)
    say(stream, numbered(0, 3) + b"begun, ")
    fd = stream.child_fd()
    os.write(fd, b"ended\n" + numbered(3, 102))
    os.close(fd)
    pwrite = os.pwrite

    def killed(fd: int, data: bytes, offset: int) -> int:
        pwrite(fd, data[:written], offset)
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "pwrite", lambda fd, data, at: (killed if len(data) > 9999 else pwrite)(fd, data, at))
        stream.drain()
    second = Capture(tmp_path)
    stream = second.store.open("web", after)
    expected = numbered(0, 3) + b"begun, ended\n" + numbered(3, 102)
    assert undated(second.kept()) == expected
    say(stream, numbered(102, 103))
    kept = second.kept()
    assert kept.endswith(numbered(102, 103))
    assert undated(kept[: -100 - 25 * (after is DATED)]) == expected
    second.close()
    assert not (second.logs / "web.log.raw").exists(), "it is there only where something waits"
    first.close()


def test_what_waits_to_be_dated_outlives_the_file_that_it_was_for(tmp_path: Path) -> None:
    it = Capture(tmp_path)
    say(it.store.open("web", DATED), numbered(0, 3))
    it.close()
    note = struct.Struct("<dq")
    for number, (at, offset) in enumerate([(1e9, 0), (1e9, 1 << 62), (float("nan"), -1), (1e300, 10**6), (0.0, 7)]):
        (it.logs / "web.log.raw").write_bytes(note.pack(at, offset) + b"waiting %d\n" % number)
        it = Capture(tmp_path)
        it.store.open("web", DATED)
        assert it.problems == []
        it.close()
    assert undated(it.kept()) == numbered(0, 3) + b"".join(b"waiting %d\n" % i for i in range(5))
    (it.logs / "web.log.raw").write_bytes(b"no note")
    (it.logs / "web.log").unlink()
    it = Capture(tmp_path)
    say(it.store.open("web", DATED), b"last\n")
    assert it.problems == []
    assert undated(it.kept()) == b"last\n"
    it.close()


def test_who_cannot_wait_to_be_dated_is_told(tmp_path: Path) -> None:
    it = Capture(tmp_path)
    (it.logs / "web.log.raw").mkdir()
    stream = it.store.open("web", DATED)
    assert it.problems == [("web", "the log files cannot be put in order: Is a directory")]
    say(stream, b"gone\n")
    assert stream.lost == 5
    (it.logs / "web.log.raw").rmdir()
    os.mkfifo(it.logs / "web.log.raw")
    stream._loss = None
    say(stream, b"gone\n")
    assert it.problems[-1][1].endswith("the log cannot be written: not a plain file")
    it.close()


def kill_after(turns: int, root: Path, timestamps: bool) -> None:
    """Let a new process capture, and kill it as soon as it has taken output `turns` times."""
    arguments = [str(root), str(turns), str(timestamps)]
    with subprocess.Popen([sys.executable, "-c", CAPTURER, *arguments], stdout=subprocess.PIPE) as capturer:
        try:
            assert capturer.stdout is not None
            assert capturer.stdout.read(1) == b"x"
        finally:
            capturer.kill()
