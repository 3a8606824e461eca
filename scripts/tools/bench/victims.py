"""The measured services: builds the C victim, reads its records, and checks the lines that it printed."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import struct
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

SOURCE = Path(__file__).with_name("victim.c")
RECORD = struct.Struct("=qIIII")
LINE_BYTES, LINES_PER_BLOCK = 100, 16384
PIPE_BYTES = 1 << 20


class Kind(IntEnum):
    STARTED = 1
    HUNG = 2
    OPENED = 3
    DONE = 4


@dataclass(frozen=True, slots=True)
class Record:
    """A record that a victim wrote. `ns` is CLOCK_MONOTONIC in nanoseconds."""

    ns: int
    id: int
    pid: int
    kind: Kind


class TooLate(Exception):
    """The victims did not do in time what was waited for."""


def parse(data: bytes) -> tuple[list[Record], bytes]:
    """All whole records at the beginning of `data`, and the rest."""
    whole = len(data) - len(data) % RECORD.size
    records = [Record(ns, ident, pid, Kind(kind)) for ns, ident, pid, kind, _ in RECORD.iter_unpack(data[:whole])]
    return records, data[whole:]


def build(folder: Path) -> Path:
    """Compile the victim, statically if the C library allows it. Raises FileNotFoundError without gcc."""
    if shutil.which("gcc") is None:
        raise FileNotFoundError("no gcc, and the victim is a C program")
    target = folder / "victim"
    for static in (["-static"], []):
        command = ["gcc", "-O2", "-Wall", *static, "-o", str(target), str(SOURCE)]
        if (done := subprocess.run(command, capture_output=True, text=True, check=False)).returncode == 0:
            return target
    raise FileNotFoundError(f"gcc cannot build the victim: {done.stderr.strip()}")


class Journal:
    """The FIFO into which victims write their records; held open at both ends, so that opening it never blocks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._rest = b""
        self._latest: dict[Kind, dict[int, Record]] = defaultdict(dict)

    def forget(self) -> None:
        """Drop all records, before the next system is measured."""
        self._pull(0)
        self._latest.clear()

    def latest(self, ident: int, kind: Kind = Kind.STARTED) -> Record:
        self._pull(0)
        return self._latest[kind][ident]

    def wait(self, ids: Iterable[int], since_ns: int, timeout: float, kind: Kind = Kind.STARTED) -> list[Record]:
        """The newest `kind` record of each of `ids`, all of them later than `since_ns`. Raises TooLate."""
        missing = set(ids)
        wanted = sorted(missing)
        deadline = time.monotonic() + timeout
        said = self._latest[kind]
        while True:
            missing = {i for i in missing if i not in said or said[i].ns <= since_ns}
            if not missing:
                return [said[i] for i in wanted]
            left = deadline - time.monotonic()
            if left <= 0:
                raise TooLate(f"{len(missing)} of {len(wanted)} victims missing after {timeout:g} s")
            self._pull(left)

    def close(self) -> None:
        os.close(self._fd)
        self.path.unlink()

    def _pull(self, timeout: float) -> None:
        if not self._poll.poll(timeout * 1000):
            return
        records, self._rest = parse(self._rest + os.read(self._fd, PIPE_BYTES))
        for record in records:
            self._latest[record.kind][record.id] = record


@dataclass(frozen=True, slots=True)
class Damage:
    """What happened to numbered lines on their way into log files."""

    lost: int
    torn: int
    repeated: int

    @property
    def total(self) -> int:
        return self.lost + self.torn + self.repeated


def check_lines(files: Iterable[Path], expected: int) -> Damage:
    """Compare log files, in any order, with the `expected` numbered lines that the chatty victim writes."""
    seen = bytearray(expected)
    torn = repeated = 0
    tail = b"." * (LINE_BYTES - 12) + b"\n"
    for path in files:
        with open(path, "rb") as lines:
            for line in lines:
                if line[11:] != tail or not (digits := line[:10]).isdigit() or (number := int(digits)) >= expected:
                    torn += 1
                elif seen[number]:
                    repeated += 1
                else:
                    seen[number] = 1
    return Damage(lost=seen.count(0), torn=torn, repeated=repeated)
