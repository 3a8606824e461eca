"""The lines by which a command tells when each process of a server last gave a sign of life.

`PID AGE [LIMIT [TEXT]]`: the process did so AGE seconds ago (0: just now), and may be silent for LIMIT seconds from
then on, because it works on TEXT.  A limit of `-` is none at all, so that this work is never taken for a hang.  Lines
of any other form are not meant for the supervisor.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import NamedTuple

_LONGEST = 1e9  # seconds
_LONGEST_TEXT = 200  # characters


class ProcessLine(NamedTuple):
    """What one line says.  `limit`: seconds from its last sign of life; None: its rhythm is what is judged."""

    pid: int
    age: float
    limit: float | None = None
    doing: str = ""


def parse(output: bytes) -> Iterator[ProcessLine]:
    """The lines that name a process, each pid once: the first line counts."""
    seen: set[int] = set()
    for line in output.decode(errors="replace").splitlines():
        fields = line.split(maxsplit=3)
        pid = _pid(fields[0]) if len(fields) > 1 else None
        age = _seconds(fields[1]) if pid is not None else None
        if pid is None or age is None or pid in seen:
            continue
        limit = None
        if len(fields) > 2:
            limit = inf if fields[2] == "-" else _seconds(fields[2])
            if limit is None:
                continue
        seen.add(pid)
        yield ProcessLine(pid, age, limit, _printable(fields[3]) if len(fields) > 3 else "")


def _pid(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) <= 10 else None


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0.0 <= seconds <= _LONGEST else None


def _printable(text: str) -> str:
    return "".join(c for c in text if c.isprintable()).strip()[:_LONGEST_TEXT]
