"""`up`: starts the daemon, unless it runs, and shows the dashboard or its events."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping

import click

from supervisor.cli.daemon_target import DaemonTarget, on_terminal
from supervisor.cli.detached_daemon import answers, start_detached
from supervisor.cli.fast_path import tell_problems
from supervisor.cli.options import daemon_options, pass_target, services_argument
from supervisor.cli.wait import await_settled
from supervisor.cli.wait_output import ProgressPrinter
from supervisor.client import Client, process_words
from supervisor.core.services.settled import Failure, Rows
from supervisor.errors import ConfigError, NoDaemon, OperationFailed, SupervisorError

REPEATED = 1.0
"""Seconds in which a signal counts as the Ctrl-C before it, passed on by a wrapper."""


@click.command()
@daemon_options("-f", "--file")
@click.option("-d", "--detach", is_flag=True, help="Return when all services are ready, and leave the daemon running.")
@services_argument
@pass_target
def up(target: DaemonTarget, detach: bool, services: tuple[str, ...]) -> int:
    """Start the daemon if none is running, and show the dashboard.

    Without a terminal, events are printed line by line.  Leaving the dashboard stops everything; it asks first, and
    can leave the daemon running.  With SERVICE…, only these and what they depend on are started.

    Example: supervisor up -d
    """
    client = target.client
    running = answers(client)
    after = None if running else _last_event(target)
    if running:
        _tell_of_edits(client)
        client.act("start", services)
    else:
        start_detached(target, services)
        client = target.client  # where the folder was moved, the daemon knows its file by the new path
    if detach:
        _until_ready(client, running)
        return 0
    if not on_terminal():
        return _lines(client, after)
    from supervisor.dashboard.app import run as dashboard

    if not dashboard(client, owns_daemon=True):
        click.echo(_left_behind(client), err=True)
    return 0


def _tell_of_edits(client: Client) -> None:
    """Say that the daemon runs the file as it was: `up` applies no edits."""
    try:
        found = client.reload(dry_run=True)
    except ConfigError as error:
        click.echo(f"the edited file is not in force, because it has an error: {error.message}", err=True)
        return
    if found["added"] or found["removed"] or found["changed"] or found["supervisor"]:
        click.echo(
            "the edited file is not in force: `supervisor reload` applies it (--dry-run shows the changes)", err=True
        )


def _left_behind(client: Client) -> str:
    """What runs on after the dashboard was left.  A daemon that is stopped takes connections, too."""
    try:
        pid = client.daemon_pid()
    except NoDaemon:
        return "the daemon has ended: `supervisor status` shows what still runs, `supervisor up` takes it up again"
    return (
        f"the daemon{process_words(pid)} keeps running: `supervisor top` shows it, `supervisor down` stops everything"
    )


# -- detached --------------------------------------------------------------------------------------------------------


def _until_ready(client: Client, running: bool) -> None:
    """OperationFailed names what will not be ready."""
    names = [row["name"] for row in client.status()["instances"] if row["goal"] == "up"]
    if on_terminal():
        from supervisor.cli.progress import Bar

        with Bar(len(names)) as show:
            failures = await_settled(client, "start", names, {}, show)
    else:
        failures = await_settled(client, "start", names, {}, _Done())
    tell_problems(client.status())
    if failures:
        said = "\n".join(f"  {name}: {why}" for name, why in failures.items())
        raise OperationFailed(
            f"{len(failures)} of {len(names)} did not become ready:\n{said}",
            "The daemon keeps running: `supervisor why NAME` explains the failure, `supervisor down` stops everything.",
        )
    already = " (the daemon was already running)" if running else ""
    click.echo(f"{len(names)} of {len(names)} ready{already}")


class _Done:
    """A line for each instance that is done."""

    def __init__(self) -> None:
        self._tell = ProgressPrinter("ready", click.echo)

    def __call__(self, rows: Rows, found: Mapping[str, bool | Failure]) -> None:
        self._tell(rows, {name: result for name, result in found.items() if result is not False})


# -- line by line ----------------------------------------------------------------------------------------------------


def _last_event(target: DaemonTarget) -> int:
    """The id of the last event of an earlier daemon, so that its events are not printed again."""
    from supervisor.adapters.ledger.query import EventQuery, read_only

    try:
        last = read_only(f"{target.state_dir}/ledger.db").events(EventQuery(limit=1))
    except OperationFailed:
        return 0
    return last[0]["id"] if last else 0


def _lines(client: Client, after: int | None) -> int:
    """Events after the id `after`, as they happen; SIGINT, SIGTERM or SIGHUP stop everything, a second one kills."""
    from supervisor.cli.events import event_line

    stream = client.stream(["events"], after=after, for_order=True)
    asked = threading.Event()
    same_until, asked_by = 0.0, 0

    def stop(number: int, _frame: object) -> None:
        nonlocal same_until, asked_by
        now = time.monotonic()
        if now < same_until and not number == asked_by == signal.SIGTERM:
            return
        if not asked.is_set():
            same_until, asked_by = now + REPEATED, number
        asked.set()
        threading.Thread(target=_ask_down, args=(client,), daemon=True).start()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    for message in stream:
        if message[0] == "event":
            click.echo(event_line(message[1]))
    if not asked.is_set():
        raise OperationFailed("the daemon has ended", "Its last output is in daemon.log in the state directory.")
    return 0


def _ask_down(client: Client) -> None:
    try:
        client.down()
    except SupervisorError:
        return
