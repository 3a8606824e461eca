"""Feeds inputs to a target, and keeps those that break it."""

from __future__ import annotations

import hashlib
import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Protocol

LIMIT = 5.0
"""Seconds that one input may take."""
TICKS = 3
ENOUGH = 10
"""Different findings after which a campaign ends, because more would hardly tell more."""


class Target(Protocol):
    """What is fuzzed. An input is bytes, and the same bytes always cause the same run."""

    def make(self, rng: random.Random) -> bytes:
        """A new input."""
        ...

    def run(self, data: bytes) -> str:
        """Run one input; returns its outcome as a word to be counted. Any exception is a finding."""
        ...

    def close(self) -> None:
        """Clean up; an exception is a finding too (a leak, for example)."""
        ...


class Hang(BaseException):
    """An input took too long. Not an Exception, so that the code under test does not catch it."""


class Wrong(Exception):
    """Nothing was raised, but the result of an input is not what is documented."""


@dataclass
class Finding:
    """An input that broke the target."""

    data: bytes
    error: str
    place: str
    trace: str


@dataclass
class Result:
    """The result of a campaign; results of parallel ones can be added."""

    inputs: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: Result) -> None:
        self.inputs += other.inputs
        self.seconds = max(self.seconds, other.seconds)
        self.outcomes += other.outcomes
        known = {f.place for f in self.findings}
        self.findings += [f for f in other.findings if f.place not in known]


def run(target: Target, inputs: int, seed: int, limit: float = LIMIT) -> Result:
    """Feed the target `inputs` inputs made from `seed`."""
    result = Result()
    rng = random.Random(seed)
    began = time.monotonic()
    with _watch(limit) as watch:
        while result.inputs < inputs and len(result.findings) < ENOUGH:
            watch.progress += 1
            result.inputs += 1
            data = b""
            try:
                data = target.make(rng)
                result.outcomes[target.run(data)] += 1
            except (Exception, Hang) as error:  # noqa: BLE001 - every exception is a finding
                _note(result, data, error)
    _close(target, result)
    result.seconds = time.monotonic() - began
    return result


def replay(target: Target, data: bytes, limit: float = LIMIT) -> Finding | None:
    """Run one input again."""
    result = Result()
    with _watch(limit):
        try:
            result.outcomes[target.run(data)] += 1
        except (Exception, Hang) as error:  # noqa: BLE001
            _note(result, data, error)
    _close(target, result)
    return result.findings[0] if result.findings else None


def save(finding: Finding, name: str, directory: Path) -> Path:
    """Save the input as a file, for `--replay`."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}-{hashlib.sha256(finding.data).hexdigest()[:12]}"
    path.write_bytes(finding.data)
    return path


def _close(target: Target, result: Result) -> None:
    try:
        target.close()
    except Exception as error:  # noqa: BLE001 - what an input left behind is found here
        _note(result, b"", error)


def _note(result: Result, data: bytes, error: BaseException) -> None:
    """Add a finding, one per place: the line that raised it, and the message if it is a Wrong."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    said = str(error)[:40] if isinstance(error, Wrong) else ""
    place = f"{Path(last.filename).name}:{last.lineno}: {type(error).__name__} {said}"
    result.outcomes["hang" if isinstance(error, Hang) else "crash"] += 1
    if place not in (f.place for f in result.findings):
        text = "".join(traceback.format_exception(error))
        result.findings.append(Finding(data, f"{type(error).__name__}: {error}"[:500], place, text))


class _Watch:
    """A timer that ticks all the time, so that it costs nothing per input.

    A machine that was suspended makes one tick late, and never several: an input is a hang only after several ticks
    without progress.
    """

    def __init__(self) -> None:
        self.progress = 0
        self._seen = -1
        self._ticks = 0

    def tick(self, _number: int, _frame: FrameType | None) -> None:
        if self.progress != self._seen:
            self._seen, self._ticks = self.progress, 0
            return
        self._ticks += 1
        if self._ticks >= TICKS:
            self._ticks = 0
            raise Hang("no end of it")


@contextmanager
def _watch(limit: float) -> Iterator[_Watch]:
    watch = _Watch()
    before = signal.signal(signal.SIGALRM, watch.tick)
    signal.setitimer(signal.ITIMER_REAL, limit / TICKS, limit / TICKS)
    try:
        yield watch
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
