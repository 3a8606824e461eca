"""Decides whether a process of the tree took over from a main process that ended.

A program that replaces itself without a gap executes itself again beside the old main process, which then ends with 0
(gunicorn after USR2 and QUIT).  A program that goes to the background only forks: its child still runs what its parent
executed, and it would do better in the foreground.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Member(NamedTuple):
    """A process of the tree that is left.  `program`: the path of what it executes; empty where that may not be read.
    `executed`: it executed that itself, and was not only forked."""

    ppid: int
    program: str
    executed: bool


def successor(program: str, exit_code: int | None, left: Mapping[int, Member]) -> int | None:
    """The pid of the process that took over from the main process, which executed `program` (empty: not known); None if
    none did.

    It executes the same program by an exec of its own, and all other members that are left, by pid, descend from it.
    """
    topmost = [pid for pid, member in left.items() if member.ppid not in left]
    if exit_code != 0 or not program or len(topmost) != 1:
        return None
    member = left[topmost[0]]
    return topmost[0] if member.executed and member.program == program else None
