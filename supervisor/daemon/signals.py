"""Signals that a user orders: which process gets which, and that `reload_check` has passed before a reload signal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from supervisor.adapters.linux.signal_masks import signal_masks
from supervisor.adapters.linux.signal_numbers import signal_number
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action
from supervisor.core.services.replica import for_instance
from supervisor.core.services.service_set import By
from supervisor.core.services.signal_guard import ReloadCheck, checks, refusal
from supervisor.daemon.parts import Parts
from supervisor.errors import OperationFailed, SupervisorError

LONGEST_CHECKS = 60.0
"""Seconds in which all checks of one order have to pass; its client waits longer (control_socket.py)."""

Done = Callable[[list[str] | SupervisorError], None]


class SignalOrder:
    """One order to signal the instances `names`.

    `signal`: its name or number; None: the reload signal of each service.  `insist`: send it even to a process that
    does not handle it.  `check`: let `reload_check` pass first.  OperationFailed where a process would be ended or
    stopped by it, UsageError where there is no such signal."""

    def __init__(self, parts: Parts, names: Sequence[str], signal: str | None, *, insist: bool, check: bool) -> None:
        self._parts, self._signal, self._insist = parts, signal, insist
        instances = parts.service_set.instances
        number = signal_number(signal) if signal is not None else None
        self._numbers = {name: number or instances[name].spec.reload_signal for name in names}
        self._runs = {name: instances[name].incarnation for name in names}
        specs = {name: for_instance(instances[name].spec, name) for name in names} if check else {}
        self._checks = checks(self._numbers, specs) if check else []
        self._guard()

    def give(self, by: By, carry_out: Callable[[list[Action]], None], done: Done) -> None:
        """Run the checks, send the signals, and call `done` with the instances that got one, or with the error.

        `carry_out` passes the actions on, at once or when the checks have passed."""
        self._by, self._carry_out, self._done = by, carry_out, done
        self._until = self._parts.now() + LONGEST_CHECKS
        self._next()

    def _next(self) -> None:
        """Begin the next check; after the last one, send."""
        self._forget_ended()
        if self._runs and not self._numbers:
            said = f"no signal sent: {', '.join(self._runs)} ended while the check was under way"
            self._done(OperationFailed(said, "A process started in its place has read what a reload would read."))
            return
        while self._checks:
            due = self._checks.pop(0)
            if not self._numbers.keys().isdisjoint(due.instances):
                self._begin(due)
                return
        try:
            self._guard()
        except OperationFailed as error:
            self._done(error)
            return
        service_set = self._parts.service_set
        self._carry_out(service_set.signal(self._numbers, self._parts.now(), self._by, resume=self._signal is None))
        self._done([*self._numbers])

    def _forget_ended(self) -> None:
        """Leave out what has ended since the order: the next process has read what a reload would read."""
        instances = self._parts.service_set.instances
        for name, incarnation in self._runs.items():
            found = instances.get(name)
            if found is None or found.pid is None or found.incarnation != incarnation:
                self._numbers.pop(name, None)

    def _begin(self, due: ReloadCheck) -> None:
        from supervisor.adapters.hooks.reload_check import run_check  # few services have one

        parts, first = self._parts, due.instances[0]
        timeout = max(0.0, self._until - parts.now())

        def ended(why: str, output: tuple[str, ...]) -> None:
            if why:
                self._refuse(due, why, output)
            else:
                self._next()

        run_check(parts.loop, due.spec, first, parts.command_tree, parts.processes.main(first), timeout, ended)

    def _refuse(self, due: ReloadCheck, why: str, output: tuple[str, ...]) -> None:
        self._forget_ended()
        names = [name for name in due.instances if name in self._numbers]
        refused = ev.ReloadRefused(due.spec.reload_signal, why, output, self._by)
        self._carry_out(self._parts.service_set.refuse_reload(names, refused, self._parts.now()))
        said = [f"nothing was sent: reload_check of {due.spec.name} has not passed: {why}", *output]
        runs_on = "It runs on as it is.  " if names else ""
        self._done(OperationFailed("\n  ".join(said), f"{runs_on}--no-check sends the signal all the same."))

    def _guard(self) -> None:
        if not self._insist:
            processes = self._parts.processes.by_instance
            found = {name: signal_masks(processes[name].main) for name in self._numbers}
            refused = refusal(self._numbers, {name: masks for name, masks in found.items() if masks is not None})
            if refused is not None:
                raise OperationFailed(*refused)
