"""Remembers the children that the daemon started for itself: commands, and whatever else is no service.

A child of the daemon that is neither one of these nor a main process is an orphan of a service; it came to the daemon,
the subreaper, when its parent died.
"""

from __future__ import annotations

import os
import sys

from supervisor.adapters.linux import procfs
from supervisor.adapters.linux.procfs import Stat

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
