"""The strip of history in the table: what an instance did in the last minutes, a mark for each half minute.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from supervisor.dashboard.spans import Line, Span

if TYPE_CHECKING:
    from supervisor.core.model.instance_documents import Instance

PER_MARK = 30.0
"""Seconds that a mark stands for."""
UNKNOWN, OFF, UP, CHANGING, SUSPECT, FAILED = range(6)
MARKS = (
    Span(" "),
    Span("·", "faint"),
    Span("━", "good"),
    Span("╌", "busy"),
    Span("▲", "warn"),
    Span("✖", "bad"),
)
"""By what was worst in that time: not known, not running, up, starting or stopping, suspect, failed or down."""
_LEVELS = {
    "stopped": OFF,
    "exited": OFF,
    "running": UP,
    "starting": CHANGING,
    "stopping": CHANGING,
    "suspect": SUSPECT,
    "backoff": FAILED,
    "failed": FAILED,
}


class Move(NamedTuple):
    """One change of state.  `at`: seconds since the epoch.  `failed`: this is the moment of a failure."""

    at: float
    before: str
    after: str
    failed: bool


def strip(view: Instance, moves: Sequence[Move], known_since: float | None, now: float, cells: int) -> Line:
    """The last `cells` half minutes, the present one last; `now` and `known_since` are seconds since the epoch."""
    return joined(levels(view, moves, known_since, now, cells))


def levels(view: Instance, moves: Sequence[Move], known_since: float | None, now: float, cells: int) -> list[int]:
    """The worst of each half minute."""
    end = (now // PER_MARK + 1) * PER_MARK  # marks begin at full half minutes, so that a past one never changes
    begin = end - cells * PER_MARK
    out = [UNKNOWN] * cells

    def mark(start: float, until: float, level: int) -> None:
        first, last = int((max(start, begin) - begin) // PER_MARK), int((min(until, now) - begin) // PER_MARK)
        for index in range(first, min(last, cells - 1) + 1):
            if out[index] < level:
                out[index] = level

    ordered = sorted(moves)
    if ordered:
        since = ordered[0].at if known_since is None else min(known_since, ordered[0].at)
        state = ordered[0].before
    else:
        since, state = now - (view["since_s"] or 0.0), view["state"]
    for move in ordered:
        if move.at >= begin:
            mark(since, move.at, _LEVELS.get(state, UNKNOWN))
            if move.failed:
                mark(move.at, move.at, FAILED)
        since, state = move.at, move.after
    mark(since, now, _LEVELS.get(view["state"], UNKNOWN))
    return out


def joined(marks: Sequence[int]) -> Line:
    """Equal marks that follow each other as one span."""
    return tuple(Span(MARKS[level].text * len(list(same)), MARKS[level].tone) for level, same in groupby(marks))
