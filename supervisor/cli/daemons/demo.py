"""`demo`: runs the worked example in a temporary folder, and removes it afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING

import click

from supervisor.cli.daemon_target import DaemonTarget, on_terminal
from supervisor.cli.options import as_duration
from supervisor.errors import NoDaemon, OperationFailed, UsageError
from supervisor.launch import MODULE

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event
    from supervisor.demo.project import Project

ENDS_WITHIN = 5.0
"""Seconds in which the dashboard puts the terminal back."""
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)

PLOT = """\
web takes three seconds to start, and worker waits for it.  moody hangs every quarter of a minute and is brought back.
flaky crashes until its breaker opens; maintenance-page is its fallback."""
NEXT = """\
Your own services: `supervisor init --from Procfile` (or another manager's file),
or `supervisor init`; then `supervisor up`."""


@click.command()
@click.option(
    "--for",
    "seconds",
    callback=as_duration,
    metavar="TIME",
    help="Print events line by line for so long (30s, 2m), then end.",
)
def demo(seconds: float | None) -> None:
    """Run an example with services that start slowly, crash and hang.

    It runs in a temporary folder, so your own services and files are not touched.  On a terminal it shows the dashboard
    until you leave it with q; elsewhere it prints events until SIGINT or SIGTERM.  In the end everything is stopped, a
    report is printed, and the folder is removed.  The line at which a program hangs is shown where py-spy is installed
    (pip install 'phi-supervisor[stacks]').

    Example: supervisor demo --for 30s"""
    from supervisor.demo.project import laid_out

    if seconds == 0.0:
        raise UsageError("--for 0s would end before it begins", "supervisor demo --for 30s")
    os.environ["PYTHON"] = sys.executable  # the programs run with this interpreter
    with ExitStack() as stack:
        try:
            project = stack.enter_context(laid_out())
        except OSError as error:
            hint = "TMPDIR names the directory in which the folder is made."
            raise OperationFailed(f"the example cannot be laid out: {error}", hint) from error
        target = DaemonTarget()
        target.name_file(str(project.file))
        _run(target, project, seconds)


class _Ended(Exception):
    """A signal, or the end of the time."""


class _Signals:
    """Ends a call at a signal, also at one that came before it."""

    def __init__(self) -> None:
        self._came = self._heard = False
        for number in _ENDS:
            signal.signal(number, self._take)

    def _take(self, _number: int, _frame: object) -> None:
        self._came = True
        if self._heard:
            self._heard = False
            raise _Ended

    def end(self, call: Callable[[], None]) -> None:
        """Return when `call` has, or a signal has ended it."""
        with suppress(_Ended):
            try:
                self._heard = True
                if not self._came:
                    call()
            finally:
                self._heard = False


def _run(target: DaemonTarget, project: Project, seconds: float | None) -> None:
    from supervisor.cli.detached_daemon import start_detached
    from supervisor.cli.report import summary

    signals, terminal = _Signals(), os.isatty(1)
    daemon = start_detached(target, ())
    try:
        if seconds is None and on_terminal():
            signals.end(partial(_dashboard, target))
        else:
            signal.setitimer(signal.ITIMER_REAL, seconds or 0.0)
            signals.end(partial(_lines, target, project))
        told = summary(target)
    finally:
        _end(target, daemon, terminal)
    click.echo(f"\nWhat failed and was healed:\n{told}\n{NEXT}")


def _dashboard(target: DaemonTarget) -> None:
    """Show it in a process of its own: in a terminal that is closed it would wait for ever to put that back."""
    command = [sys.executable, *MODULE, "supervisor", "top", "-f", target.file]
    with subprocess.Popen(command) as shown:
        try:
            shown.wait()
        finally:
            shown.terminate()
            try:
                shown.wait(ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                shown.kill()


def _lines(target: DaemonTarget, project: Project) -> None:
    """Events as they happen, and after a hang the line of the program; until a signal, or the end of the daemon."""
    from supervisor.cli.events import event_line

    click.echo(f"The example runs in {project.file.parent}; in another terminal, `cd` there for `supervisor status`,")
    click.echo(f"`supervisor why moody`, `supervisor down`.  Its page for browsers: {project.page}\n{PLOT}\n")
    for message in target.client.stream(["events"], after=0):
        if message[0] == "event":
            click.echo(event_line(message[1]))
            if where := _place(target, message[1]):
                click.secho(f"{'':>21}{where}  (supervisor why {message[1]['instance']})", bold=True)
            sys.stdout.flush()


def _place(target: DaemonTarget, event: Event) -> str:
    """`moody hangs at moody.py:31 in work()` for the event that ends a suspect."""
    from supervisor.core.history.place import advice, place
    from supervisor.display.recorded import FromDaemon

    number = event["detail"].get("evidence_id")
    if number is None or event["to"] != "stopping":
        return ""
    evidence = FromDaemon(target.client).evidence(number)
    where = place(event["cause"], evidence)
    if where is None or evidence is None:
        return ""
    missing = advice(evidence)
    return f"{event['instance']} {where}" + (f"; {missing}" if missing else "")


def _end(target: DaemonTarget, daemon: int, terminal: bool) -> None:
    """Stop what runs, also where the daemon was ended or killed from outside.  Signals are ignored from now on: the
    timeouts of the services limit the wait."""
    from supervisor.cli.detached_daemon import exit_code
    from supervisor.cli.down import end_all

    for number in _ENDS:
        signal.signal(number, signal.SIG_IGN)
    if terminal and not os.isatty(1):  # it was closed, and writing to it is an error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
    click.echo("stopping everything …", err=True)
    with suppress(NoDaemon):
        end_all(target)
    exit_code(daemon)  # until it has ended: it writes into the folder
