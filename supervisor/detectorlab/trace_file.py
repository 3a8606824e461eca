"""Reads a recorded trace of beats: a CSV file of arrival times in seconds, with send times in an optional second
column.
"""

from __future__ import annotations

import csv
from array import array
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from supervisor.detectorlab.curve import WARM
from supervisor.detectorlab.scenarios import Trace
from supervisor.errors import OperationFailed, UsageError

TRAINING = 0.4
FEWEST = 5 * WARM
_FAR = 1e12


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded trace.

    `whole` is in units of the median interval, which is `period` seconds: detectors know no other scale. The first two
    fifths are for tuning, the rest is for judging.
    """

    name: str
    whole: Trace
    period: float

    @property
    def about(self) -> str:
        stamps = "with" if self.whole.stamped else "without"
        return f"{len(self.whole.arrived):,} recorded beats, median interval {self.period:.3g} s, {stamps} send times"

    def trace(self, seed: int, beats: int) -> Trace:
        """The first `beats` beats: of the tuning part for seed 0, of the judging part for every other seed."""
        arrived, sent = self.whole.arrived, self.whole.sent
        cut = round(TRAINING * len(arrived))
        part = slice(0, min(cut, beats)) if seed == 0 else slice(cut, min(len(arrived), cut + beats))
        began = arrived[part.start]
        return Trace(
            array("d", (at - began for at in sent[part])), array("d", (at - began for at in arrived[part])),
            self.whole.stamped,
        )  # fmt: skip


def read(path: Path) -> Recorded:
    """Read a file. Raises UsageError for a malformed line, with its number; OperationFailed if it has too few beats or
    cannot be read.
    """
    rows: list[tuple[float, float]] = []
    columns = 0
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for number, fields in enumerate(csv.reader(file), 1):
                if not fields or (number == 1 and not _is_number(fields[0])):
                    continue  # an empty line, or the heading
                columns = columns or len(fields)
                rows.append(_row(path, number, fields, columns))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OperationFailed(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(rows) < FEWEST:
        raise OperationFailed(f"{path} has {len(rows):,} beats, and {FEWEST:,} are needed to tune and to judge")
    rows.sort()
    gaps = sorted(b[0] - a[0] for a, b in pairwise(rows))
    period = gaps[len(gaps) // 2]
    if period <= 0.0:
        raise OperationFailed(f"{path}: most beats arrive at the same moment", "Give the times more digits.")
    arrived, sent = (array("d", (row[k] / period for row in rows)) for k in (0, 1))
    return Recorded(path.name, Trace(sent, arrived, columns == 2), period)


def _row(path: Path, number: int, fields: list[str], columns: int) -> tuple[float, float]:
    """Parse a line. Without send times each beat counts as sent when it arrived."""
    where = f"{path}:{number}"
    if len(fields) != columns or columns > 2:
        raise UsageError(
            f"{where}: {len(fields)} columns; write the arrival, and if it is known the send time, in seconds"
        )
    for field in fields:
        if not _is_number(field):
            raise UsageError(f"{where}: {field!r:.60} is not a time in seconds")
    arrived = float(fields[0])
    sent = float(fields[1]) if columns == 2 else arrived
    if sent > arrived:
        raise UsageError(f"{where}: it arrived at {arrived:g}, before it was sent at {sent:g}")
    return arrived, sent


def _is_number(field: str) -> bool:
    try:
        return abs(float(field)) < _FAR
    except ValueError:
        return False
