"""`supervisor upgrade`: another version takes over in the same process, without any effect on the children.

The process keeps its pid, so its children stay its own, and every descriptor that must not close is passed on.  Before
that the new version rehearses in a process of its own, which changes nothing: it has to start, to read the
configuration and to understand what is saved.  The plan that it compiled there is the one that it then runs.  If it
still fails while it takes over, the old version is executed again, which recovers as after a crash.  Where the process
itself is lost, a guard does that (daemon/upgrade_guard.py), unless a service manager would.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from supervisor import __version__
from supervisor.adapters.eventloop.fd_passing import HANDOVER, handover
from supervisor.adapters.processes.child_command import WHOLE, ChildCommand, CommandResult
from supervisor.core.model.plain import from_plain
from supervisor.core.model.saved import GARBAGE
from supervisor.core.model.spec import SupervisorSpec
from supervisor.daemon.upgrade_guard import GUARD, leave_guard
from supervisor.errors import OperationFailed, SupervisorError
from supervisor.launch import daemon_command, kept_profiles

if TYPE_CHECKING:
    from supervisor.adapters.eventloop.loop import EventLoop
    from supervisor.core.model.document_types import JSON
    from supervisor.core.model.documents import Upgrade
    from supervisor.core.services.service_set import ServiceSet
    from supervisor.daemon.engine import Engine


REHEARSAL_TIMEOUT = 30.0
"""Seconds in which the new version has to show that it could take over."""
UNCHANGED = "The running version continues; nothing was changed."
ANSWER_DELAY = 0.05
"""Seconds from the answer to the client until the exec, which closes the connection."""
WILL = "will"
"""Name of the descriptor with what a successor needs: the plan, and the command of its predecessor."""
BLOCKED_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
"""Signals that are blocked from the exec until the new version can handle them."""


class Reported(Protocol):
    """What an upgrade needs of the reporter: the variables from which a successor learns how the service manager is
    reached."""

    @property
    def environment(self) -> Mapping[str, str]: ...


class Upgradable(Protocol):
    """What an upgrade needs of the daemon."""

    @property
    def service_set(self) -> ServiceSet: ...

    @property
    def engine(self) -> Engine: ...

    @property
    def loop(self) -> EventLoop: ...

    @property
    def log_format(self) -> str: ...

    @property
    def reporter(self) -> Reported | None: ...

    def save_all(self) -> None: ...

    def finish_hooks(self, done: Callable[[], None]) -> None:
        """Let pending hooks run for a while, then call `done()`."""

    def kill_commands(self) -> None:
        """Kill the probes under way: nothing will wait for their end."""

    def print_rest(self) -> None:
        """Print the lines of services that wait for the reader of stdout."""

    def descriptors(self) -> dict[str, int]:
        """The descriptors that the successor takes over, by name."""
        ...

    def say(self, level: str, message: str) -> None: ...

    def problem(self, message: str) -> None: ...


def upgrade(
    daemon: Upgradable, python: str | None, done: Callable[[Upgrade | SupervisorError], None], by: Mapping[str, Any]
) -> None:
    """Rehearse with the interpreter `python` (None: the present one), call `done`, then execute the new version.
    `by`: what ordered it; the new version records that."""
    interpreter = python or sys.executable
    daemon.save_all()
    path, profiles = daemon.service_set.plan.path, kept_profiles(daemon.service_set.plan.kept_profiles)

    def rehearsed(outcome: CommandResult) -> None:
        if outcome.exit_code != 0:
            words = outcome.errors.decode(errors="replace").strip()[-2000:] or outcome.ending
            done(OperationFailed(f"the new version cannot start: {words}", UNCHANGED))
            return
        try:
            report = json.loads(outcome.output)
            to = str(report["version"])
            configured = from_plain(
                SupervisorSpec, report["plan"]["supervisor"]
            )  # services may have keys of later ones
        except GARBAGE:
            done(OperationFailed("the answer of the new version cannot be read", UNCHANGED))
            return
        if configured != daemon.service_set.plan.supervisor:
            done(
                OperationFailed(
                    "[supervisor] has changed, and an upgrade cannot apply that",
                    "Undo the change, or use `down` and `up`.",
                )
            )
            return
        done({"from": __version__, "to": to, "python": interpreter, "pid": os.getpid()})
        more = {"written": report.get("written", {}), "lacking": report.get("lacking", []), "by": by}
        execute = partial(become, daemon, interpreter, to, report["plan"], more)
        daemon.loop.call_at(daemon.loop.now() + ANSWER_DELAY, lambda: daemon.finish_hooks(execute))

    try:
        ChildCommand(
            daemon.loop,
            [*daemon_command(path, daemon.log_format, python=interpreter, profiles=profiles), "--rehearse", "yes"],
            rehearsed,
            timeout=REHEARSAL_TIMEOUT,
            environment=os.environ,
            keep=WHOLE,
            errors_apart=True,
        )
    except OSError as error:
        done(OperationFailed(f"{interpreter}: {error.strerror}", "Nothing was changed."))


def become(daemon: Upgradable, interpreter: str, version: str, plan: JSON, more: JSON) -> None:
    """Execute the new version, which is told `more`.  Returns only if that fails or the daemon shuts down; nothing
    has changed then."""
    while not daemon.engine.idle:
        daemon.engine.turn()
    if daemon.service_set.closing:
        return
    daemon.say("info", f"upgrading from {__version__} to {version}")
    daemon.print_rest()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED_SIGNALS)
    descriptors = daemon.descriptors()
    plan_in_force = daemon.service_set.plan
    profiles = kept_profiles(plan_in_force.kept_profiles)
    previous = daemon_command(plan_in_force.path, daemon.log_format, profiles=profiles)
    environment = os.environ | (daemon.reporter.environment if daemon.reporter is not None else {})
    will = os.memfd_create(WILL)
    known = {"plan": plan, "previous": previous, "environment": environment, **more}
    os.write(will, json.dumps(known).encode())
    command = daemon_command(plan_in_force.path, daemon.log_format, python=interpreter, profiles=profiles)
    daemon.save_all()
    added = {WILL: will}
    daemon.kill_commands()
    try:
        if daemon.reporter is None and os.getpid() != 1:  # with process 1 all others end as well
            # The kernel names the process that began to listen, so a daemon in another one makes its own socket.
            kept = {name: fd for name, fd in descriptors.items() if name != "control"}
            added[GUARD] = leave_guard(previous, environment, kept)
        environment |= {HANDOVER: handover(descriptors | added)}
        os.execve(interpreter, [*command, "--upgraded-from", __version__], environment)
    except OSError as error:
        for fd in added.values():
            os.close(fd)
        for fd in descriptors.values():
            os.set_inheritable(fd, False)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        daemon.problem(f"the upgrade to {version} failed: {interpreter}: {error.strerror}; this version continues")
