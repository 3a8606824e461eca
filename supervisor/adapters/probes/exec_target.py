"""A command as a probe target: healthy when it exits with 0.

A command that cannot ask says nothing about the service: it cannot be started, ends by a signal, or is stopped or
starved of CPU itself.  Its answer then is `Unasked`.  Only time in which the command could run counts as its timeout,
so that a busy host is not taken for a service that does not answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

from supervisor.adapters.eventloop.loop import EventLoop, Timer
from supervisor.adapters.linux import procfs
from supervisor.adapters.probes.prober import PATIENCE, Cancel, Done, Unasked, error_text, too_late
from supervisor.adapters.processes.child_command import LAST_OUTPUT, ChildCommand, CommandResult, Credentials
from supervisor.adapters.processes.command_trees import CommandTree
from supervisor.adapters.processes.thread_waits import read_waits
from supervisor.core.detection.schedulable_time import STARVED, SchedulableTime
from supervisor.core.text.units import signal_name

_LOOK = 0.2  # seconds between two looks at what a command waits for
_MOST_OUTPUT = 1 << 16  # bytes that are kept where they are read; lines for 256 processes need less
_SHORTEST = 0.05  # seconds; what a shorter life waited is not measured
_DOUBTED = 1.0  # seconds; an answer of its own that a starved command gave later proves nothing
_NOT_RUN = {126: "it cannot be executed", 127: "it is not found"}  # exit codes of sh, env, timeout and their like
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"})  # 128 + n: signal n ended a part
_STOPPED = "Tt"


class ExecTarget:
    """`patience`: how many times the timeout the command may last where it waits for a CPU.

    `tree()` gives the process tree of one run.  `delayed(since)` is called once in a run that waits for a CPU.
    `main()` gives the main process of the service, which the command sees as MAINPID.  `output(text, began, ended)` is
    called with what a successful run has written, right before its answer."""

    __slots__ = (
        "_argv",
        "_delayed",
        "_directory",
        "_environment",
        "_identity",
        "_main",
        "_output",
        "_patience",
        "_tree",
    )

    def __init__(
        self,
        argv: tuple[str, ...],
        directory: str | None,
        environment: Mapping[str, str],
        identity: Credentials,
        tree: Callable[[], CommandTree] | None = None,
        patience: float = PATIENCE,
        delayed: Callable[[float], None] | None = None,
        main: Callable[[], int | None] = lambda: None,
        output: Callable[[bytes, float, float], None] | None = None,
    ) -> None:
        self._argv, self._directory = argv, directory
        self._environment, self._identity = environment, identity
        self._tree, self._patience, self._delayed = tree, patience, delayed
        self._main, self._output = main, output

    def begin(self, loop: EventLoop, timeout: float, done: Done) -> Cancel:
        return _Run(self, loop, timeout, done).cancel


class _Run:
    """One run of the command, which is looked at from time to time while it lasts."""

    def __init__(self, target: ExecTarget, loop: EventLoop, timeout: float, done: Done) -> None:
        self._loop, self._timeout, self._done = loop, timeout, done
        self._tree: CommandTree | None = None
        self._shell = target._argv[0].rpartition("/")[2] in _SHELLS
        self._limit = timeout * target._patience
        self._delayed, self._output = target._delayed, target._output
        self._began = loop.now()
        self._time = SchedulableTime()
        self._time.look(self._began, {}, blocked=False)
        self._stopped = False
        self._lasted = 0.0
        self._excuse: str | None = None
        self._timer: Timer | None = None
        main = target._main()
        try:
            self._tree = target._tree() if target._tree is not None else None
            self._command = ChildCommand(
                loop,
                target._argv,
                self._ended,
                timeout=inf,  # `_check` ends it
                directory=target._directory,
                environment=target._environment if main is None else {**target._environment, "MAINPID": str(main)},
                identity=target._identity,
                keep=LAST_OUTPUT if self._output is None else _MOST_OUTPUT,
                tree=self._tree,
                before_reaping=self._look,
            )
        except OSError as error:
            done(Unasked(f"{target._argv[0]}: {error_text(error)}"), loop.now())
            return
        self._look_later()

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._command.cancel()

    def _look_later(self) -> None:
        now = self._loop.now()
        left = self._began + self._limit - now
        due = min(_LOOK, left, self._timeout - self._time.ran)
        self._timer = self._loop.call_at(now + max(due, _SHORTEST), self._check)

    def _check(self) -> None:
        """End the command when it could run for as long as its timeout, or there is no more patience with it."""
        self._look()
        if self._delayed is not None and self._starvation() is not None:
            self._delayed(self._began)
            self._delayed = None
        if self._time.ran < self._timeout and self._loop.now() < self._began + self._limit:
            self._look_later()
            return
        if self._stopped:
            self._excuse = "it is stopped"
        elif self._time.ran < self._timeout:
            self._excuse = self._starvation()
        self._command.end()

    def _look(self) -> None:
        """Measure for how long the command, or what it started, waited for a CPU since the last look."""
        now, pid = self._loop.now(), self._command.pid
        if now - self._began >= _SHORTEST:
            waits = read_waits([pid, *procfs.descendants(pid)], None)
            stat = procfs.stat(pid)
            self._stopped = stat is not None and stat.state in _STOPPED
            self._time.look(now, waits, blocked=self._stopped)
        self._lasted = now - self._began

    def _starvation(self) -> str | None:
        """That the command waited for a CPU for most of its life; None where it did not."""
        waited = 1.0 - self._time.ran / self._lasted if self._lasted >= _SHORTEST else 0.0
        return f"starved of CPU: it waited {100 * waited:.0f} % of {self._lasted:.1f} s" if waited >= STARVED else None

    def _ended(self, outcome: CommandResult) -> None:
        assert self._timer is not None
        self._timer.cancel()
        now, error = self._loop.now(), self._judged(outcome)
        if error is None and self._output is not None:
            self._output(outcome.output, self._began, now)
        self._done(error, now)

    def _judged(self, outcome: CommandResult) -> str | None:
        if outcome.exit_code == 0:
            return None  # also where the timeout came while it ended
        said = f": {outcome.last_line}" if outcome.last_line else ""
        if outcome.timed_out:
            return Unasked(self._excuse + said) if self._excuse else too_late(self._timeout) + said
        if outcome.exit_code is None and self._tree is not None and self._tree.fault is not None:
            return Unasked(f"{self._tree.fault}{said}")
        if outcome.exit_code is None:
            return Unasked(f"{_signalled(outcome)}{said}")
        if outcome.exit_code in _NOT_RUN:
            return Unasked(f"exit code {outcome.exit_code}, {_NOT_RUN[outcome.exit_code]}{said}")
        if self._shell and 128 < outcome.exit_code < 160:
            return Unasked(f"a part of it was killed by {signal_name(outcome.exit_code - 128)}{said}")
        if self._lasted >= _DOUBTED and (starvation := self._starvation()) is not None:
            return Unasked(f"{starvation}; {outcome.ending}{said}")
        return f"{outcome.ending}{said}"


def _signalled(outcome: CommandResult) -> str:
    return outcome.ending if outcome.signal is None else f"killed by {signal_name(outcome.signal)}"
