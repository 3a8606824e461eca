"""`supervisor upgrade`: another version takes over in this very process, and no child notices.

The process keeps its number, so its children stay its own, and every descriptor that must not close is handed on.
Before anything is given up the new version has to show, in a process of its own that touches nothing, that it starts,
reads the configuration and understands what is saved.  What it compiled there is what it then runs.  Should it fail
all the same while it takes over, the old version is executed again, which recovers as after a crash.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from supervisor import __version__
from supervisor.adapters.eventloop.fd_passing import HANDOVER, handover
from supervisor.adapters.processes.child_output import run_child
from supervisor.core.model.plain import from_plain
from supervisor.core.model.spec import Plan
from supervisor.errors import OperationFailed, SupervisorError
from supervisor.launch import daemon_command

if TYPE_CHECKING:
    from supervisor.daemon.runtime import Runtime

JSON = dict[str, Any]

REHEARSE_WITHIN = 30.0
"""Seconds."""
ANSWER_FIRST = 0.05
"""Seconds between the answer to who asked and the exec that closes the connection."""
WILL = "will"
"""The descriptor of what a successor has to know: the plan, and how to become its predecessor again."""
HELD_BACK = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
"""Signals that wait from the exec until the new version can take them."""


def upgrade(runtime: Runtime, python: str | None, done: Callable[[JSON | SupervisorError], None]) -> None:
    """Rehearse with the interpreter `python` (None: our own); tell `done`; then become the new version."""
    interpreter = python or sys.executable
    runtime.save_all()
    path = runtime.fleet.plan.path
    try:
        child = subprocess.Popen(
            [*daemon_command(path, runtime.log_format, python=interpreter), "--rehearse", "yes"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        done(OperationFailed(f"{interpreter}: {error.strerror}", "Nothing was changed."))
        return

    def rehearsed(code: int, out: bytes, err: bytes) -> None:
        try:
            report = json.loads(out) if code == 0 else None
            plan = from_plain(Plan, report["plan"]) if report else None
        except (ValueError, KeyError, TypeError):
            report = plan = None
        if plan is None or report is None:
            words = err.decode(errors="replace").strip()[-2000:] or f"it ended with {code}"
            done(OperationFailed(f"the new version cannot start: {words}", "This one goes on; nothing was changed."))
            return
        if plan.supervisor != runtime.fleet.plan.supervisor:
            done(
                OperationFailed("[supervisor] has changed, which an upgrade cannot follow", "Undo that, or use `down`.")
            )
            return
        done({"from": __version__, "to": report["version"], "python": interpreter, "pid": os.getpid()})
        runtime.reactor.call_at(
            runtime.reactor.now() + ANSWER_FIRST,
            lambda: become(runtime, interpreter, report["version"], report["plan"]),
        )

    run_child(runtime.reactor, child, REHEARSE_WITHIN, rehearsed)


def become(runtime: Runtime, interpreter: str, version: str, plan: JSON) -> None:
    """Exec.  Returns only where that failed, and then all is as it was."""
    while not runtime.engine.idle:
        runtime.engine.turn()
    if runtime.fleet.closing:
        return
    runtime.say("info", f"upgrading from {__version__} to {version}")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    descriptors = runtime.descriptors()
    previous = daemon_command(runtime.fleet.plan.path, runtime.log_format)
    environment = os.environ | (runtime.managed.environment if runtime.managed is not None else {})
    will = os.memfd_create(WILL)
    os.write(will, json.dumps({"plan": plan, "previous": previous, "environment": environment}).encode())
    environment |= {HANDOVER: handover(descriptors | {WILL: will})}
    command = daemon_command(runtime.fleet.plan.path, runtime.log_format, python=interpreter)
    runtime.save_all()
    try:
        os.execve(interpreter, [*command, "--upgraded-from", __version__], environment)
    except OSError as error:
        os.close(will)
        for fd in descriptors.values():
            os.set_inheritable(fd, False)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        runtime.problem(f"the upgrade to {version} failed: {interpreter}: {error.strerror}; this version goes on")
