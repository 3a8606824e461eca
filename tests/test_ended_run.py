"""A run of the tests that is ended from outside leaves nothing behind of what they have started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

TEST = """
import pathlib, signal, subprocess, sys
import pytest

@pytest.fixture
def sleeper():
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()

def test_waits(sleeper):
    pathlib.Path("pid").write_text(str(sleeper.pid))
    print("begun", flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("times", [1, 2])
def test_fixtures_end_what_they_have_started(tmp_path: Path, times: int) -> None:
    """timeout(1) sends its signal to the process and to its group, so that it comes twice."""
    (tmp_path / "test_it.py").write_text(TEST)
    options = ("-q", "-s", "-p", "tests.conftest", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", tmp_path)
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, tmp_path / "test_it.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    for line in run.stdout:
        if "begun" in line:
            break
    sleeper = os.pidfd_open(int((tmp_path / "pid").read_text()))
    try:
        for _ in range(times):
            run.send_signal(signal.SIGTERM)
        assert run.wait() == pytest.ExitCode.INTERRUPTED
        with pytest.raises(ProcessLookupError):
            signal.pidfd_send_signal(sleeper, 0)
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(sleeper, signal.SIGKILL)
        run.stdout.close()
        os.close(sleeper)
