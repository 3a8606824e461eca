"""Reading logs back: by count, by cursor, by time, across rotated and compressed files."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.adapters.logs import time_index as logindex
from supervisor.adapters.logs.gzip_members import GzipText, members
from supervisor.adapters.logs.reader import Chunk, instances, read
from supervisor.core.model.spec import LogSpec
from tests.adapters.logs.capture import PLAIN, Capture, numbered, say
from tests.doubles.fakes import run_until


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Capture]:
    it = Capture(tmp_path)
    yield it
    it.close()


def texts(chunk: Chunk) -> list[str]:
    return [text for _, text in chunk.lines]


def numbers(chunk: Chunk) -> list[int]:
    return [int(text[:8]) for text in texts(chunk)]


def filled(capture: Capture, last: int, max_size: int = 3000, compress: bool = False) -> str:
    """Lines 0 … last - 1 in many files; the directory."""
    stream = capture.store.open("web", LogSpec(max_size=max_size, keep=100, compress=compress))
    say(stream, numbered(0, last))
    run_until(capture.loop, lambda: not capture.store._compressor._busy)
    return str(capture.logs)


@pytest.mark.parametrize("compress", [False, True])
def test_the_last_lines_over_several_files(capture: Capture, compress: bool) -> None:
    where = filled(capture, 200, compress=compress)
    assert numbers(read(where, "web", lines=100)) == list(range(100, 200))
    everything = read(where, "web")
    assert numbers(everything) == list(range(200)) and everything.at_end
    assert not read(where, "web", lines=100).at_end


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("max_bytes", [150, 1000, 7777])
def test_paging_backward_and_forward_sees_each_line_once(capture: Capture, compress: bool, max_bytes: int) -> None:
    where = filled(capture, 100, compress=compress)
    pages: list[list[int]] = []
    cursor = None
    while True:
        page = read(where, "web", before=cursor, max_bytes=max_bytes)
        pages.insert(0, numbers(page))
        if page.at_end:
            break
        cursor = page.first_cursor
    assert [n for page in pages for n in page] == list(range(100))
    forward: list[int] = []
    cursor = page.first_cursor
    while True:
        page = read(where, "web", after=cursor, max_bytes=max_bytes)
        forward += numbers(page)
        cursor = page.last_cursor
        if page.at_end:
            break
    assert forward == list(range(100))


def test_lines_limits_in_both_directions(capture: Capture) -> None:
    where = filled(capture, 100)
    newest = read(where, "web", lines=3)
    assert numbers(newest) == [97, 98, 99]
    assert numbers(read(where, "web", lines=4, before=newest.first_cursor)) == [93, 94, 95, 96]
    oldest = read(where, "web", after="0:0", lines=2)
    assert numbers(oldest) == [0, 1] and not oldest.at_end
    assert numbers(read(where, "web", after=oldest.last_cursor, lines=2)) == [2, 3]


def test_a_cursor_survives_rotation_and_compression(capture: Capture) -> None:
    stream = capture.store.open("web", LogSpec(max_size=3000, keep=100, compress=True))
    say(stream, numbered(0, 20))
    cursor = read(str(capture.logs), "web").last_cursor
    say(stream, numbered(20, 200))
    run_until(capture.loop, lambda: list(capture.logs.glob("*.5.gz")) and not capture.store._compressor._busy)
    assert numbers(read(str(capture.logs), "web", after=cursor)) == list(range(20, 200))
    assert numbers(read(str(capture.logs), "web", before=cursor)) == list(range(20))


def test_a_cursor_into_what_is_gone_leads_to_the_oldest_that_is_left(capture: Capture) -> None:
    stream = capture.store.open("web", LogSpec(max_size=1000, keep=2, compress=False))
    say(stream, numbered(0, 5))
    cursor = read(str(capture.logs), "web").last_cursor
    say(stream, numbered(5, 95))
    assert numbers(read(str(capture.logs), "web", after=cursor))[0] == 70
    assert texts(read(str(capture.logs), "web", before=cursor)) == []
    future = read(str(capture.logs), "web", after="999:12")
    assert texts(future) == [] and future.at_end


def test_following_gives_each_line_once_and_no_unfinished_one(capture: Capture) -> None:
    stream = capture.store.open("web", LogSpec(max_size=1000, keep=50, compress=False))
    where = str(capture.logs)
    cursor, seen = read(where, "web").last_cursor, []
    text = numbered(0, 50)
    for i in range(0, len(text), 130):
        say(stream, text[i : i + 130])
        chunk = read(where, "web", after=cursor)
        seen += numbers(chunk)
        cursor = chunk.last_cursor
    assert seen == list(range(50))


def test_an_unfinished_line_is_there_for_who_asks(capture: Capture) -> None:
    say(capture.store.open("web", PLAIN), b"whole\nbegun")
    where = str(capture.logs)
    assert texts(read(where, "web")) == ["whole"]
    assert texts(read(where, "web", unfinished=True)) == ["whole", "begun"]
    assert texts(read(where, "web", after="0:0", unfinished=True)) == ["whole", "begun"]


def test_times_and_since(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("supervisor.adapters.logs.writer.time.time", lambda: now)
    stream = capture.store.open("web", LogSpec(max_size=1000, keep=100, compress=False))
    for i in range(50):
        now += 1.0
        say(stream, numbered(i, i + 1))
    where = str(capture.logs)
    everything = read(where, "web")
    assert everything.lines == [(1_000_001.0 + i, line) for i, line in enumerate(texts(everything))]
    assert numbers(everything) == list(range(50))
    for since in (0.0, 1_000_001.0, 1_000_017.5, 1_000_031.0, 1_000_050.0, 1_000_051.0):
        expected = [i for i in range(50) if 1_000_001.0 + i >= since]
        assert numbers(read(where, "web", since=since)) == expected
        assert numbers(read(where, "web", since=since, lines=7)) == expected[-7:]
    assert numbers(read(where, "web", since=1_000_031.0, before=everything.last_cursor)) == list(range(30, 50))


def test_within_a_tenth_of_a_second_there_is_one_record(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("supervisor.adapters.logs.writer.time.time", lambda: now)
    stream = capture.store.open("web", PLAIN)
    for _ in range(100):
        say(stream, b"x\n")
        now += 0.01
    assert (capture.logs / "web.log.idx").stat().st_size <= 16 * (1 + 11)


def test_a_clock_that_is_set_back_breaks_nothing(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("supervisor.adapters.logs.writer.time.time", lambda: now)
    stream = capture.store.open("web", PLAIN)
    for step in (1.0, 1.0, -3600.0, 1.0):
        now += step
        say(stream, b"x\n")
    assert [at for at, _ in read(str(capture.logs), "web").lines] == [1_000_001.0, 1_000_002.0, 996_402.0, 996_403.0]


def test_a_line_longer_than_the_allowance_comes_in_pieces(capture: Capture) -> None:
    say(capture.store.open("web", PLAIN), b"short\n" + b"x" * 2500 + b"\nlast\n")
    where = str(capture.logs)
    pieces: list[str] = []
    cursor: str | None = "0:0"
    while True:
        chunk = read(where, "web", after=cursor, max_bytes=1000)
        pieces += texts(chunk)
        cursor = chunk.last_cursor
        if chunk.at_end:
            break
    assert pieces[0] == "short" and pieces[-1] == "last" and "".join(pieces[1:-1]) == "x" * 2500
    pieces, cursor = [], None
    while True:
        chunk = read(where, "web", before=cursor, max_bytes=1000)
        pieces[:0] = texts(chunk)
        cursor = chunk.first_cursor
        if chunk.at_end:
            break
    assert pieces[0] == "short" and pieces[-1] == "last" and "".join(pieces[1:-1]) == "x" * 2500


def test_bytes_that_are_no_text_are_shown_as_such(capture: Capture) -> None:
    say(capture.store.open("web", PLAIN), b"\xff\x00\r\n\n\xe2\x82\xac\n")
    assert texts(read(str(capture.logs), "web")) == ["\ufffd\x00\r", "", "€"]


def test_nothing_there(tmp_path: Path) -> None:
    empty = Chunk([], "0:0", "0:0", True)
    assert read(str(tmp_path / "nowhere"), "web") == empty
    assert read(str(tmp_path), "web", after="3:4") == empty
    (tmp_path / "web.log").touch()
    chunk = read(str(tmp_path), "web", since=5.0)
    assert chunk.lines == [] and chunk.at_end


@pytest.mark.parametrize("cursor", ["", "x", "1", "1:", ":1", "-1:0", "1:-1", "1:2:3", "１:２"])
def test_what_is_no_cursor(tmp_path: Path, cursor: str) -> None:
    (tmp_path / "web.log").write_text("line\n")
    with pytest.raises(ValueError, match="not a cursor"):
        read(str(tmp_path), "web", before=cursor)
    with pytest.raises(ValueError, match="not a cursor"):
        read(str(tmp_path), "web", after=cursor)


@pytest.mark.parametrize("damage", ["gone", "empty", "garbage"])
def test_lost_indexes_cost_times_and_nothing_else(capture: Capture, damage: str) -> None:
    where = filled(capture, 200)
    for index in capture.logs.glob("*.idx"):
        if damage == "gone":
            index.unlink()
        else:
            index.write_bytes(b"" if damage == "empty" else b"garbage" * 9)
    chunk = read(where, "web")
    assert numbers(chunk) == list(range(200))
    capture.again()
    stream = capture.store.open("web", LogSpec(max_size=3000, keep=100, compress=False))
    say(stream, numbered(200, 300))
    assert numbers(read(where, "web"))[-100:] == list(range(200, 300))


def test_a_torn_or_strange_gzip_file_is_read_as_far_as_it_goes(capture: Capture) -> None:
    where = filled(capture, 40, compress=True)
    (capture.logs / "web.log.2.gz").write_bytes(gzip.compress(b"by somebody else\n"))
    packed = (capture.logs / "web.log.1.gz").read_bytes()
    assert numbers(read(where, "web")) == list(range(40 - len(read(where, "web").lines), 40))
    (capture.logs / "web.log.1.gz").write_bytes(packed[:-20])
    assert numbers(read(where, "web"))[-1] == 39


def test_while_files_move_a_reader_sees_none_twice(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = capture.store.open("web", LogSpec(max_size=1000, keep=50, compress=False))
    say(stream, numbered(0, 35))
    real = os.open
    opened: list[str] = []

    def rotating_open(path: str, *args: object, **kwargs: object) -> int:
        fd = real(path, *args, **kwargs)  # type: ignore[arg-type]
        if path == "web.log.1" and not opened:
            opened.append(path)
            say(stream, numbered(35, 55))
        return fd

    monkeypatch.setattr(os, "open", rotating_open)
    found = numbers(read(str(capture.logs), "web"))
    assert found == sorted(set(found)) and found[0] == 0 and found[-1] == 34


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=2000), st.lists(st.tuples(st.integers(0, 2100), st.integers(0, 2100)), max_size=5))
def test_gzip_text_reads_like_the_plain_file(content: bytes, ranges: list[tuple[int, int]]) -> None:
    plain, packed = os.memfd_create("plain"), os.memfd_create("packed")
    try:
        os.write(plain, content)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("supervisor.adapters.logs.gzip_members._MEMBER", 100)
            whole = b"".join(members(plain))
        os.write(packed, whole)
        text = GzipText(packed)
        assert text.size == len(content)
        assert gzip.decompress(whole) == content if content else whole == b""
        for length, offset in ranges:
            assert text.read(length, offset) == content[offset : offset + length]
    finally:
        os.close(plain)
        os.close(packed)


def test_index_finds_by_offset_and_by_time() -> None:
    fd = os.memfd_create("index")
    try:
        assert logindex.sequence(fd) is None
        end = logindex.begin(fd, 7)
        for i in range(10):
            end = logindex.append(fd, end, 100.0 + i, 10 * i)
        assert logindex.sequence(fd) == 7 and logindex.end_of(fd) == end
        assert list(logindex.governing(fd, 25, 40)) == [(102.0, 20), (103.0, 30), (104.0, 40)]
        assert list(logindex.governing(fd, 95, 1000)) == [(109.0, 90)]
        assert logindex.offset_since(fd, 104.5) == 50 and logindex.offset_since(fd, 200.0) is None
    finally:
        os.close(fd)


def test_which_instances_have_a_log(tmp_path: Path) -> None:
    for name in ("web@1.log", "web@1.log.1.gz", "web@1.log.idx", "db.log.at"):
        (tmp_path / name).touch()
    assert instances(str(tmp_path)) == ["db", "web@1"]
