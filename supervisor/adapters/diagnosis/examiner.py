"""Examines a suspect before it is acted on: reads /proc, probes it once more, and gets its stacks.

1. /proc is read first, in milliseconds, while everything is unchanged.
2. A suspect that is not asleep, or any suspect where CPUs are short, is looked at again after a moment: it may be
   waiting for a CPU rather than hang.  Where this daemon waits for a CPU as well, no time may be left for that; then
   this look comes last, and nothing else is asked.
3. Its heartbeat source is probed once more, where it can be probed.
4. Only a suspect that does not answer and is not held (stopped, traced, frozen, starved) is asked for its stacks.

All of it ends within the given time; what is missing then is left out.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

from supervisor.adapters.diagnosis import proc_snapshot as evidence
from supervisor.adapters.diagnosis import pyspy
from supervisor.adapters.diagnosis.stack_dump import Dump, Output, catches
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux import procfs
from supervisor.adapters.probes.prober import error_text
from supervisor.adapters.processes.cgroup_tree import CgroupTree
from supervisor.adapters.processes.thread_waits import any_awake, read_waits
from supervisor.adapters.processes.tree import Tree, send
from supervisor.core.detection.schedulable_time import SchedulableTime, Wait, Waited, contended
from supervisor.core.model.spec import Evidence, ServiceSpec
from supervisor.core.text.units import signal_name

if TYPE_CHECKING:
    from supervisor.core.model import evidence_documents
    from supervisor.core.model.evidence_documents import Core, Stack

Done = Callable[[bool, str | None, "evidence_documents.Evidence", float, str | None], None]
"""`done(alive, held, evidence, ran, unasked)`: whether it answered; why its silence proves nothing, or None; what was
found; the seconds of this silence in which it could run; why it could not be probed, or None."""
Confirm = Callable[[Callable[[bool, str | None], None]], Callable[[], None]]
"""`confirm(answer)` probes the suspect once more and returns what cancels that; `answer(alive, unasked)` may be called
before it returns."""

LAST_LINES = 20
"""Lines of output in the evidence."""
_LOOK = 0.5  # share of the time for reading /proc
_MARGIN = 0.1  # seconds before the end at which the result is given, complete or not
_STACKS_WITHIN = 0.8  # seconds to get stacks in
_SECOND_LOOK = 0.4  # seconds after the first one
_NEXT_LOOK = 0.2  # seconds until each further look, while the result is unsure
_ASKED = 4  # processes of a tree that are asked for their stacks
_SPIES = 4  # of py-spy that run at once, for all suspects together


class SuspectProcess(Protocol):
    """What is needed of the suspect's `Process`.  `key` tells it from other suspects of the same instance."""

    instance: str
    pid: int

    @property
    def tree(self) -> Tree: ...

    @property
    def key(self) -> str: ...


class InstanceOutput(Output, Protocol):
    """What is needed of an instance's output stream: new lines and the last ones."""

    def tail(self, n: int) -> list[str]:
        """The last `n` lines."""


class Examiner:
    """Examines suspects, each once at a time.  `output(instance)` is the instance's output stream.

    `on_stacks(instance, until)` is called before its processes are asked for their stacks, which makes them run.
    """

    def __init__(self, loop: EventLoop, output: Callable[[str], InstanceOutput]) -> None:
        self.loop = loop
        self.output = output
        self.spies = 0
        self.on_stacks: Callable[[str, float], None] = lambda _instance, _until: None
        self._under_way: dict[str, _Examination] = {}
        self._running: dict[str, SchedulableTime] = {}

    def examine(
        self,
        suspect: SuspectProcess,
        spec: ServiceSpec,
        timeout: float,
        confirm: Confirm | None,
        done: Done,
        *,
        again: bool = False,
        ran: float = 0.0,
    ) -> None:
        """Call `done` once within `timeout` seconds, perhaps before this returns.

        An unfinished examination of the same instance is cancelled, and its `done` never called.  `again`: the
        silence is still the one of the last examination, whose measured times go on; else they begin with `ran`
        seconds in which the process could run.
        """
        running = self._running.get(suspect.key) if again else None
        self._cancel(suspect.key)
        self._running[suspect.key] = running = running or SchedulableTime(ran)
        examination = _Examination(self, suspect, spec, timeout, done, running)
        self._under_way[suspect.key] = examination
        examination.begin(confirm)

    def cancel(self, instance: str) -> None:
        """Cancel the examinations of an instance and of its processes without calling `done`."""
        for key in [key for key in self._running if key == instance or key.startswith(f"{instance} ")]:
            self._cancel(key)

    def _cancel(self, key: str) -> None:
        self._running.pop(key, None)
        examination = self._under_way.pop(key, None)
        if examination is not None:
            examination.end()

    def forget(self, examination: _Examination) -> None:
        """Remove an examination that has given its result."""
        if self._under_way.get(examination.suspect.key) is examination:
            del self._under_way[examination.suspect.key]


class _Examination:
    """One examination of one suspect."""

    def __init__(
        self,
        examiner: Examiner,
        suspect: SuspectProcess,
        spec: ServiceSpec,
        timeout: float,
        done: Done,
        running: SchedulableTime,
    ) -> None:
        self.suspect = suspect
        self._running = running
        self._examiner, self._spec, self._done = examiner, spec, done
        self._loop = examiner.loop
        self._began = self._loop.now()
        self._until = self._began + max(timeout - _MARGIN, timeout / 2)
        self._stacks_until = self._until
        self._timer = self._loop.call_at(self._until, self._time_is_up)
        self._over = self._asked = False
        self._missing = 1  # results to wait for; the first is that all have been requested
        self._cancels: list[Callable[[], None]] = []
        self._held: str | None = None
        self._unasked: str | None = None
        self._confirms = False
        self._to_look_again = False  # only a further look can tell whether it waits for a CPU
        self._found: evidence_documents.Evidence = {}

    def begin(self, confirm: Confirm | None) -> None:
        self._confirms = confirm is not None
        pid, now = self.suspect.pid, self._loop.now
        members = self.suspect.tree.members()
        known_from_before = self._running.looked
        waits = self._waits(members)  # before the rest is read, which takes long where this daemon is starved
        lines = self._examiner.output(self.suspect.instance).tail(LAST_LINES)
        self._held, self._found = evidence.examine(pid, members, lines, _LOOK * (self._until - now()), now)
        self._count_running(self._began, waits)
        may = self._held is None and not known_from_before
        self._to_look_again = may and (any_awake(members) or contended(self._found["host"]))
        if not (self._to_look_again and self._again(_SECOND_LOOK, confirm)):
            self._ask(confirm)

    def _again(self, after: float, confirm: Confirm | None) -> bool:
        """Look again `after` seconds later; False where there is no time for it."""
        when = self._loop.now() + after
        if when + _MARGIN >= self._until:
            return False
        self._cancels.append(self._loop.call_at(when, partial(self._next_look, confirm)).cancel)
        return True

    def _next_look(self, confirm: Confirm | None) -> None:
        self._look_again()
        if self._held is not None or not self._running.unsure or not self._again(_NEXT_LOOK, confirm):
            self._ask(confirm)

    def _waits(self, members: list[int]) -> Mapping[Wait, Waited]:
        tree = self.suspect.tree
        return read_waits(members, tree.path if isinstance(tree, CgroupTree) else None)

    def _count_running(self, at: float, waits: Mapping[Wait, Waited]) -> None:
        """Measure whether it gets to run, by the change since the last look."""
        blocked = self._held is not None and not self._found.get("others_can_run")
        self._running.look(at, waits, blocked=blocked)
        self._found["waited"] = {"share": round(self._running.share, 3), "ran_s": round(self._running.ran, 3)}
        if self._held is None and self._running.held is not None:
            self._held = self._found["held"] = self._running.held

    def _look_again(self) -> None:
        self._to_look_again = False
        self._count_running(self._loop.now(), self._waits(self.suspect.tree.members()))

    def _ask(self, confirm: Confirm | None) -> None:
        if confirm is None:
            self._confirmed(False)
        else:
            self._cancels.append(confirm(self._confirmed))

    def end(self) -> None:
        """Cancel all that is under way."""
        self._over = True
        self._timer.cancel()
        for cancel in self._cancels:
            cancel()

    def _confirmed(self, alive: bool, unasked: str | None = None) -> None:
        if self._over or self._asked:
            return
        self._asked = True
        self._unasked = unasked
        self._stacks_until = min(self._until - _MARGIN / 2, self._loop.now() + _STACKS_WITHIN)
        if alive or self._held is not None or unasked is not None:
            self._answer(alive)
            return
        if self._to_look_again:
            return  # at the end of the time
        if self._spec.evidence is Evidence.CORE:
            self._found["core"] = _prepare_core(self.suspect.pid, self._spec)
        # A process with a thread in uninterruptible sleep cannot answer (and its command was not read for that reason).
        pids = [process["pid"] for process in self._found["processes"] if process.get("command")]
        self._examiner.on_stacks(self.suspect.instance, self._stacks_until)
        dumping = self._dump(pids)
        self._spy([pid for pid in pids if pid not in dumping])
        self._one_less()

    def _dump(self, pids: list[int]) -> list[int]:
        """Signal the main process, or the members with a handler where it has none; returns those signalled."""
        number = self._spec.dump_signal
        if number is None:
            return []
        handlers = [pid for pid in pids if catches(pid, number)][:_ASKED]
        if self.suspect.pid in handlers:
            handlers = [self.suspect.pid]
        how = signal_name(number)
        if not handlers:
            self._take(self.suspect.pid, how, [], f"it has no handler for {how}, which would only end it")
            return []

        def ask() -> None:
            for pid in handlers:
                send(pid, number, self.suspect.tree.belongs)

        def heard(lines: list[str]) -> None:
            self._take(handlers[0], how, lines, None if lines else "it wrote nothing")
            self._one_less()

        self._missing += 1
        output = self._examiner.output(self.suspect.instance)
        self._cancels.append(Dump(self._loop, output, ask, self._stacks_until, heard).cancel)
        return handlers

    def _spy(self, pids: list[int]) -> None:
        """Run py-spy, where it is installed, on those that are Python processes."""
        pythons = [pid for pid in pids if pyspy.is_python(pid)][:_ASKED] if pids else []
        spy = pyspy.program() if pythons else None
        if spy is None:
            return
        for pid in pythons:
            if self._examiner.spies >= _SPIES:
                self._take(pid, "py-spy", [], "too many suspects at once")
                continue
            try:
                self._cancels.append(self._spy_on(spy, pid))
            except OSError as error:
                self._take(pid, "py-spy", [], error_text(error))

    def _spy_on(self, spy: str, pid: int) -> Callable[[], None]:
        counted = True

        def release() -> None:
            nonlocal counted
            self._examiner.spies -= counted
            counted = False

        def seen(lines: list[str], error: str | None) -> None:
            release()
            self._take(pid, "py-spy", lines, error)
            self._one_less()

        command = pyspy.stacks(self._loop, spy, pid, max(self._stacks_until - self._loop.now(), 0.0), seen)
        self._examiner.spies += 1
        self._missing += 1

        def cancel() -> None:
            release()
            command.cancel()

        return cancel

    def _take(self, pid: int, how: str, lines: list[str], error: str | None) -> None:
        stack: Stack = {"pid": pid, "how": how}
        if lines:
            stack["lines"] = lines
        else:
            stack["error"] = error
        self._found.setdefault("stacks", []).append(stack)

    def _one_less(self) -> None:
        self._missing -= 1
        if self._missing == 0 and not self._over:
            self._answer(False)

    def _time_is_up(self) -> None:
        self._found["cut_short"] = f"after {self._loop.now() - self._began:.1f} s"
        if self._confirms and not self._asked:
            self._unasked = "no answer yet when the time for it was over"
        if self._to_look_again:
            self._look_again()
        self._answer(False)

    def _answer(self, alive: bool) -> None:
        self._found["took_ms"] = round(1000 * (self._loop.now() - self._began), 1)
        self.end()
        self._examiner.forget(self)
        self._done(alive, self._held, self._found, self._running.ran, self._unasked)


def _prepare_core(pid: int, spec: ServiceSpec) -> Core:
    """Allow the process to leave a core file (unless its configuration limits it), and return where it will be."""
    pattern = (procfs.read("/proc/sys/kernel/core_pattern") or b"").decode(errors="replace").strip()
    found: Core = {"pattern": pattern}
    with suppress(OSError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_CORE)
        if not any(name == "core" for name, _ in spec.limits):
            for maximum in (resource.RLIM_INFINITY, hard):  # above the hard limit only with CAP_SYS_RESOURCE
                with suppress(OSError, ValueError):
                    resource.prlimit(pid, resource.RLIMIT_CORE, (maximum, maximum))
                    break
        limit = resource.prlimit(pid, resource.RLIMIT_CORE)[0]
        found["limit_bytes"] = None if limit == resource.RLIM_INFINITY else limit
        found["directory"] = os.readlink(f"/proc/{pid}/cwd")  # noqa: PTH115
    return found
