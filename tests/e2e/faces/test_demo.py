"""`supervisor demo`: what it shows, and that it leaves nothing behind, however it ends."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

from supervisor.adapters.linux import procfs
from supervisor.client import Client
from tests.e2e.conftest import PATIENCE

DAEMON = re.compile(r"The example runs in (\S+);")
PAGE = re.compile(r"Its page for browsers: (\S+)")
NORMAL_SCREEN = "\x1b[?1049l"
"""Leaves the alternate screen of a terminal."""


class Demo:
    """A demo in `place`, with what it has printed so far."""

    def __init__(self, place: Path, *arguments: str, terminal: int | None = None) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SUPERVISOR_", "COVERAGE", "NO_COLOR"))}
        self.place, self.said = place, ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "supervisor", "demo", *arguments],
            env=kept | {"TMPDIR": str(place), "HANGS_AFTER": "0.5", "TERM": "xterm-256color"},
            stdin=subprocess.DEVNULL if terminal is None else terminal,
            stdout=subprocess.PIPE if terminal is None else terminal,
            stderr=subprocess.STDOUT if terminal is None else terminal,
            start_new_session=True,
        )

    def until(self, text: str, source: IO[bytes] | int | None = None) -> str:
        """What was printed up to here, once `text` is in it."""
        source = self.process.stdout if source is None else source
        assert source is not None
        number = source if isinstance(source, int) else source.fileno()
        while text not in self.said:
            assert select.select([number], [], [], PATIENCE)[0], self.said
            read = os.read(number, 65536)
            assert read, self.said
            self.said += read.decode(errors="replace")
        return self.said

    def rest(self) -> str:
        assert self.process.stdout is not None
        return self.said + self.process.stdout.read().decode()

    def left(self) -> list[str]:
        """Files, and command lines of processes that run in the folder or were started from it."""
        processes = []
        for process in Path("/proc").glob("[1-9]*"):
            line = (procfs.read(str(process / "cmdline")) or b"").replace(b"\0", b" ").decode(errors="replace")
            with suppress(OSError):
                if str(self.place) in line or str((process / "cwd").readlink()).startswith(str(self.place)):
                    processes.append(line)
        return [*processes, *map(str, self.place.iterdir())]


Start = Callable[..., Demo]


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    made: list[Demo] = []

    def one(*arguments: str, terminal: int | None = None) -> Demo:
        made.append(Demo(tmp_path_factory.mktemp("d"), *arguments, terminal=terminal))
        return made[-1]

    yield one
    for demo in made:
        if demo.process.poll() is None:
            demo.process.terminate()
            demo.process.wait(PATIENCE)


def test_two_at_once_tell_their_stories_and_leave_nothing(start: Start) -> None:
    demos = (start(), start())
    pages = set()
    for demo in demos:
        demo.until("moody hangs at moody.py:31 in work()  (supervisor why moody)")
        demo.until("fallback for a service that failed")
        pages.add(PAGE.findall(demo.until("worker run 1        starting → running")).pop())
    assert len(pages) == 2
    for demo, number in zip(demos, (signal.SIGTERM, signal.SIGINT), strict=True):
        demo.process.send_signal(number)
    for demo in demos:
        said = demo.rest()
        assert demo.process.wait(PATIENCE) == 0, said
        assert "all services stopped, daemon ended" in said
        assert re.search(r"^moody +\S+ %  +[1-9]", said, re.M), "the report has its failures"
        assert demo.left() == []


def test_it_ends_by_itself_with_a_report(start: Start) -> None:
    demo = start("--for", "1s")
    said = demo.rest()
    assert demo.process.wait(PATIENCE) == 0, said
    assert "What failed and was healed:" in said
    assert "supervisor init --from" in said
    assert demo.left() == []


def test_services_of_a_daemon_that_was_killed_are_stopped(start: Start) -> None:
    demo = start()
    folder = DAEMON.findall(demo.until("moody run 1         starting → running"))[0]
    os.kill(Client(f"{folder}/run/control.sock").daemon_pid(), signal.SIGKILL)
    said = demo.rest()
    assert demo.process.wait(PATIENCE) == 0, said
    assert "no daemon answers; stopping what still runs" in said
    assert demo.left() == []


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal of 100 columns and 40 rows; a test may close them."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    yield ours, its
    for end in (ours, its):
        with suppress(OSError):
            os.close(end)


def test_a_terminal_shows_the_dashboard_and_is_put_back_at_a_signal(start: Start, terminal: tuple[int, int]) -> None:
    ours, its = terminal
    demo = start(terminal=its)
    demo.until("moody", ours)
    demo.process.send_signal(signal.SIGTERM)
    said = demo.until("supervisor init --from", ours)
    assert demo.process.wait(PATIENCE) == 0, said
    assert NORMAL_SCREEN in said
    assert demo.left() == []


def test_a_terminal_that_is_closed_ends_everything(start: Start, terminal: tuple[int, int]) -> None:
    ours, its = terminal
    demo = start(terminal=its)
    os.close(its)
    demo.until("moody", ours)
    os.close(ours)
    demo.process.send_signal(signal.SIGHUP)  # the kernel sends it to those that the terminal controls
    demo.process.wait(PATIENCE)
    assert demo.left() == []
