"""Remembers the children that the daemon started for itself: commands, and whatever else is no service.

A child of the daemon that is neither one of these nor a main process is an orphan of a service; it came to the daemon,
the subreaper, when its parent died.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager

from supervisor.adapters.linux import procfs
from supervisor.adapters.linux.procfs import Stat
from supervisor.adapters.processes import look_pace

RECENT = 0.05
"""Seconds for which a look at all children may be reused where it need not be exact: it takes as long as there are
children."""
_MOST_LOOKS = 4

noted: set[int] = set()
"""Their pids."""


def note(pid: int) -> None:
    """The daemon has started this child for itself."""
    noted.add(pid)


def forget(pid: int) -> None:
    """The child was reaped."""
    noted.discard(pid)


def is_own(pid: int, stat: Stat | None) -> bool:
    """Whether the daemon started the child for itself.  One that leads a session and runs the daemon's interpreter
    counts as such in any case."""
    if pid in noted:
        return True
    if stat is None or stat.session != pid:
        return False
    return procfs.executable(pid) == os.path.realpath(sys.executable)


def all_children() -> list[int]:
    """The children of the daemon, whoever started them."""
    with look_pace.timed():
        return procfs.children(os.getpid())


def strangers(mains: Container[int], *, recent: bool = False) -> list[int]:
    """The children of the daemon that are none of its main processes.  `recent`: perhaps those of a moment ago."""
    if _last.mains is mains:
        if _last.in_force and not _last.found:
            return []
        if recent and time.monotonic() - _last.at <= RECENT:
            return _last.found
    found = [pid for pid in all_children() if pid not in mains]
    if found and _last.in_force:
        found = [pid for pid in _stable() if pid not in mains]
    _last.found, _last.mains, _last.at = found, mains, time.monotonic()
    return found


@contextmanager
def one_look() -> Iterator[None]:
    """Answer all questions inside the block by one look, if it shows no stranger.

    It is exact where the question is what remains of trees whose main processes were reaped before: what remains is a
    stranger or descends from one.  Without a stranger nothing remains, and nothing can appear later.  One look suffices
    for that: a stranger stays among the children until the daemon reaps it, also when it dies during the look."""
    _last.in_force, _last.mains, _last.block = True, None, _last.block + 1
    try:
        yield
    finally:
        _last.in_force, _last.mains = False, None


def block() -> int:
    """Which `one_look` is in force; 0: none is."""
    return _last.block if _last.in_force else 0


class _Look:
    in_force = False
    block = 0
    mains: Container[int] | None = None
    found: list[int]
    at = 0.0


_last = _Look()


def _stable() -> list[int]:
    """Two looks that saw the same: a parent that dies between two reads hides its child from both."""
    before = all_children()
    for _ in range(_MOST_LOOKS - 1):
        found = all_children()
        if found == before:
            break
        before = found
    return before
