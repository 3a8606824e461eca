"""Short-lived children: their output, their errors, their time limit and their process group."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.processes.child_command import WHOLE, ChildCommand, CommandResult
from tests.doubles.fakes import run_until


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    found = EventLoop()
    yield found
    found.close()


def run(loop: EventLoop, code: str, **options: Any) -> CommandResult:
    """What became of `python -c CODE`."""
    outcomes: list[CommandResult] = []
    ChildCommand(loop, [sys.executable, "-c", code], outcomes.append, **{"timeout": 60.0} | options)
    run_until(loop, lambda: bool(outcomes), 90.0)
    return outcomes[0]


def test_output_and_errors_are_one_unless_wanted_apart(loop: EventLoop) -> None:
    code = "import os; os.write(1, b'out\\n'); os.write(2, b'err\\n')"
    assert run(loop, code)[:4] == (0, None, False, b"out\nerr\n")
    assert run(loop, code, errors_apart=True) == CommandResult(0, None, False, b"out\n", b"err\n")


def test_more_than_a_pipe_holds_is_kept_whole_if_that_is_wanted(loop: EventLoop) -> None:
    code = "import sys; sys.stdout.write('a' * 500_000 + 'end'); sys.stderr.write('b' * 500_000); sys.exit(3)"
    found = run(loop, code, keep=WHOLE, errors_apart=True)
    assert (len(found.output), len(found.errors), found.exit_code) == (500_003, 500_000, 3)
    assert found.ending == "exit code 3"
    assert run(loop, code, keep=4, errors_apart=True).output == b"aend"


def test_who_takes_too_long_is_killed_with_its_group(loop: EventLoop, tmp_path: Path) -> None:
    fifo = tmp_path / "held"
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    code = f"import os, signal; f = open({str(fifo)!r}, 'w'); os.fork(); print('here', flush=True); signal.pause()"
    found = run(loop, code, timeout=2.0)
    assert (found.timed_out, found.ending) == (True, "killed by signal 9")
    os.close(os.open(fifo, os.O_WRONLY))  # its end is read, also where the time was over before the child had opened it
    ended: list[bytes] = []
    loop.register(held, lambda _events: ended.append(os.read(held, 1)))
    run_until(loop, lambda: bool(ended))
    loop.unregister(held)
    os.close(held)


def test_what_cannot_be_started_leaves_nothing_open(loop: EventLoop) -> None:
    before = _open_descriptors()
    with pytest.raises(FileNotFoundError):
        ChildCommand(loop, ["/nowhere/program"], lambda _outcome: None, timeout=1.0, errors_apart=True)
    assert _open_descriptors() == before


def test_nobody_knows_the_end_of_a_child_that_somebody_else_reaped() -> None:
    assert CommandResult(None, None, False, b"").ending == "exit status unknown"


def _open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}
