"""Computes figures from samples: medians, the ratio to the best peer, and whether a row reaches its goal. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

OURS = "ours"


class Verdict(Enum):
    REACHED = "✓"
    SHORT = "✗"
    UNKNOWN = "?"
    NO_GOAL = ""


@dataclass(frozen=True, slots=True)
class Goal:
    """What the supervisor's figure must reach.

    `factor` times the figure of `peer`, or `limit` if that peer was not measured; without both, `factor` times the
    figure of the best peer.
    """

    limit: float | None = None
    peer: str | None = None
    factor: float = 1.0
    strict: bool = False

    def bound(self, peers: Mapping[str, float], *, higher_is_better: bool) -> float | None:
        """The figure to reach in this run, or None if the peer to compare with was not measured."""
        if self.peer is not None and self.peer in peers:
            return self.factor * peers[self.peer]
        if self.limit is not None or self.peer is not None:
            return self.limit
        best_peer = best(peers, higher_is_better=higher_is_better)
        return None if best_peer is None else self.factor * best_peer[1]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table. `digits` is the number of decimals of its figures."""

    key: str
    title: str
    unit: str
    goal: Goal | None = None
    digits: int = 1
    higher_is_better: bool = False


def median(samples: Sequence[float]) -> float | None:
    return statistics.median(samples) if samples else None


def best(peers: Mapping[str, float], *, higher_is_better: bool) -> tuple[str, float] | None:
    """The best peer's name and figure, or None without peers."""
    if not peers:
        return None
    choose = max if higher_is_better else min
    return choose(peers.items(), key=lambda item: item[1])


def ratio(ours: float, peer: float) -> float | None:
    """ours / peer, or None if the peer's figure is zero."""
    return ours / peer if peer > 0 else None


def judge(row: Row, ours: float | None, peers: Mapping[str, float]) -> Verdict:
    """Whether the supervisor's median reaches the goal of this row, given the peers' medians in the same run."""
    if row.goal is None:
        return Verdict.NO_GOAL
    bound = row.goal.bound(peers, higher_is_better=row.higher_is_better)
    if ours is None or bound is None:
        return Verdict.UNKNOWN
    if ours == bound:
        return Verdict.SHORT if row.goal.strict else Verdict.REACHED
    return Verdict.REACHED if (ours > bound) == row.higher_is_better else Verdict.SHORT


def slope(low: tuple[int, float], high: tuple[int, float]) -> float:
    """Growth per service between two (services, figure) points."""
    return (high[1] - low[1]) / (high[0] - low[0])


def select_rows(rows: Sequence[Row], wanted: Sequence[str]) -> list[Row]:
    """The rows whose key begins with one of `wanted`; all if it is empty. Raises KeyError for an unknown one."""
    for name in wanted:
        if not any(row.key.startswith(name) for row in rows):
            raise KeyError(name)
    return [row for row in rows if not wanted or any(row.key.startswith(name) for name in wanted)]
