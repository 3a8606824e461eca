"""Notices when somebody takes from a directory what is ours: a tidy-up of /tmp or /run, a person in the wrong place.

By inotify(7): as long as nothing is removed there, nothing runs.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.errors import SupervisorError

_MOVED_FROM, _DELETE, _DELETE_SELF, _MOVE_SELF, _ONLYDIR = 0x40, 0x200, 0x400, 0x800, 0x1000000
SETTLE = 0.1
"""Seconds from the first loss to what is done about it: whoever removes a whole directory is done by then."""
RETRY = 5.0
"""Seconds until it is tried again to make anew what could not be made."""


class DirectoryWatch:
    """Calls `make_anew(lost)` with those of `names` that are no longer in `directory`, soon after they went.

    It raises OSError or SupervisorError where that is impossible; then `on_problem(text)` is told once, and it is
    called again until it succeeds.  Where the kernel gives no inotify instance there is no vigil."""

    def __init__(
        self,
        loop: EventLoop,
        directory: str,
        names: Sequence[str],
        make_anew: Callable[[Sequence[str]], None],
        on_problem: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._directory, self._names = directory, names
        self._recreate, self._on_problem = make_anew, on_problem
        self._libc = ctypes.CDLL(None)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._due = self._failing = False
        if self._fd >= 0:
            loop.register(self._fd, self._removed)
            self._watch()
            self._look_at(loop.now())  # it may be gone already

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.unregister(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _watch(self) -> None:
        """The directory that now bears the name; of the same one no second watch is made."""
        mask = _MOVED_FROM | _DELETE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
        self._libc.inotify_add_watch(self._fd, os.fsencode(self._directory), mask)

    def _removed(self, _events: int) -> None:
        os.read(self._fd, 65536)  # what it was is seen better by looking
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
