"""Decides whether a process of the tree took over from a main process that ended.

A program that replaces itself without a gap executes itself again beside the old main process, which then ends with 0
(gunicorn after USR2 and QUIT).  A program that goes to the background only forks: its child still has the memory layout
of the parent, and it would do better in the foreground.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Program(NamedTuple):
    """What a process executes.  `stack`: the address of its stack, which an exec chooses again and a fork keeps."""

    path: str
    stack: int


class Member(NamedTuple):
    """A process of the tree that is left.  `program`: None where that may not be read."""

    ppid: int
    program: Program | None


def successor(main: Program | None, exit_code: int | None, left: Mapping[int, Member]) -> int | None:
    """The pid of the process that took over from `main`; None if none did.

    It executes the same program by an exec of its own, and all other members that are left, by pid, descend from it.
    """
    topmost = [pid for pid, member in left.items() if member.ppid not in left]
    if exit_code != 0 or main is None or len(topmost) != 1:
        return None
    program = left[topmost[0]].program
    took_over = program is not None and program.path == main.path and program.stack != main.stack
    return topmost[0] if took_over else None
