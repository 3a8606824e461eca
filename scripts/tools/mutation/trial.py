"""One change in a copy of the tree, and the first stage of the tests that finds it.

The stages run in processes of their own, with a limit of CPU time (a change can make a loop endless; how busy the host
is does not matter) and of memory.  A change that makes a stage exceed a limit counts as found.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.tools.mutation.lines import Lines
from scripts.tools.mutation.places import Place

MEASURED_FACTOR = 6
"""Coverage makes a stage slower, at most by this."""
MEMORY = 4 << 30
"""Bytes of address space for one stage."""
WAIT_FACTOR = 20.0
"""A stage that waits and uses no CPU is ended after this many times its limit of CPU time."""
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".*_cache", ".hypothesis", "dist", "fuzz-findings", "*.jsonl")


@dataclass(frozen=True)
class Stage:
    """A command of tests.

    `arguments` gets the root of the tree, the change and the lines that the stage runs, and returns the arguments of
    Python; empty: it is skipped.  Without a change and lines it returns those of all tests.  `measured` makes of those
    arguments the ones that write the lines into $COVERAGE_FILE."""

    name: str
    arguments: Callable[[Path, Place | None, Lines | None], Sequence[str]]
    measured: Callable[[Sequence[str]], Sequence[str]] | None = None
    limit_s: int = 120
    """Seconds of CPU time."""


@dataclass(frozen=True)
class Result:
    """What came of one change.  `found_by`: the stage, or empty where the change survived; `how`: what failed there."""

    id: str
    line: str
    text: str
    found_by: str
    how: str
    seconds: float

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class Copy:
    """A copy of the tree, in which files are changed and restored."""

    def __init__(self, root: Path, folder: Path) -> None:
        shutil.copytree(root, folder, ignore=LEFT_OUT, symlinks=True)
        self.root = folder

    def unchanged(self, stages: Sequence[Stage], kept: Path) -> tuple[str, dict[str, Lines]]:
        """Run the stages without a change.  Returns what fails, empty where nothing does, and the lines of each stage,
        which are read from files in the folder `kept`."""
        lines = {}
        for stage in stages:
            data = kept / f"{stage.name}.coverage"
            arguments = stage.arguments(self.root, None, None)
            limit = stage.limit_s
            if stage.measured is not None:
                arguments, limit = stage.measured(arguments), limit * MEASURED_FACTOR
            failed = self._run(arguments, limit, {"COVERAGE_FILE": str(data), "PYTHONDONTWRITEBYTECODE": ""})
            if failed is not None:
                return f"{stage.name}: {failed}", {}
            if stage.measured is not None:
                lines[stage.name] = Lines(self.root, data)
        return "", lines

    def trial(self, place: Place, stages: Sequence[Stage], lines: Mapping[str, Lines]) -> Result:
        """`lines` by name of the stage; a stage that has none there runs all that it may."""
        todo = [(stage, stage.arguments(self.root, place, lines.get(stage.name))) for stage in stages]
        path = self.root / place.path
        source = path.read_bytes()
        line = source.splitlines()[place.line - 1].decode().strip()
        began = time.monotonic()
        # The time stamp of bytecode has whole seconds: that of the file before would pass for the new one's.
        for old in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            old.unlink()
        path.write_bytes(place.apply(source))
        try:
            for stage, arguments in todo:
                how = self._run(arguments, stage.limit_s, {"PYTHONDONTWRITEBYTECODE": "1"})
                if how is not None:
                    return Result(place.id, line, place.text, stage.name, how, round(time.monotonic() - began, 1))
        finally:
            path.write_bytes(source)
        return Result(place.id, line, place.text, "", "", round(time.monotonic() - began, 1))

    def _run(self, arguments: Sequence[str], limit_s: int, extra: dict[str, str]) -> str | None:
        """None where the stage passes, otherwise what failed."""
        if not arguments:
            return None
        environment = os.environ | {"PYTHONPATH": str(self.root), "PYTHONHASHSEED": "0"} | extra
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        _limit(process.pid, limit_s)
        try:
            output, _ = process.communicate(timeout=WAIT_FACTOR * limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its session, in which it is not reaped yet
            process.communicate()
            return "it waits without end"
        if process.returncode == 0:
            return None
        if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
            return "it runs without end"
        return _first_failure(output) or f"exit {process.returncode}"


def _limit(pid: int, seconds: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.prlimit(pid, resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))


def _first_failure(output: str) -> str:
    """The first failed test as pytest names it, or the first violation of the simulation."""
    for line in output.splitlines():
        if line.startswith(("FAILED ", "ERROR ")):
            return line.split(" ", 1)[1].split(" - ")[0]
        if line.startswith("seed "):
            return line
    lines = output.split("\n")
    return next((line for line in reversed(lines) if line.strip()), "")[:200]
