"""The beats of single processes, as a command prints them (`source = "exec"` with `scope = "process"`).

The command asks what the server itself knows of its workers: a status page, a beat file, a control socket.  So a server
needs no change, and the daemon knows none of them: it takes lines (core/detection/process_lines.py).

A line counts for a process of this instance's tree only.  A sign of life is new if the process does other work than
before, or if it came after the last one for certain: an age was measured at some time while the command ran.  A process
that is stopped gives none, also if the server counts it as healthy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from supervisor.adapters.linux import procfs
from supervisor.core.detection.process_lines import ProcessLine, parse

Process = tuple[int, int]
"""A process: its pid, and its start time in clock ticks since boot."""

NAMES_NO_PROCESS = (
    "the command of heartbeat.exec succeeds, but names no process of this service; "
    'with scope = "process" it prints a line "PID AGE" for each'
)
_STOPPED = "Tt"
_PATIENCE = 3
"""Runs in a row that name no process until that is a problem; a server that starts has none for a moment."""


class ProcessBeats:
    """`keep(output, began, ended)` takes the output of one run, `tell()` reads it: after the beat of the whole
    instance, which may end a time in which silence did not count.

    `beat(process, at, line)` is called for each new sign of life, `gone(process)` for a known process that has ended.
    `members()` gives the pids of the tree, `main()` its main process, for which the command's success itself speaks.
    `on_problem(text)` is called where a successful command goes on naming no process while there are some."""

    __slots__ = ("_beat", "_gone", "_kept", "_last", "_main", "_members", "_on_problem", "_unnamed")

    def __init__(
        self,
        members: Callable[[], Iterable[int]],
        main: Callable[[], int | None],
        beat: Callable[[Process, float, ProcessLine], None],
        gone: Callable[[Process], None],
        on_problem: Callable[[str], None],
    ) -> None:
        self._members, self._main = members, main
        self._beat, self._gone, self._on_problem = beat, gone, on_problem
        self._last: dict[Process, tuple[float, tuple[float | None, str]]] = {}
        """The latest moment at which the last known sign of life of each process can have come, and its work since."""
        self._unnamed = 0
        self._kept: tuple[bytes, float, float] | None = None

    def keep(self, output: bytes, began: float, ended: float) -> None:
        self._kept = output, began, ended

    def tell(self) -> None:
        if self._kept is not None:
            output, began, ended = self._kept
            self._kept = None
            self._read(output, began, ended)

    def _read(self, output: bytes, began: float, ended: float) -> None:
        for process in [known for known in self._last if procfs.start_time(known[0]) != known[1]]:
            del self._last[process]
            self._gone(process)
        main = self._main()
        members = set(self._members()) - {main}
        named = [line for line in parse(output) if line.pid in members]
        self._unnamed = self._unnamed + 1 if members and not named else 0
        if self._unnamed == _PATIENCE:
            self._on_problem(NAMES_NO_PROCESS)
        for line in named:
            stat = procfs.stat(line.pid)
            if stat is None or stat.ended:
                continue
            process = line.pid, stat.start
            at, work = ended - line.age, (line.limit, line.doing)
            known = self._last.get(process)
            if known is not None:
                last, before = known
                if stat.state in _STOPPED or (began - line.age <= last and work == before):
                    continue
                at = max(at, last)
            self._last[process] = at, work
            self._beat(process, at, line)
