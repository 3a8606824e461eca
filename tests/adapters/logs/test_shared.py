"""One log of several instances: whole lines with the name of their instance, in order, over kills and rotations."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.adapters.logs.lines import MAX_LINE
from supervisor.adapters.logs.reader import instances, read
from supervisor.adapters.logs.stream import Stream
from supervisor.core.model.spec import LogSpec
from supervisor.log_pages import with_lines
from tests.adapters.logs.capture import DATED, PLAIN, Capture, numbered, say
from tests.doubles.fakes import run_until


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Capture]:
    capture = Capture(tmp_path)
    yield capture
    capture.close()


def shared(root: Path, base: LogSpec = PLAIN, **more: object) -> LogSpec:
    return replace(base, path=f"{root}/var/all.log", path_shared=True, **more)  # type: ignore[arg-type]


def there(root: Path) -> list[str]:
    return (root / "var" / "all.log").read_text().splitlines()


def lines(capture: Capture, instance: str, **query: Any) -> list[str]:
    """As a command reads them."""
    given = {"lines": 100_000, "since": None, "before": None, "after": None} | query
    page = with_lines(lambda **q: read(str(capture.logs), instance, **q).page(instance), **given)
    return [line["text"] for line in page["lines"]]


def parts(capture: Capture) -> list[str]:
    return sorted(f.name for f in capture.logs.iterdir() if f.name.endswith(".part"))


def test_lines_are_whole_and_named_in_the_order_of_their_ends(capture: Capture, tmp_path: Path) -> None:
    web, api = (capture.store.open(name, shared(tmp_path)) for name in ("web@1", "api"))
    say(web, b"begun, ")
    say(api, b"one\n\ntwo\n")
    say(web, b"ended\nnext")
    say(api, b"three\n")
    assert there(tmp_path) == ["api | one", "api | ", "api | two", "web@1 | begun, ended", "api | three"]
    assert lines(capture, "api") == ["one", "", "two", "three"]
    assert lines(capture, "web@1") == ["begun, ended"]
    assert web.tail(2) == ["begun, ended", "next"]
    web.finish_line()
    assert there(tmp_path)[-1] == "web@1 | next"
    assert web.written == 17, "bytes of output, without the names"
    assert instances(str(capture.logs)) == ["api", "web@1"]
    capture.close()
    assert parts(capture) == [], "it is there only where something waits"
    capture._open()


def test_a_stream_of_one_without_a_newline_holds_no_other(capture: Capture, tmp_path: Path) -> None:
    web, api = (capture.store.open(name, shared(tmp_path)) for name in ("web", "api"))
    heard: list[bytes] = []
    web.subscribe(heard.extend)
    say(web, b"x" * (MAX_LINE + 10))
    say(api, b"one\n")
    say(web, b"y\n")
    found = there(tmp_path)
    assert [line.partition(" | ")[0] for line in found] == ["web", "api", "web"]
    assert "".join(lines(capture, "web")) == "x" * (MAX_LINE + 10) + "y"
    assert b"".join(heard) == b"x" * (MAX_LINE + 10) + b"y"


def test_timestamps_stand_behind_the_name(capture: Capture, tmp_path: Path) -> None:
    say(capture.store.open("web", shared(tmp_path, DATED)), b"one\ntwo\n")
    assert [(line[:6], line[29:]) for line in there(tmp_path)] == [("web | ", "Z one"), ("web | ", "Z two")]
    assert lines(capture, "web")[0].endswith("Z one")


def test_rotation_mode_and_compression_are_those_of_the_file(capture: Capture, tmp_path: Path) -> None:
    spec = shared(tmp_path, max_size=8192, keep=20, compress=True, mode=0o604)
    streams = [capture.store.open(name, spec) for name in ("a", "b")]
    for i in range(150):
        say(streams[i % 2], numbered(i, i + 1))
    place = tmp_path / "var"
    while (place / "all.log.1").exists():
        capture.loop.turn()
    kept = [f for f in place.iterdir() if f.suffix != ".idx"]
    assert len(kept) > 1 and {f.stat().st_mode & 0o777 for f in kept} == {0o604}
    assert (place / "all.log").stat().st_size <= 8192
    for parity, name in enumerate("ab"):
        assert lines(capture, name) == [f"{numbered(i, i + 1).decode()[:-1]}" for i in range(parity, 150, 2)]
    assert not capture.problems


def test_a_file_that_is_moved_away_is_opened_anew(capture: Capture, tmp_path: Path) -> None:
    streams = [capture.store.open(name, shared(tmp_path, rotate=False)) for name in ("a", "b")]
    for stream in streams:
        say(stream, b"one\n")
    (tmp_path / "var" / "all.log").rename(tmp_path / "var" / "all.log.1")
    for stream in streams:
        say(stream, b"two\n")
    assert there(tmp_path) == ["a | two", "b | two"]
    assert lines(capture, "a") == ["one", "two"]


def test_stderr_apart_may_be_shared_too(capture: Capture, tmp_path: Path) -> None:
    spec = LogSpec(compress=False, stderr=f"{tmp_path}/var/errors.log", stderr_shared=True)
    for name in ("web", "api"):
        stream = capture.store.open(name, spec)
        say(stream, b"out\n")
        assert stream.errors is not None
        say(stream.errors, b"bad\n")
    assert (tmp_path / "var" / "errors.log").read_text() == "web | bad\napi | bad\n"
    assert sorted(lines(capture, "web")) == ["bad", "out"]
    assert [text for _, text in read(str(capture.logs), "web", stream="stderr").lines] == ["bad"]


def test_a_page_without_own_lines_is_not_the_end(capture: Capture, tmp_path: Path) -> None:
    rare, loud = (capture.store.open(name, shared(tmp_path)) for name in ("rare", "loud"))
    say(rare, b"one\n")
    say(loud, numbered(0, 4000))
    say(rare, b"two\n")
    say(loud, numbered(0, 4000))
    newest = read(str(capture.logs), "rare", lines=10)
    assert (newest.lines, newest.at_end) == ([], False)
    assert lines(capture, "rare", lines=1) == ["two"]
    assert lines(capture, "rare", lines=None, since=0.0) == ["one"]
    page = read(str(capture.logs), "rare", since=0.0)
    assert lines(capture, "rare", lines=None, after=page.last_cursor) == ["two"]
    assert lines(capture, "absent") == []


def test_what_was_alone_joins_and_is_alone_again(capture: Capture, tmp_path: Path) -> None:
    spec = shared(tmp_path)
    alone = replace(spec, path_shared=False)
    web = capture.store.open("web", alone)
    say(web, b"old\nbegun, ")
    api = capture.store.open("api", spec)
    capture.store.open("web", spec)
    say(api, b"new\n")
    say(web, b"ended\n")
    assert there(tmp_path) == ["old", "begun, ", "api | new", "web | ended"]
    capture.store.open("web", alone)
    say(web, b"still\n")
    assert there(tmp_path)[-1] == "web | still", "the other has not ended yet"
    capture.store.remove("api")
    capture.store.open("web", alone)
    say(web, b"raw\n")
    assert there(tmp_path)[-1] == "raw"
    assert lines(capture, "web")[-1] == "raw"
    capture.store.open("web", PLAIN)
    say(web, b"own\n")
    assert capture.kept() == b"own\n"


def test_what_cannot_be_there_is_kept_in_the_state_directory(capture: Capture, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "all.log").mkdir()
    for name in ("web", "api"):
        say(capture.store.open(name, shared(tmp_path)), b"one\n")
        assert capture.kept(name) == b"one\n"
    assert len(capture.problems) == 2


def test_many_share_with_few_open_files(capture: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.adapters.logs.store._OPEN_FILES", 3)
    streams = [capture.store.open(f"s{i}", shared(tmp_path)) for i in range(8)]
    for i in range(4):
        for stream in streams:
            say(stream, f"{i}, ".encode() if i % 2 == 0 else f"{i}\n".encode())
    for i in range(8):
        assert lines(capture, f"s{i}") == ["0, 1", "2, 3"]


def test_a_full_disk_is_told_and_what_waits_is_written_later(
    capture: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web, api = (capture.store.open(name, shared(tmp_path)) for name in ("web", "api"))
    say(web, b"one\nbegun, ")
    pwrite = os.pwrite
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda fd, data, at: 0 if b" | " in data else pwrite(fd, data, at))
        say(web, b"ended\n")
        say(web, b"lost\n")
        assert web.lost == 5
    assert web._loss is not None
    web._loss.retry_at = 0.0
    say(web, b"two\n")
    say(api, b"one\n")
    assert there(tmp_path) == [
        "web | one",
        "web | begun, ended",
        "web | [supervisor: 5 bytes of output lost here: No space left on device]",
        "web | two",
        "api | one",
    ]


# -- kills ----------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """As SIGKILL in the middle of a system call: nothing is tidied up."""


SAID = (("a", b"same\n"), ("b", b"same\nbegun, "), ("a", b"same\nsame\n"), ("b", b"ended\nsame\n"), ("c", b"x\n" * 40))
CALLS = ("pwrite", "ftruncate", "splice", "rename", "unlink")


def _dies_at(number: int, share: float, patch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Let the call of this `number` be the last one; a write is done to a `share` of it.  Returns whether it came."""
    count = 0

    def counted(call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def made(*args: Any, **keys: Any) -> Any:
            nonlocal count
            count += 1
            if count < number:
                return call(*args, **keys)
            if count == number and name == "pwrite":
                fd, data, at = args
                call(fd, data[: int(len(data) * share)], at)
            elif count == number and share == 1.0:
                call(*args, **keys)
            raise Killed

        return made

    for name in CALLS:
        patch.setattr(os, name, counted(getattr(os, name), name))
    return lambda: count >= number


@pytest.mark.parametrize("dated", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_kill_at_any_call_loses_doubles_and_mixes_nothing(tmp_path: Path, share: float, dated: bool) -> None:
    number, killed = 0, True
    while killed:
        number += 1
        root = tmp_path / str(number)
        spec = shared(root, DATED if dated else PLAIN, max_size=4096)
        before = _descriptors()
        first = Capture(root)
        streams = {name: first.store.open(name, spec) for name in "abc"}
        fds = {name: stream.child_fd() for name, stream in streams.items()}
        with pytest.MonkeyPatch.context() as patch:
            came = _dies_at(number, share, patch)
            alive = True
            for name, text in SAID:
                os.write(fds[name], text)
                with suppress(Killed):
                    if alive:
                        streams[name].drain()
                alive = not came()
        killed = not alive
        of_first = _descriptors() - before
        second = Capture(root)
        for name in "cab":
            second.store.open(name, spec).drain()
        for line in there(root):
            assert line[:4] in ("a | ", "b | ", "c | "), (number, there(root))
        for name in "abc":
            expected = b"".join(text for who, text in SAID if who == name).decode().splitlines()
            assert [text[25 * dated :] for text in lines(second, name)] == expected, (number, there(root))
        assert not second.problems
        second.close()
        assert parts(second) == []
        first.loop.close()
        for fd in of_first:  # as the kernel does with those of a process that was killed
            with suppress(OSError):
                os.close(fd)
    assert number > 20


def _descriptors() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/fd")}  # noqa: PTH208 - the names alone


CAPTURER = """
import os, sys
from supervisor.adapters.logs.store import LogStore
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.core.model.spec import LogSpec

root, tell_after = sys.argv[1], int(sys.argv[2])
loop = EventLoop()
store = LogStore(loop, root + "/log", root + "/fifo", lambda *_: None)
spec = LogSpec(max_size=200_000, keep=1000, compress=True, path=root + "/var/all.log", path_shared=True)
turns = 0

def output():
    global turns
    turns += 1
    if turns == tell_after:
        os.write(1, b"x")

for name in ("a", "b"):
    store.open(name, spec).on_output = output
loop.run()
"""

WRITER = """
import os, select
i = 0
while i % 500 or not select.select([0], [], [], 0)[0]:
    line = b"%08d %s\\n" % (i, b"x" * (i % 200))
    cut = i * 7 % len(line)
    os.write(1, line[:cut])
    os.write(1, line[cut:])
    i += 1
os.write(1, b"end\\n")
"""


def test_sigkill_in_the_middle_of_two_floods(tmp_path: Path) -> None:
    spec = shared(tmp_path, max_size=200_000, keep=1000)
    first = Capture(tmp_path)
    fds = [first.store.open(name, spec).child_fd() for name in ("a", "b")]
    first.close()
    writers = [subprocess.Popen([sys.executable, "-S", "-c", WRITER], stdin=subprocess.PIPE, stdout=fd) for fd in fds]
    last: Capture | None = None
    try:
        for generation in range(6):
            arguments = [str(tmp_path), str(generation * 3 % 8 + 1)]
            with subprocess.Popen([sys.executable, "-c", CAPTURER, *arguments], stdout=subprocess.PIPE) as capturer:
                try:
                    assert capturer.stdout is not None
                    assert capturer.stdout.read(1) == b"x"
                finally:
                    capturer.kill()
    finally:
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.close()
        last = Capture(tmp_path)
        ended: list[bool] = []

        def listen(stream: Stream) -> None:
            stream.subscribe(lambda lines: ended.append(True) if b"end" in lines else None)

        for name in ("a", "b"):
            listen(last.store.open(name, spec))
        run_until(last.loop, lambda: len(ended) == 2)
        for writer in writers:
            writer.wait()
    for fd in fds:
        os.close(fd)
    for name in ("a", "b"):
        chunk = read(str(last.logs), name, lines=10_000_000, max_bytes=1 << 30)
        found = [text for _, text in chunk.lines]
        assert found == [*(f"{i:08} {'x' * (i % 200)}" for i in range(len(found) - 1)), "end"]
    last.close()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([b"one\n", b"be", b"two\nbe", b"\n", b"3\n4\n"]))))
def test_each_has_its_own_lines(tmp_path_factory: pytest.TempPathFactory, said: list[tuple[str, bytes]]) -> None:
    root = tmp_path_factory.mktemp("shared")
    capture = Capture(root)
    streams = {name: capture.store.open(name, shared(root)) for name in "ab"}
    for name, text in said:
        say(streams[name], text)
    for name, stream in streams.items():
        stream.finish_line()
        everything = b"".join(text for who, text in said if who == name).decode()
        assert lines(capture, name) == everything.splitlines()
    capture.close()
