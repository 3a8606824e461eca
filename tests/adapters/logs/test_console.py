"""Lines of services on the daemon's stdout, whatever becomes of its reader."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.eventloop.outlet import Outlet
from supervisor.adapters.logs import console as module
from supervisor.adapters.logs.console import Console
from supervisor.core.model.spec import ConsoleMode, LogSpec
from tests.adapters.logs.capture import Capture, numbered, say

NAMED = LogSpec(compress=False, console=ConsoleMode.NAMED)


class Stdout:
    """A console on one end of a pipe, and the other end."""

    def __init__(self, loop: EventLoop, *, apart: bool = False) -> None:
        self.problems: list[str] = []
        self.reader, self.fd = os.pipe()
        self.loop = loop
        self.console = Console(loop, lambda: Outlet(self.fd, apart=apart), self.problems.append)

    def read(self, length: int) -> bytes:
        """As much as that, while the loop of the daemon runs."""
        os.set_blocking(self.reader, False)
        found = b""
        while len(found) < length:
            try:
                found += os.read(self.reader, length - len(found))
            except BlockingIOError:
                self.loop.call_at(self.loop.now() + 0.001, lambda: None)
                self.loop.turn()
        return found


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop()
    yield loop
    loop.close()


def test_lines_come_whole_behind_the_name_or_as_they_are(tmp_path: Path) -> None:
    capture = Capture(tmp_path)
    out = Stdout(capture.loop)
    capture.store._console = out.console
    web = capture.store.open("web@2", NAMED)
    say(web, b"one\ntwo\nthr")
    assert out.read(24) == b"web@2 | one\nweb@2 | two\n"
    say(web, b"ee\n")
    assert out.read(14) == b"web@2 | three\n"
    capture.store.open("web@2", LogSpec(compress=False, console=ConsoleMode.RAW))
    say(web, b'{"a":1}\nrest')
    assert out.read(8) == b'{"a":1}\n'
    web.finish_line()
    assert out.read(5) == b"rest\n"
    capture.store.open("web@2", LogSpec(compress=False))
    say(web, b"quiet\n")
    capture.store.open("web@2", NAMED)
    say(web, b"loud\n")
    assert out.read(13) == b"web@2 | loud\n"
    assert capture.kept("web@2") == b'one\ntwo\nthree\n{"a":1}\nrest\nquiet\nloud\n'
    capture.close()


@pytest.mark.parametrize("apart", [False, True])
def test_a_reader_that_stands_still_blocks_nothing_and_loses_only_whole_lines(tmp_path: Path, apart: bool) -> None:
    capture = Capture(tmp_path)
    out = Stdout(capture.loop, apart=apart)
    capture.store._console = out.console
    web = capture.store.open("web", NAMED)
    text = numbered(0, 60_000)  # 6 MB
    say(web, text)
    assert capture.kept() == text
    assert out.problems == [
        "stdout is not read fast enough: lines of services are left out there, their logs have them"
    ]
    lines = out.read((60_000 - out.console._lost) * 106).splitlines(keepends=True)
    assert out.console._lost > 0
    assert all(line.startswith(b"web | 0") and len(line) == 106 for line in lines), "no line is torn"
    capture.close()


def test_the_end_of_a_loss_is_told_with_its_number(loop: EventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_KEPT", 1000)
    monkeypatch.setattr(module, "_QUIET", 0.0)
    out = Stdout(loop)
    os.set_blocking(out.fd, False)
    stuffed = 0
    with pytest.raises(BlockingIOError):
        while True:
            stuffed += os.write(out.fd, b"x" * 4096)
    print_line = out.console.printer("a", raw=False)
    for i in range(300):
        print_line([b"%05d" % i])  # 10 bytes each
    assert len(out.problems) == 1
    out.read(stuffed)
    assert out.read(1000) == b"".join(b"a | %05d\n" % i for i in range(100))
    loop.call_at(loop.now(), lambda: None)
    loop.turn()
    assert out.problems[1:] == ["stdout is written again; 200 lines of services were left out there"]
    print_line([b"again"])
    assert out.read(10) == b"a | again\n"


def test_a_reader_that_is_gone_is_told_once_and_stdout_is_tried_again(
    loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RETRY", 0.0)
    monkeypatch.setattr(module, "_QUIET", 0.0)
    out = Stdout(loop)
    os.close(out.reader)
    print_line = out.console.printer("a", raw=True)
    print_line([b"1", b"2"])
    print_line([b"3"])
    assert out.problems == [
        "stdout cannot be written (Broken pipe): lines of services are left out there, their logs have them"
    ]
    out.reader, out.fd = os.pipe()
    print_line([b"4"])
    assert out.read(2) == b"4\n"
    assert out.problems[1:] == ["stdout is written again; 3 lines of services were left out there"]


def test_a_full_disk_is_not_tried_again_at_once(loop: EventLoop) -> None:
    out = Stdout(loop)
    out.fd = os.open("/dev/full", os.O_WRONLY)
    for _ in range(3):
        out.console.printer("a", raw=True)([b"1"])
    assert len(out.problems) == 1
    assert "No space left on device" in out.problems[0]
    assert out.console._lost == 3


def test_a_socket_as_journald_gives_it(loop: EventLoop) -> None:
    ours, journal = socket.socketpair()
    with ours, journal:
        console = Console(loop, lambda: Outlet(ours.fileno()), pytest.fail)
        console.printer("a", raw=False)([b"1"])
        assert journal.recv(100) == b"a | 1\n"
        assert ours.getblocking()


def test_the_shared_description_stays_blocking(loop: EventLoop) -> None:
    out = Stdout(loop)
    out.console.printer("a", raw=True)([b"1"])
    assert os.get_blocking(out.fd), "the shell has the same description"


@pytest.mark.parametrize("apart", [False, True])
def test_what_waits_is_printed_at_the_end(loop: EventLoop, apart: bool) -> None:
    out = Stdout(loop, apart=apart)
    text = numbered(0, 500)  # the pipe has room for it
    out.console.printer("a", raw=True)(text[:-1].split(b"\n"))
    out.console.close(10.0)
    assert os.read(out.reader, 65536) == text
