"""A standard error with a log of its own: kept apart, read together with the rest by time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.adapters.logs.reader import instances, read
from supervisor.adapters.logs.stream import Stream
from tests.adapters.logs.capture import DATED, PLAIN, Capture, numbered, say

APART = replace(PLAIN, stderr="")


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Capture]:
    capture = Capture(tmp_path)
    yield capture
    capture.close()


def errors_of(stream: Stream) -> Stream:
    assert stream.errors is not None
    return stream.errors


def lines(capture: Capture, instance: str = "web", stream: str | None = None) -> list[str]:
    page = read(str(capture.logs), instance, lines=100_000, max_bytes=1 << 28, stream=stream)
    return [text for _, text in page.lines]


def test_each_has_its_files_with_the_same_rotation_and_compression(capture: Capture) -> None:
    stream = capture.store.open("web", replace(APART, max_size=4096, keep=2))
    say(stream, numbered(0, 20))
    say(errors_of(stream), numbered(100, 220))
    assert capture.kept() == numbered(0, 20)
    segments = [name for name, _ in capture.segments("web@stderr")]
    assert segments == ["web@stderr.log.2", "web@stderr.log.1", "web@stderr.log"]
    assert capture.kept("web@stderr").endswith(numbered(140, 220))
    assert instances(str(capture.logs)) == ["web"]


@pytest.mark.parametrize("base", [PLAIN, DATED], ids=["plain", "dated"])
def test_it_is_at_its_path_with_mode(capture: Capture, tmp_path: Path, base: object) -> None:
    place = tmp_path / "var"
    spec = replace(base, stderr=f"{place}/{{instance}}.err", mode=0o604)  # type: ignore[type-var]
    stream = capture.store.open("web@2", spec)  # type: ignore[arg-type]
    say(stream, b"out\n")
    say(errors_of(stream), b"bad\n")
    assert (place / "web@2.err").read_bytes().endswith(b"bad\n")
    assert (place / "web@2.err").stat().st_mode & 0o777 == 0o604
    assert [text[-3:] for text in lines(capture, "web@2")] == ["out", "bad"]


def test_both_are_read_by_time_or_one_alone(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr("supervisor.adapters.logs.writer.time.time", lambda: now[0])
    stream = capture.store.open("web", APART)
    for i in range(20):
        say(errors_of(stream) if i % 3 == 0 else stream, f"{i}\n".encode())
        now[0] += 0.01
    everything = [str(i) for i in range(20)]
    assert lines(capture) == everything
    assert lines(capture, stream="stderr") == everything[::3]
    assert lines(capture, stream="stdout") == [text for text in everything if int(text) % 3]
    page = read(str(capture.logs), "web").page("web")
    assert [line["text"] for line in page["lines"] if line.get("stream") == "stderr"] == everything[::3]
    assert stream.tail(3) == everything[-3:]
    since = read(str(capture.logs), "web", since=1_000_000.095)
    assert [text for _, text in since.lines] == everything[10:]
    assert stream.totals() == (len("".join(everything)) + 20, 0)


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 7), st.integers(8, 60))
def test_pages_in_both_directions_give_each_line_once(
    tmp_path_factory: pytest.TempPathFactory, on_stderr: list[bool], size: int, most: int
) -> None:
    capture = Capture(tmp_path_factory.mktemp("c"))
    now = [1_000_000.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("supervisor.adapters.logs.writer.time.time", lambda: now[0])
        stream = capture.store.open("web", replace(APART, max_size=40, keep=50))
        for i, bad in enumerate(on_stderr):
            say(errors_of(stream) if bad else stream, f"{i:03}\n".encode())
            now[0] += 0.01
    everything = [f"{i:03}" for i in range(len(on_stderr))]
    directory = str(capture.logs)
    forward: list[str] = []
    page = read(directory, "web", after="0:0,0:0", lines=size, max_bytes=most)
    forward += [text for _, text in page.lines]
    while not page.at_end:
        page = read(directory, "web", after=page.last_cursor, lines=size, max_bytes=most)
        forward += [text for _, text in page.lines]
    assert forward == everything
    page = read(directory, "web", lines=size, max_bytes=most)
    end, backward = page.last_cursor, [text for _, text in page.lines]
    while not page.at_end:
        page = read(directory, "web", before=page.first_cursor, lines=size, max_bytes=most)
        backward = [text for _, text in page.lines] + backward
    assert backward == everything
    assert read(directory, "web", after=end).lines == []
    capture.close()


def test_a_cursor_from_before_it_was_apart_goes_on(capture: Capture) -> None:
    stream = capture.store.open("web", PLAIN)
    say(stream, b"one\n")
    cursor = read(str(capture.logs), "web").last_cursor
    stream = capture.store.open("web", APART)
    say(stream, b"two\n")
    say(errors_of(stream), b"three\n")
    assert {text for _, text in read(str(capture.logs), "web", after=cursor).lines} == {"two", "three"}
    with pytest.raises(ValueError, match="not a cursor"):
        read(str(capture.logs), "web", after="1:0,x")


def test_subscribers_and_patterns_hear_both(capture: Capture) -> None:
    stream = capture.store.open("web", APART)
    heard: list[bytes] = []
    sounds: list[int] = []
    end = stream.subscribe(heard.extend, progress=True)
    stream.on_output = lambda: sounds.append(1)
    say(errors_of(stream), b"bad\n10%\r")
    say(stream, b"good\n")
    assert heard == [b"bad", b"10%", b"good"]
    assert len(sounds) == 2
    end()
    say(errors_of(stream), b"unheard\n")
    assert b"unheard" not in heard


def test_what_was_written_while_no_daemon_ran_is_read_whatever_the_plan_says_by_then(capture: Capture) -> None:
    stream = capture.store.open("web", APART)
    out, bad = stream.child_fd(), errors_of(stream).child_fd()
    capture.close()
    os.write(out, b"out\n")
    os.write(bad, b"bad\n")
    capture._open()
    stream = capture.store.open("web", PLAIN)  # no longer apart, but the process still writes there
    stream.drain()
    os.write(bad, b"more\n")
    stream.drain()
    assert capture.kept() == b"out\n"
    assert capture.kept("web@stderr") == b"bad\nmore\n"
    os.close(out)
    os.close(bad)


def test_a_pipe_without_its_name_is_found_through_the_process(capture: Capture) -> None:
    stream = capture.store.open("web", APART)
    out, bad = stream.child_fd(), errors_of(stream).child_fd()
    pid = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}, file_actions=[
        (os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, bad, 2)
    ])  # fmt: skip
    try:
        capture.close()
        os.write(bad, b"bad\n")
        for name in os.listdir(capture.fifos):  # noqa: PTH208
            (capture.fifos / name).unlink()
        capture._open()
        capture.store.reach("web", pid)
        capture.store.open("web", APART).drain()
        assert capture.kept("web@stderr") == b"bad\n"
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(out)
        os.close(bad)


def test_a_removed_instance_leaves_no_pipe(capture: Capture) -> None:
    capture.store.open("web", APART)
    assert sorted(path.name for path in capture.fifos.iterdir()) == ["web", "web@stderr"]
    assert set(capture.store.descriptors()) == {"web", "web@stderr"}
    assert capture.store.open_instances() == ["web"]
    capture.store.remove("web")
    assert list(capture.fifos.iterdir()) == []
    assert not capture.store.descriptors()


def test_without_a_pipe_of_its_own_it_is_with_stdout(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = capture.store.open("web", PLAIN)

    def refused(_dir_fd: int, _name: str) -> int:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("supervisor.adapters.logs.fifo.open_fifo", refused)
        assert capture.store.open("web", APART) is stream
    assert stream.errors is None
    told = "its stderr is kept with its stdout until it starts again: web@stderr: no pipe for its output"
    assert capture.problems == [("web", f"{told}: Too many open files")]
    assert capture.store.open("web", APART).errors is not None, "the next start tries again"
