"""What real processes do with signals: catch, ignore, block and read them, or nothing of that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from supervisor.adapters.linux.signal_masks import signal_masks
from supervisor.core.services.signal_guard import consequence

HANDLES = {
    "caught": "signal.signal(1, lambda *_: None)",
    "ignored": "signal.signal(1, signal.SIG_IGN)",
    "read from a descriptor": "signal.pthread_sigmask(signal.SIG_BLOCK, {1})",
    "waited for": "signal.pthread_sigmask(signal.SIG_BLOCK, {1}); say(); signal.sigwait({1})",
    "waited for by one thread": (
        "signal.pthread_sigmask(signal.SIG_BLOCK, {1});"
        " threading.Thread(target=signal.sigwait, args=({1},), daemon=True).start()"
    ),
}
DOES_NOT = {
    "nothing done": "pass",
    "another caught": "signal.signal(10, lambda *_: None)",
    "blocked in one thread": (
        "began = threading.Event();"
        " go = lambda: (signal.pthread_sigmask(signal.SIG_BLOCK, {1}), began.set(), time.sleep(1000));"
        " threading.Thread(target=go, daemon=True).start(); began.wait()"
    ),
}
Run = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def run() -> Iterator[Run]:
    """Runs a line of Python, which has been executed, or has called `say`, when this returns."""
    started: list[subprocess.Popen[bytes]] = []

    def start(line: str) -> subprocess.Popen[bytes]:
        code = f"import signal, threading, time\ndef say(): print(flush=True)\n{line}\nsay()\ntime.sleep(1000)"
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for(pid: int, effect: str) -> None:
    """Until the masks say that: a thread that has just begun to wait is seen a moment later."""
    while (masks := signal_masks(pid)) is None or consequence(signal.SIGHUP, masks) != effect:
        os.sched_yield()


@pytest.mark.parametrize("how", HANDLES)
def test_a_signal_that_is_handled_has_no_consequence(run: Run, how: str) -> None:
    wait_for(run(HANDLES[how]).pid, "")


@pytest.mark.parametrize("how", DOES_NOT)
def test_a_signal_that_is_not_handled_would_end_the_process(run: Run, how: str) -> None:
    masks = signal_masks(run(DOES_NOT[how]).pid)
    assert masks is not None
    assert consequence(signal.SIGHUP, masks) == "end"


def test_a_process_that_has_ended_has_no_masks(run: Run) -> None:
    process = run("pass")
    process.kill()
    process.wait()
    assert signal_masks(process.pid) is None
