"""What the processes of the whole host show of the instances of one supervisor, from two looks for all of them.

After a crash in the middle of a start, or after the end of everything, thousands of instances have no process.  To
search all of /proc for each of them takes as long as the square of their number, a minute for 1000.
"""

from __future__ import annotations

import os

from supervisor.adapters.linux import procfs
from supervisor.adapters.processes import marks

_LOOKS = 2


class Traces:
    """Where two looks show no trace of an instance, it has no process, and nothing that runs can become one.

    Two, because a parent that ends during the first one hides its child from it.  What shows a trace is searched for
    more exactly (descendant_tree.py)."""

    def __init__(self, supervisor_id: str) -> None:
        self._id = supervisor_id
        self._marks = set[int]()
        self._instances = set[str]()
        self._groups = set[int]()
        self._complete = all(self._look() for _ in range(_LOOKS))

    def _look(self) -> bool:
        """False: /proc cannot be read, as where no descriptor is free."""
        pids = procfs.pids()
        for pid in pids:
            stat = procfs.stat(pid)
            if stat is not None and pid != os.getpid():
                self._groups |= {stat.session, stat.pgrp}
                self._marks.add(marks.mark_of(pid) or 0)
                owner, instance = marks.identity(pid) or ("", "")
                if owner == self._id:
                    self._instances.add(instance)
        return bool(pids)

    def of(self, instance: str, main: tuple[int, int] | None) -> bool:
        """Whether there may be a process of the instance.  `main`: the (pid, start time) of its main process, which has
        ended; None: not known."""
        if not self._complete or instance in self._instances:
            return True
        return marks.mark_for(self._id, instance) in self._marks or (main is not None and main[0] in self._groups)
