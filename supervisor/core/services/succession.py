"""Decides whether a process of the tree took over from a main process that ended.

Programs that replace themselves without a gap start a new main process beside the old one and end the old one with 0
(gunicorn and nginx after USR2 and QUIT).  A program that goes to the background does the same at once, but belongs in
the foreground; so only a main process that ran for a while has a successor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

RAN_AT_LEAST = 5.0
"""Seconds: a program that goes to the background has done so by then."""


class Member(Protocol):
    """A process of the tree that is left, as /proc/PID/stat shows it."""

    @property
    def name(self) -> str: ...

    @property
    def state(self) -> str: ...

    @property
    def ppid(self) -> int: ...


def successor(name: str, ran: float, exit_code: int | None, left: Mapping[int, Member]) -> int | None:
    """The pid of the process that took over; None if none did.

    `name`: that of the main process that ended, `ran`: its uptime in seconds, `left`: the members that are left, by
    pid.  The successor has the same name, and all others descend from it.
    """
    if exit_code != 0 or ran < RAN_AT_LEAST:
        return None
    topmost = [pid for pid, member in left.items() if member.ppid not in left and member.state not in "ZX"]
    if len(topmost) != 1 or left[topmost[0]].name != name:
        return None
    return topmost[0]
