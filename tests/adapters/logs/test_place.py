"""Logs at a path of their own: rotated and read as all others, given to others, and safe from them."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.adapters.linux.mounts import MountTable
from supervisor.adapters.logs import store as module
from supervisor.adapters.logs.reader import read
from supervisor.core.model.spec import LogSpec
from tests.adapters.logs.capture import DATED, PLAIN, Capture, numbered, say, undated

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to others")


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Capture]:
    capture = Capture(tmp_path)
    yield capture
    capture.close()


def at(place: Path, name: str = "app-{instance}.log", base: LogSpec = PLAIN, **more: object) -> LogSpec:
    return replace(base, path=f"{place}/{name}", **more)  # type: ignore[arg-type]


def lines(capture: Capture, instance: str = "web") -> list[str]:
    return [text for _, text in read(str(capture.logs), instance, lines=1_000_000, max_bytes=1 << 30).lines]


def test_it_is_written_rotated_compressed_and_read_there(capture: Capture, tmp_path: Path) -> None:
    place = tmp_path / "var" / "log"
    stream = capture.store.open("web@2", at(place, max_size=4096, keep=3, compress=True, mode=0o604))
    say(stream, numbered(0, 100))
    while (place / "app-web@2.log.1").exists():
        capture.loop.turn()
    assert sorted(f.name for f in place.glob("*") if f.suffix != ".idx") == [
        "app-web@2.log",
        "app-web@2.log.1.gz",
        "app-web@2.log.2.gz",
    ]
    assert {f.stat().st_mode & 0o777 for f in place.glob("*") if f.suffix != ".idx"} == {0o604}
    assert lines(capture, "web@2") == numbered(0, 100).decode().splitlines()
    assert stream.tail(1) == [numbered(99, 100).decode().rstrip()]
    assert not list(capture.logs.glob("*.log"))


@needs_root
def test_owner_and_group_hold_through_rotations(capture: Capture, tmp_path: Path) -> None:
    spec = at(tmp_path / "x", max_size=4096, compress=True, owner=4242, group=4343)
    say(capture.store.open("web", spec), numbered(0, 100))
    while (tmp_path / "x" / "app-web.log.1").exists():
        capture.loop.turn()
    kept = [f for f in (tmp_path / "x").glob("*") if f.suffix != ".idx"]
    assert len(kept) == 3
    assert {(f.stat().st_uid, f.stat().st_gid) for f in kept} == {(4242, 4343)}


def test_a_change_takes_effect_at_once_and_cursors_go_on(capture: Capture, tmp_path: Path) -> None:
    stream = capture.store.open("web", PLAIN)
    say(stream, b"old\n")
    cursor = read(str(capture.logs), "web").last_cursor
    capture.store.open("web", at(tmp_path / "x"))
    say(stream, b"new\n")
    assert (tmp_path / "x" / "app-web.log").read_bytes() == b"new\n"
    assert lines(capture) == ["new"]
    assert [text for _, text in read(str(capture.logs), "web", after=cursor).lines] == ["new"]
    capture.store.open("web", PLAIN)
    say(stream, b"back\n")
    assert lines(capture) == ["old", "back"]


def test_another_daemon_goes_on_there(capture: Capture, tmp_path: Path) -> None:
    spec = at(tmp_path / "x", base=DATED)
    say(capture.store.open("web", spec), b"one\n")
    capture.again()
    assert lines(capture)[0].endswith("one"), "readers need no daemon"
    say(capture.store.open("web", spec), b"two\n")
    assert undated((tmp_path / "x" / "app-web.log").read_bytes()) == b"one\ntwo\n"


def test_a_directory_that_is_removed_is_made_again(capture: Capture, tmp_path: Path) -> None:
    stream = capture.store.open("web", at(tmp_path / "x"))
    say(stream, b"one\n")
    for file in (tmp_path / "x").iterdir():
        file.unlink()
    (tmp_path / "x").rmdir()
    say(stream, b"two\n")
    assert (tmp_path / "x" / "app-web.log").read_bytes() == b"two\n"
    assert not capture.problems


# -- what others can do there ---------------------------------------------------------------------------------------


def _link(place: Path, victim: Path) -> None:
    (place / "app-web.log").symlink_to(victim)


def _hard_link(place: Path, victim: Path) -> None:
    (place / "app-web.log").hardlink_to(victim)


def _fifo(place: Path, victim: Path) -> None:
    os.mkfifo(place / "app-web.log")


def _for_all(place: Path, victim: Path) -> None:
    place.chmod(0o1777)


def _for_a_group(place: Path, victim: Path) -> None:
    os.chown(place, -1, 4343)
    place.chmod(0o770)


@pytest.mark.parametrize(
    "trap", [_link, _hard_link, _fifo, _for_all, pytest.param(_for_a_group, marks=needs_root)], ids=lambda f: f.__name__
)
def test_what_is_not_safe_is_not_written_and_nothing_is_lost(capture: Capture, tmp_path: Path, trap: object) -> None:
    place, victim = tmp_path / "x", tmp_path / "victim"
    place.mkdir()
    victim.write_bytes(b"precious")
    victim.chmod(0o600)
    trap(place, victim)  # type: ignore[operator]
    say(capture.store.open("web", at(place, mode=0o666)), b"one\n")
    assert victim.read_bytes() == b"precious"
    assert victim.stat().st_mode & 0o777 == 0o600
    assert lines(capture) == ["one"]
    assert capture.kept() == b"one\n"
    assert len(capture.problems) == 1
    assert "is kept in" in capture.problems[0][1]


def test_a_file_system_that_may_not_answer_is_not_touched(
    capture: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / {tmp_path}/nfs rw - nfs4 x rw\n")
    found = MountTable(str(table))
    monkeypatch.setattr(module, "mounts", lambda: found)
    say(capture.store.open("web", at(tmp_path / "nfs" / "logs")), b"one\n")
    assert not (tmp_path / "nfs").exists()
    assert lines(capture) == ["one"]
    assert "may not answer" in capture.problems[0][1]


# -- rotation by another program ------------------------------------------------------------------------------------


def test_a_file_that_is_moved_away_is_opened_anew_and_its_times_go_with_it(capture: Capture, tmp_path: Path) -> None:
    stream = capture.store.open("web", at(tmp_path, "web.log"))
    log = tmp_path / "web.log"
    for i in range(3):
        say(stream, b"%d\n" % i)
        cursor = read(str(capture.logs), "web").last_cursor
        for k in range(i, 0, -1):
            log.with_name(f"web.log.{k}").rename(log.with_name(f"web.log.{k + 1}"))
        log.rename(log.with_name("web.log.1"))
        if i == 1:
            log.touch(0o600)  # as `create` of logrotate does
        say(stream, b"%d again\n" % i)
        assert log.read_bytes() == b"%d again\n" % i
        assert [text for _, text in read(str(capture.logs), "web", after=cursor).lines] == [f"{i} again"]
    chunk = read(str(capture.logs), "web", lines=100)
    assert [text for _, text in chunk.lines] == ["0", "0 again", "1", "1 again", "2", "2 again"]
    times = [time for time, _ in chunk.lines]
    assert None not in times
    assert times == sorted(times)  # type: ignore[type-var]


def test_a_file_that_is_moved_while_no_daemon_runs(capture: Capture, tmp_path: Path) -> None:
    spec = at(tmp_path, "web.log")
    say(capture.store.open("web", spec), b"one\n")
    capture.close()
    (tmp_path / "web.log").rename(tmp_path / "web.log.1")
    capture._open()
    cursor = read(str(capture.logs), "web").last_cursor
    say(capture.store.open("web", spec), b"two\n")
    assert lines(capture) == ["one", "two"]
    assert [text for _, text in read(str(capture.logs), "web", after=cursor).lines] == ["two"]


def test_a_file_that_is_copied_and_truncated(capture: Capture, tmp_path: Path) -> None:
    stream = capture.store.open("web", at(tmp_path, "web.log"))
    log = tmp_path / "web.log"
    say(stream, numbered(0, 50))
    cursor = read(str(capture.logs), "web").last_cursor
    (tmp_path / "web.log.1").write_bytes(log.read_bytes())
    os.truncate(log, 0)
    say(stream, numbered(50, 150))
    assert log.read_bytes() == numbered(50, 150), "it begins at the beginning, without a hole"
    assert [text for _, text in read(str(capture.logs), "web", after=cursor).lines] == (
        numbered(50, 150).decode().splitlines()
    )
    assert lines(capture) == numbered(0, 150).decode().splitlines()


def test_files_of_another_rotation_stay_as_they_are(capture: Capture, tmp_path: Path) -> None:
    spec = at(tmp_path, "web.log", LogSpec(max_size=4096, keep=1), rotate=False)
    for k in (1, 2, 3):
        (tmp_path / f"web.log.{k}").write_bytes(b"%d\n" % k)
    (tmp_path / "web.log.1.gz").write_bytes(b"begun")
    say(capture.store.open("web", spec), numbered(0, 100))
    capture.again()
    capture.store.open("web", spec)
    assert (tmp_path / "web.log").read_bytes() == numbered(0, 100)
    assert sorted(f.name for f in tmp_path.glob("web.log.[0-9]*")) == [
        "web.log.1",
        "web.log.1.gz",
        "web.log.2",
        "web.log.3",
    ]


def test_logs_that_another_program_compressed_are_left_out(capture: Capture, tmp_path: Path) -> None:
    stream = capture.store.open("web", at(tmp_path, "web.log"))
    say(stream, b"one\n")
    (tmp_path / "web.log").unlink()
    (tmp_path / "web.log.1.gz").write_bytes(gzip.compress(b"one\n"))
    say(stream, b"two\n")
    assert lines(capture) == ["two"]
