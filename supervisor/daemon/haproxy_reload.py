"""One reload of HAProxy: a child process checks its file, the master is asked, and the new worker is awaited."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from supervisor.adapters.balancing.exchange import Exchange
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.processes.child_command import ChildCommand, CommandResult
from supervisor.core.balancing import answers
from supervisor.core.balancing.haproxy_config import Place

CHECK = 20.0
"""Seconds that `haproxy -c` may take."""
ANSWER = 1.0
"""Seconds in which HAProxy has to answer a question."""
RELOAD = 10.0
"""Seconds in which a reload has to show a new worker."""
RELOAD_LOOK = 0.02
"""Seconds from one look for the new worker to the next."""


class Outcome(Enum):
    """What became of a reload."""

    LOADED = auto()
    REFUSED = auto()
    SILENT = auto()
    """No new worker was seen in time."""


class Reload:
    """Begins at once, and calls `done` with the outcome and why the file was refused.

    `worker`: the pid of the worker that answers now.  `runs`: whether HAProxy still runs."""

    def __init__(
        self,
        loop: EventLoop,
        place: Place,
        program: str,
        *,
        worker: Callable[[], int | None],
        runs: Callable[[], bool],
        done: Callable[[Outcome, str], None],
    ) -> None:
        self._loop, self._place = loop, place
        self._worker, self._runs, self._done = worker, runs, done
        try:
            ChildCommand(loop, [program, "-c", "-f", place.file], self._checked, timeout=CHECK)
        except OSError as error:
            done(Outcome.REFUSED, f"{program}: {error.strerror}")

    def _checked(self, result: CommandResult) -> None:
        if result.exit_code != 0:
            said = result.output.decode(errors="replace").strip().splitlines()
            self._done(Outcome.REFUSED, next((line for line in said if "ALERT" in line), result.ending)[:300])
            return
        until, before = self._loop.now() + RELOAD, self._worker()
        Exchange(self._loop, self._place.master, "reload", lambda _: self._await_worker(before, until), timeout=ANSWER)

    def _await_worker(self, before: int | None, until: float) -> None:
        """Look for the new worker until it is there, or the reload has failed."""

        def saw(told: str | None) -> None:
            there = answers.processes(told or "")
            if there.current is not None and there.current != before and not there.failed:
                self._done(Outcome.LOADED, "")
            elif there.failed:
                self._done(Outcome.REFUSED, "its new worker did not start")
            elif self._loop.now() < until and self._runs():
                self._loop.call_at(self._loop.now() + RELOAD_LOOK, lambda: self._await_worker(before, until))
            else:
                self._done(Outcome.SILENT, "")

        Exchange(self._loop, self._place.master, "show proc", saw, timeout=ANSWER)
