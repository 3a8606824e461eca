"""Output capture: from the child's write to the file and to subscribers."""

from __future__ import annotations

import fcntl
import gc
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.adapters.logs import store as logs
from supervisor.adapters.logs.lines import MAX_LINE, LineSplitter, stamp
from supervisor.adapters.logs.writer import Writer
from supervisor.core.model.spec import LogSpec
from supervisor.errors import OperationFailed
from tests.adapters.logs.capture import PLAIN, Capture, numbered, say
from tests.doubles.fakes import run_until


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Capture]:
    it = Capture(tmp_path)
    yield it
    it.close()


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def run_child(capture: Capture, stream: object, code: str) -> int:
    """Run Python `code` with both outputs captured, until it has exited and the rest is drained."""
    fd = stream.child_fd()  # type: ignore[attr-defined]
    child = subprocess.Popen([sys.executable, "-S", "-c", code], stdout=fd, stderr=fd)
    os.close(fd)
    pidfd = os.pidfd_open(child.pid)
    done: list[bool] = []
    capture.loop.register(pidfd, lambda _events: (done.append(True), capture.loop.unregister(pidfd))[0])
    run_until(capture.loop, lambda: done, timeout=60)
    os.close(pidfd)
    stream.drain()  # type: ignore[attr-defined]
    return child.wait()


def test_stdout_and_stderr_end_up_in_the_file_in_order(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    code = "import os; [os.write(1 + i % 2, b'%d\\n' % i) for i in range(1000)]; os.write(2, b'last'); os._exit(3)"
    assert run_child(capture, stream, code) == 3
    assert capture.kept() == b"".join(b"%d\n" % i for i in range(1000)) + b"last"
    assert (capture.logs / "web.log").stat().st_mode & 0o777 == 0o640
    assert capture.problems == []


def test_a_flood_is_kept_whole_and_the_pipe_grows_for_it(capture: Capture) -> None:
    stream = capture.store.open("web", LogSpec(max_size=3_000_000, keep=20, compress=False))
    code = "import os\nfor i in range(0, 300000, 500): os.write(1, b''.join(b'%011d\\n' % (i + n) for n in range(500)))"
    before = fcntl.fcntl(stream.fd, fcntl.F_GETPIPE_SZ)
    assert run_child(capture, stream, code) == 0
    assert capture.kept() == b"".join(b"%011d\n" % n for n in range(300_000))
    assert len(capture.segments()) == 2
    assert fcntl.fcntl(stream.fd, fcntl.F_GETPIPE_SZ) >= before


def test_the_pipe_grows_only_for_who_fills_it(capture: Capture) -> None:
    busy, calm = capture.store.open("busy", PLAIN), capture.store.open("calm", PLAIN)
    for stream, size in ((busy, 60_000), (calm, 100)):
        fd = stream.child_fd()
        for _ in range(6):
            os.write(fd, b"x" * size)
            stream(0)
        os.close(fd)
    assert fcntl.fcntl(busy.fd, fcntl.F_GETPIPE_SZ) == 1 << 20
    assert fcntl.fcntl(calm.fd, fcntl.F_GETPIPE_SZ) == 1 << 16


def test_an_idle_stream_costs_one_descriptor(capture: Capture) -> None:
    gc.collect()  # earlier tests may have left some that would be closed in between
    before = open_descriptors()
    for i in range(50):
        capture.store.open(f"s@{i}", PLAIN)
    assert open_descriptors() == before + 50


def test_open_files_are_bounded(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_OPEN_FILES", 4)
    streams = [capture.store.open(f"s@{i}", PLAIN) for i in range(20)]
    before = open_descriptors()
    for turn in range(3):
        for stream in streams:
            say(stream, b"%d\n" % turn)
    assert open_descriptors() == before + 2 * 4
    assert all(capture.kept(f"s@{i}") == b"0\n1\n2\n" for i in range(20))


def test_the_childs_end_is_blocking_and_ours_is_not_inherited(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    fd = stream.child_fd()
    assert not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK
    assert fcntl.fcntl(stream.fd, fcntl.F_GETFL) & os.O_NONBLOCK
    assert not os.get_inheritable(stream.fd) and not os.get_inheritable(fd)
    os.close(fd)


def test_no_child_left_is_no_end_of_the_stream_and_no_wake_up(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    say(stream, b"one\n")
    wakes: list[float] = []
    capture.loop.on_wake = lambda now, _expected: wakes.append(now)
    capture.loop.call_at(capture.loop.now() + 0.05, capture.loop.stop)
    capture.loop.run()
    assert len(wakes) == 1
    say(stream, b"two\n")
    assert capture.kept() == b"one\ntwo\n"


def test_unread_output_survives_a_restart_of_the_daemon(capture: Capture) -> None:
    fd = capture.store.open("web", PLAIN).child_fd()
    os.write(fd, b"before\n")
    capture.again()
    os.write(fd, b"between\n")
    stream = capture.store.open("web", PLAIN)
    os.write(fd, b"after\n")
    os.close(fd)
    stream.drain()
    assert capture.kept() == b"before\nbetween\nafter\n"


def test_subscribers_get_whole_lines(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    say(stream, b"early\nbegun ")
    first: list[bytes] = []
    second: list[bytes] = []
    stream.subscribe(first.extend)
    unsubscribe = stream.subscribe(second.extend)
    say(stream, b"and ended\r\nnext")
    assert first == second == [b"begun and ended\r"]
    unsubscribe()
    say(stream, b" line\n")
    assert first[1:] == [b"next line"] and second[1:] == []
    say(stream, b"x" * (MAX_LINE - 7) + b"y" * 10)
    say(stream, b"\n")
    assert [len(line) for line in first[2:]] == [MAX_LINE, 3]


def test_a_progress_that_overwrites_itself_is_heard_before_its_line_ends(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    plain: list[bytes] = []
    live: list[bytes] = []
    stream.subscribe(plain.extend)
    unsubscribe = stream.subscribe(live.extend, progress=True)
    say(stream, b"10%\r20%\r3")
    say(stream, b"0%\r")
    say(stream, b"40%")
    assert live == [b"10%", b"20%", b"30%"] and plain == []
    say(stream, b"\r\ndone\r\nmore\r")
    whole = [b"10%\r20%\r30%\r40%\r", b"done\r"]
    assert live[3:] == [*whole, b"more"] and plain == whole
    unsubscribe()
    say(stream, b"last\r")
    assert live[6:] == []


def test_without_subscribers_nothing_is_read_back(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = capture.store.open("web", PLAIN)
    unsubscribe = stream.subscribe(lambda _lines: None)
    unsubscribe()
    monkeypatch.setattr("supervisor.adapters.logs.segment.Segment.read", lambda *_: pytest.fail("read back"))
    say(stream, b"line\n")
    assert capture.kept() == b"line\n"


def test_on_output_is_any_output(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    seen: list[bool] = []
    stream.on_output = lambda: seen.append(True)
    stream.drain()
    assert seen == []
    say(stream, b"no newline")
    assert seen == [True]


def test_finish_line_ends_what_nobody_will_end(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    lines: list[bytes] = []
    stream.subscribe(lines.extend)
    say(stream, b"killed in mid-")
    stream.finish_line()
    stream.finish_line()
    say(stream, b"next\n")
    assert capture.kept() == b"killed in mid-\nnext\n"
    began = [offset for _at, offset in struct.iter_unpack("<dQ", (capture.logs / "web.log.idx").read_bytes()[16:])]
    assert began == [0, 15], "each is dated by itself, however soon it comes"
    assert lines == [b"killed in mid-", b"next"]


def test_timestamps_stand_before_each_line_once(capture: Capture) -> None:
    stream = capture.store.open("web", LogSpec(compress=False, timestamps=True))
    lines: list[bytes] = []
    stream.subscribe(lines.extend)
    for piece in (b"one\ntwo\nthr", b"ee", b"\n", b"\nfive\n"):
        say(stream, piece)
    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
    expected = "".join(f"{moment}{word}\n" for word in ("one", "two", "three", "", "five"))
    assert re.fullmatch(expected, capture.kept().decode())
    assert lines == [b"one", b"two", b"three", b"", b"five"]


def test_stamp_is_utc_with_milliseconds() -> None:
    assert stamp(b"a\nb", 0.0019, at_line_start=False) == b"a\n1970-01-01T00:00:00.001Z b"
    assert stamp(b"\n", 1e9, at_line_start=True) == b"2001-09-09T01:46:40.000Z \n"


def test_tail_includes_what_is_still_in_the_pipe(capture: Capture) -> None:
    stream = capture.store.open("web", LogSpec(max_size=1000, keep=3, compress=False))
    assert stream.tail(5) == []
    say(stream, numbered(0, 30))
    fd = stream.child_fd()
    os.write(fd, b"Segmentation fault")
    os.close(fd)
    assert [line[:8] for line in stream.tail(22)] == [f"{i:08}" for i in range(9, 30)] + ["Segmenta"]


def test_removing_takes_the_pipe_and_leaves_the_files(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    fd = stream.child_fd()
    os.write(fd, b"last\n")
    os.close(fd)
    capture.store.remove("web")
    capture.store.remove("web")
    assert list(capture.fifos.iterdir()) == []
    assert capture.kept() == b"last\n"


def test_a_reload_changes_how_a_stream_is_kept(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    say(stream, numbered(0, 10))
    assert capture.store.open("web", LogSpec(max_size=500, keep=3, compress=False)) is stream
    say(stream, numbered(10, 12))
    assert len(capture.segments()) > 1
    assert capture.kept() == numbered(0, 12)


@pytest.mark.parametrize("kind", ["file", "symlink", "directory"])
def test_what_is_no_pipe_of_ours_is_set_aside(capture: Capture, kind: str) -> None:
    path = capture.fifos / "web"
    if kind == "file":
        path.write_text("precious")
    elif kind == "symlink":
        path.symlink_to(capture.logs / "elsewhere")
        (capture.logs / "elsewhere").write_text("precious")
    else:
        path.mkdir()
    say(capture.store.open("web", PLAIN), b"line\n")
    assert stat.S_ISFIFO(path.lstat().st_mode) and path.lstat().st_mode & 0o777 == 0o622
    assert capture.kept() == b"line\n"
    if kind != "directory":
        assert (capture.fifos / "web.aside").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to run a child as another user")
def test_a_child_of_another_user_may_open_dev_stdout(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    fd = stream.child_fd()
    subprocess.run(["/bin/sh", "-c", "echo here > /dev/stdout"], stdout=fd, user=65534, check=True)
    os.close(fd)
    stream.drain()
    assert capture.kept() == b"here\n"


def test_the_directory_of_pipes_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "fifo").mkdir(mode=0o755)
    capture = Capture(tmp_path)
    assert capture.fifos.stat().st_mode & 0o777 == 0o700
    capture.close()


def test_a_place_that_cannot_be_made_is_an_error_that_a_user_can_read(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("not a directory")
    with pytest.raises(OperationFailed, match="log: File exists"):
        Capture(tmp_path)


def test_a_removed_pipe_is_made_anew_for_the_next_child(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    old = stream.child_fd()
    os.write(old, b"old\n")
    (capture.fifos / "web").unlink()
    say(stream, b"new\n")
    os.close(old)
    assert capture.kept() == b"old\nnew\n"
    assert (capture.fifos / "web").is_fifo()


def test_a_removed_directory_of_pipes_is_made_anew_for_the_next_child(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    old = stream.child_fd()
    os.write(old, b"old\n")
    shutil.rmtree(capture.fifos)
    say(stream, b"new\n")
    os.close(old)
    assert capture.kept() == b"old\nnew\n"
    assert (capture.fifos / "web").is_fifo() and stat.S_IMODE(capture.fifos.stat().st_mode) == 0o700


def test_where_no_new_pipe_can_be_had_the_old_one_is_still_read(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    old = stream.child_fd()
    shutil.rmtree(capture.fifos)
    capture.fifos.write_text("in the way")
    with pytest.raises(OperationFailed, match="no pipe for its output"):
        stream.child_fd()
    os.write(old, b"old\n")
    os.close(old)
    stream.drain()
    assert capture.kept() == b"old\n"


@pytest.mark.parametrize("what", ["the pipe", "the directory"])
def test_a_removed_pipe_is_found_again_through_the_child_that_writes_to_it(capture: Capture, what: str) -> None:
    fd = capture.store.open("web", PLAIN).child_fd()
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=fd, stderr=fd)
    os.close(fd)
    assert child.stdin is not None
    if what == "the pipe":
        (capture.fifos / "web").unlink()
    else:
        shutil.rmtree(capture.fifos)
    capture.again()
    capture.store.reach("web", child.pid)
    stream = capture.store.open("web", PLAIN)
    child.stdin.write(b"still heard\n")
    child.stdin.close()
    run_until(capture.loop, lambda: capture.kept() == b"still heard\n")
    child.wait()
    say(stream, b"and the next one\n")
    assert capture.kept() == b"still heard\nand the next one\n"
    assert (capture.fifos / "web").is_fifo()


def test_what_a_child_did_with_its_output_is_not_our_business(capture: Capture, tmp_path: Path) -> None:
    with (tmp_path / "elsewhere").open("w") as elsewhere:
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=elsewhere, stderr=elsewhere)
    capture.store.reach("web", child.pid)
    capture.store.reach("web", 2**30)
    assert capture.store._in_use == {}
    child.communicate()


def test_no_pipe_to_be_had_is_an_error_that_a_user_can_read(capture: Capture) -> None:
    with pytest.raises(OperationFailed, match="no pipe for its output"):
        capture.store.open("no/such/place", PLAIN)


def test_a_file_removed_or_emptied_by_others_is_begun_anew(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    writer = stream.writer
    assert isinstance(writer, Writer)
    say(stream, b"one\n" * 100)
    (capture.logs / "web.log").unlink()
    writer._marked_at = 0.0
    say(stream, b"two\n")
    assert capture.kept() == b"two\n"
    os.truncate(capture.logs / "web.log", 0)
    writer._marked_at = 0.0
    say(stream, b"three\n")
    assert capture.kept() == b"three\n"


def test_a_removed_directory_comes_back(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    capture.logs.rmdir()
    say(stream, b"line\n")
    assert capture.kept() == b"line\n" and capture.problems == []


def test_line_splitter_over_any_cut() -> None:
    text = b"a\n\nbb\nccc"
    for cut in range(len(text) + 1):
        splitter = LineSplitter()
        assert splitter.feed(text[:cut]) + splitter.feed(text[cut:]) == [b"a", b"", b"bb"]
        assert splitter.flush() == [b"ccc"] and splitter.flush() == []


def test_the_first_start_of_many_asks_for_files_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The start of a thousand services costs as much as what is asked for each of them."""
    it = Capture(tmp_path)
    (it.logs / "old.log").touch()
    (it.logs / "old.log.idx").touch()
    asked: list[str] = []
    for question in ("stat", "unlink", "readlink", "listdir"):
        real = getattr(os, question)
        monkeypatch.setattr(os, question, lambda *a, r=real, q=question, **k: (asked.append(q), r(*a, **k))[1])
    for name in ("web", "old", "a", "b"):
        it.store.open(name, PLAIN)
    monkeypatch.undo()
    assert asked == ["listdir", "listdir"]
    it.close()


@pytest.mark.parametrize("left", ["log.1", "log.1.gz", "log.new", "log.raw", "log.at", "log.in"])
def test_what_was_left_of_one_is_looked_at(left: str) -> None:
    assert logs._untidy(["web.log", "web.log.idx", f"a.log.b.{left}", "notes"]) == {"a.log.b"}
