"""How many hosts are changed at a time, and when no more are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def wave_size(hosts: int, share: int | str) -> int:
    """Hosts of one wave: a number, or a part of all that is rounded down; at least one."""
    wanted = share if isinstance(share, int) else hosts * int(share.rstrip("%")) // 100
    return max(1, min(hosts, wanted))


def waves(hosts: Sequence[T], share: int | str) -> list[list[T]]:
    """The hosts in waves, in their order; only the last may be smaller."""
    size = wave_size(len(hosts), share)
    return [list(hosts[begin : begin + size]) for begin in range(0, len(hosts), size)]
