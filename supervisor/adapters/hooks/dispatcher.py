"""Hooks: runs the commands and sends the notifications configured for events, each in a short-lived child.

Hooks cannot delay supervision: four run at a time, a bounded queue holds the rest, and each has a timeout.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from supervisor import own_sources
from supervisor.adapters.eventloop.loop import EventLoop, Timer
from supervisor.adapters.probes.prober import error_text
from supervisor.adapters.processes import marks
from supervisor.adapters.processes.child_command import ChildCommand, CommandResult, plain_environment
from supervisor.adapters.processes.command_trees import CommandTree
from supervisor.core.model.actions import Record
from supervisor.core.model.spec import HookSpec, ServiceSpec, ServiceType
from supervisor.core.services.hook_triggers import triggers

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event

MOST_AT_ONCE = 4
LONGEST_QUEUE = 256
FLUSH_WITHIN = 5.0
"""Seconds that pending hooks get at the daemon's end."""

_RUNNER = "supervisor.adapters.hooks.runner"


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    hook: HookSpec
    instance: str
    directory: str | None
    event: Event

    @property
    def key(self) -> tuple[str, HookSpec]:
        """One hook of one instance."""
        return self.instance, self.hook

    @property
    def name(self) -> str:
        """The hook's name for messages, without the rest of a URL, which may hold a password."""
        what = self.hook.run[0] if self.hook.run else (self.hook.notify or "").partition(":")[0]
        return f"hook {what} of {self.instance}"


class HookDispatcher:
    """Queues and runs hooks. `dropped` counts those that never ran.

    `on_problem(text)` reports a hook's failure once, and again only after it has succeeded in between.
    `tree(instance)` is the process tree for a hook of that instance; it ends with the hook.
    """

    def __init__(
        self,
        loop: EventLoop,
        on_problem: Callable[[str], None],
        tree: Callable[[str], CommandTree],
    ) -> None:
        self.dropped = 0
        self._tree = tree
        self._loop = loop
        self._on_problem = on_problem
        self._queue: deque[_Job] = deque()
        self._running: dict[_Job, ChildCommand] = {}
        self._failing: set[tuple[str, HookSpec]] = set()
        self._overflowing = False
        self._flushed: Callable[[], None] | None = None
        self._flush_timer: Timer | None = None

    def offer(self, record: Record, event: Event, spec: ServiceSpec) -> None:
        """Deliver the event object to those hooks of the service that it triggers."""
        happened = triggers(record, oneshot=spec.type is ServiceType.ONESHOT)
        for hook in spec.hooks:
            if not happened.isdisjoint(hook.on):
                self._enqueue(_Job(hook, record.instance, spec.directory, event))

    def flush(self, done: Callable[[], None]) -> None:
        """Call `done()` when nothing is pending, at the latest in `FLUSH_WITHIN` seconds; the rest is then dropped."""
        self._flushed = done
        self._flush_timer = self._loop.call_at(self._loop.now() + FLUSH_WITHIN, self._give_up)
        self._settle()

    def _enqueue(self, job: _Job) -> None:
        if len(self._queue) >= LONGEST_QUEUE:
            self.dropped += 1
            if not self._overflowing:
                self._overflowing = True
                self._on_problem(f"{LONGEST_QUEUE} hooks are waiting to run; more are being dropped")
            return
        self._queue.append(job)
        self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        while len(self._running) < MOST_AT_ONCE and (job := self._next()) is not None:
            self._queue.remove(job)
            try:
                self._running[job] = self._started(job)
            except OSError as error:
                self._failed(job, error_text(error))
        if not self._queue:
            self._overflowing = False
        self._settle()

    def _next(self) -> _Job | None:
        """The oldest job of which no earlier one is running for the same hook and instance.

        So an instance's events reach a hook in order, and a hook that hangs takes one place, not all.
        """
        busy = {job.key for job in self._running}
        return next((job for job in self._queue if job.key not in busy), None)

    def _started(self, job: _Job) -> ChildCommand:
        order: dict[str, Any] = {"event": job.event}
        if job.hook.run:
            order |= {"run": job.hook.run, "directory": job.directory}
        else:
            order["notify"] = job.hook.notify
        return ChildCommand(
            self._loop,
            [sys.executable, "-P", *own_sources.main_module(_RUNNER)],
            lambda outcome: self._ended(job, outcome),
            timeout=job.hook.timeout,
            stdin=json.dumps(order, default=str).encode(),
            environment=plain_environment() | {marks.HOOK: "1"},
            tree=self._tree(job.instance),
        )

    def _ended(self, job: _Job, outcome: CommandResult) -> None:
        del self._running[job]
        if outcome.timed_out:
            self._failed(job, f"not done within {job.hook.timeout:g}s, killed")
        elif outcome.exit_code != 0:
            self._failed(job, outcome.last_line or f"the hook runner: {outcome.ending}")
        else:
            self._failing.discard(job.key)
        self._begin()

    def _failed(self, job: _Job, why: str) -> None:
        if job.key not in self._failing:
            self._failing.add(job.key)
            self._on_problem(f"{job.name}: {why}")

    def _settle(self) -> None:
        if self._flushed is not None and not self._queue and not self._running:
            done, self._flushed = self._flushed, None
            if self._flush_timer is not None:
                self._flush_timer.cancel()
            done()

    def _give_up(self) -> None:
        late = [*self._running, *self._queue]
        for command in self._running.values():
            command.cancel()
        self._running.clear()
        self._queue.clear()
        self.dropped += len(late)
        names = ", ".join(sorted({job.name for job in late})[:3])
        self._on_problem(f"{len(late)} hooks were not done in the {FLUSH_WITHIN:g}s before the end: {names}")
        self._settle()
