"""Notices by inotify(7) that the daemon's files were removed from a directory, say by a cleaner of /run.

Nothing runs as long as nothing is removed.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.errors import SupervisorError

_MOVED_FROM, _DELETE, _DELETE_SELF, _MOVE_SELF, _ONLYDIR = 0x40, 0x200, 0x400, 0x800, 0x1000000
SETTLE = 0.1
"""Seconds from the first loss to its repair, so that the removal of a whole directory has ended by then."""
RETRY = 5.0
"""Seconds until a failed repair is tried again."""


class DirectoryWatch:
    """Calls `recreate(lost)` with those of `names` that are missing in `directory`, soon after they were removed.

    Where `recreate` raises OSError or SupervisorError, `on_problem(text)` is called once, and `recreate` again every
    RETRY seconds until it succeeds.  Where the kernel gives no inotify instance, nothing is watched.
    """

    def __init__(
        self,
        loop: EventLoop,
        directory: str,
        names: Sequence[str],
        recreate: Callable[[Sequence[str]], None],
        on_problem: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._directory, self._names = directory, names
        self._recreate, self._on_problem = recreate, on_problem
        self._libc = ctypes.CDLL(None)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._due = self._failing = False
        if self._fd >= 0:
            loop.register(self._fd, self._removed)
            self._watch()
            self._look_at(loop.now())  # a file may be missing already

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.unregister(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _watch(self) -> None:
        """Watch the directory that has the name now.  For the same directory the kernel adds no second watch."""
        mask = _MOVED_FROM | _DELETE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
        self._libc.inotify_add_watch(self._fd, os.fsencode(self._directory), mask)

    def _removed(self, _events: int) -> None:
        os.read(self._fd, 65536)  # the events are thrown away: `_look` sees what is missing
        self._look_at(self._loop.now() + SETTLE)

    def _look_at(self, when: float) -> None:
        if not self._due:
            self._due = True
            self._loop.call_at(when, self._look)

    def _look(self) -> None:
        self._due = False
        if self._fd < 0:
            return
        lost = [name for name in self._names if not os.path.lexists(f"{self._directory}/{name}")]
        if not lost:
            return
        try:
            self._recreate(lost)
        except (OSError, SupervisorError) as error:
            if not self._failing:
                self._on_problem(
                    f"{', '.join(lost)} was removed from {self._directory} and cannot be recreated: {error}"
                )
            self._failing = True
            self._look_at(self._loop.now() + RETRY)
        else:
            self._failing = False
            self._watch()
