"""Compares the kept output with what the programs counted: every line once, whole and in order."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scripts.tools.chaos.judge import Judge, Life, Violation
from scripts.tools.chaos.program import COUNTS
from scripts.tools.chaos.sight import Process

LINE = re.compile(rb"(?:\d{4}-\d\d-\d\dT[\d:.]+Z )?(\S+) (\d+) (\d+) (\d+) ([\d.]+) x*\.")
"""With or without the timestamp that the supervisor puts before it."""


@dataclass
class Writer:
    """The lines of one process so far. `last_at`: when it wrote the last one."""

    kept: int = 0
    last_at: float = 0.0


@dataclass
class Output:
    """All output of one instance."""

    instance: str
    writers: dict[Process, Writer] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    torn: list[bytes] = field(default_factory=list)

    def read(self, directory: Path) -> Output:
        for line in lines(directory, self.instance):
            self._take(line)
        return self

    def _take(self, line: bytes) -> None:
        match = LINE.fullmatch(line)
        if match is None or match[1] != self.instance.encode():
            self.torn.append(line)
            return
        process, n, at = Process(int(match[2]), int(match[3])), int(match[4]), float(match[5])
        writer = self.writers.setdefault(process, Writer())
        if n <= writer.kept:
            self._broken("line doubled", at, f"line {n} of {process.pid} again after line {writer.kept}")
        elif n > writer.kept + 1:
            missing = f"lines {writer.kept + 1} to {n - 1} of {process.pid}, between {writer.last_at:.3f} and {at:.3f}"
            self._broken("line lost", at, missing)
        writer.kept, writer.last_at = max(n, writer.kept), at

    def _broken(self, kind: str, at: float, text: str) -> None:
        self.violations.append(Violation(kind, self.instance, at, text))

    def judge(self, judge: Judge, held: bool) -> list[Violation]:
        """Compare with what the ended programs counted.

        `held`: the pipe was held open all the time, so that even processes that died without a daemon lost nothing.
        """
        forgiven = 0
        for life in judge.all_of(self.instance):
            if life.gone is None:  # left behind, which is reported elsewhere
                continue
            writer = self.writers.get(life.process, Writer())
            begun, done = counted(judge.place, life)
            if writer.kept > begun:
                self._broken("line doubled", writer.last_at, f"{writer.kept} lines of {life.process.pid} of {begun}")
            elif writer.kept < done:
                if not held and judge.in_gap(life) and not judge.outlived(life):
                    forgiven += 1  # the pipe ended with the process, because no other process held it
                else:
                    missing = f"the last {done - writer.kept} of {done} lines of {life.process.pid}"
                    self._broken("line lost", writer.last_at, f"{missing}, after {writer.last_at:.3f}")
        for line in self.torn[forgiven:]:
            self._broken("line torn", 0.0, repr(line[:200]))
        return self.violations

    @property
    def kept(self) -> int:
        return sum(w.kept for w in self.writers.values())


def counted(place: Path, life: Life) -> tuple[int, int]:
    """How many lines a process has begun to write, and how many it has written."""
    begun, done = COUNTS.unpack((place / "counts" / f"{life.process.pid}.{life.process.start}").read_bytes())
    return begun, done


def lines(directory: Path, instance: str) -> Iterator[bytes]:
    """All lines that were kept, the oldest first."""
    log = f"{instance}.log"
    numbered: dict[int, Path] = {}
    for path in directory.glob(f"{log}.*"):
        number, _, kind = path.name.removeprefix(f"{log}.").partition(".")
        if number.isdecimal() and kind in ("", "gz"):
            numbered.setdefault(int(number), path)
    for path in [*(numbered[n] for n in sorted(numbered, reverse=True)), directory / log]:
        if path.exists():
            with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
                for line in file:
                    yield line.removesuffix(b"\n")
