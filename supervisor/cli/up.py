"""`up`: starts the daemon, unless it runs, and shows the dashboard or its events."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from supervisor.cli.daemon_target import MOVED, DaemonTarget, on_terminal
from supervisor.cli.detached_daemon import answers, exit_code, start_detached
from supervisor.cli.fast_path import tell_problems
from supervisor.cli.options import daemon_options, pass_target, profile_option, services_argument
from supervisor.cli.waiting.output import ProgressPrinter
from supervisor.cli.waiting.settled import await_settled
from supervisor.client import Client
from supervisor.control_socket import process_words
from supervisor.core.services.settled import Failure, Rows
from supervisor.core.text.waiting import instead_of_running
from supervisor.errors import ConfigError, NoDaemon, OperationFailed, SupervisorError

if TYPE_CHECKING:
    from supervisor.core.model.documents import Status

REPEATED = 1.0
"""Seconds in which a signal counts as the Ctrl-C before it, passed on by a wrapper."""


@click.command()
@daemon_options("-f", "--file")
@profile_option
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
    daemon = None
    after = None if running else _last_event(target)
    if running:
        _tell_of_edits(target)
        _tell_of_profiles(target, client)
        client.act("start", services)
    else:
        daemon = start_detached(target, services)
        client = target.client  # where the folder was moved, the daemon knows its file by the new path
    if detach:
        return _detached(client, daemon, running)
    if not on_terminal():
        return _lines(client, after, daemon)
    from supervisor.dashboard.app import run as dashboard

    if not dashboard(client, owns_daemon=True):
        if (code := exit_code(daemon, wait=False)) is not None:
            return code
        click.echo(_left_behind(client), err=True)
    return 0


def _tell_of_edits(target: DaemonTarget) -> None:
    """Say that the daemon runs the file as it was: `up` applies no edits."""
    try:
        found = target.client.reload(dry_run=True)
    except ConfigError as error:
        if moved := target.moved_from:
            click.echo(f"the file was moved; the daemon reads {moved}\n  {MOVED}", err=True)
            return
        click.echo(f"the edited file is not in force, because it has an error: {error.message}", err=True)
        return
    scaled = found.get("scale_ended", {})
    changed = [name for name, keys in found["changed"].items() if name not in scaled or keys != ["replicas"]]
    if found["added"] or found["removed"] or changed or found["supervisor"]:
        click.echo(
            "the edited file is not in force: `supervisor reload` applies it (--dry-run shows the changes)", err=True
        )


def _tell_of_profiles(target: DaemonTarget, client: Client) -> None:
    """Say that the daemon runs with other profiles than those that were given: `up` does not change them."""
    if not target.profiles:
        return
    active = client.status()["supervisor"].get("profiles", [])
    if "*" not in target.profiles and set(active) != set(target.profiles):
        options = " ".join(f"--profile {name}" for name in target.profiles)
        has = f"active profiles of the running daemon: {', '.join(active) or 'none'}"
        click.echo(f"{has}; `supervisor reload {options}` changes them", err=True)


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


class _Stops(OperationFailed):
    """Everything is being stopped, so that nothing will be ready."""

    def __init__(self) -> None:
        super().__init__("everything is being stopped", "`supervisor events` shows why, and by which order.")


def _detached(client: Client, daemon: int | None, running: bool) -> int:
    """0 when all are ready; the exit code of the daemon where everything ends before that with one service."""
    ends_with_one = True  # a daemon that is gone before it says so has ended by itself
    try:
        ends_with_one = _ends_with_one(client)
        _until_ready(client, running)
    except (NoDaemon, _Stops):
        if not ends_with_one or (code := exit_code(daemon)) is None:
            raise
        click.echo(f"everything has ended, with exit code {code}", err=True)
        return code
    return 0


def _ends_with_one(client: Client) -> bool:
    return any(service.get("end_with") for service in client.services()["services"])


def _until_ready(client: Client, running: bool) -> None:
    """OperationFailed names what will not be ready; _Stops: everything was stopped during the wait."""
    names = [row["name"] for row in client.status()["instances"] if row["goal"] == "up"]
    if on_terminal():
        from supervisor.cli.waiting.progress import Bar

        with Bar(len(names)) as show:
            failures = await_settled(client, "start", names, {}, show)
    else:
        failures = await_settled(client, "start", names, {}, _Done())
    status = client.status()
    if (failures or not names) and status["supervisor"]["closing"]:
        raise _Stops
    tell_problems(status)
    if failures:
        said = "\n".join(f"  {name}: {why}" for name, why in failures.items())
        raise OperationFailed(
            f"{len(failures)} of {len(names)} did not become ready:\n{said}",
            "The daemon keeps running: `supervisor why NAME` explains the failure, `supervisor down` stops everything.",
        )
    already = " (the daemon was already running)" if running else ""
    instead = sum(1 for row in status["instances"] if row["name"] in names and instead_of_running(row))
    elsewhere = f", {instead} wait for the cluster or run on other hosts" if instead else ""
    click.echo(f"{_ready(names, status)} of {len(names)} ready{elsewhere}{already}")


def _ready(names: list[str], status: Status) -> int:
    """How many are ready, or have succeeded, where nothing has failed.  With min_ready a service is ready before all of
    its instances are."""
    rows = {row["name"]: row for row in status["instances"]}
    return sum(row is None or row["ready"] or row["state"] == "exited" for row in map(rows.get, names))


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


def _lines(client: Client, after: int | None, daemon: int | None) -> int:
    """Events after the id `after`, as they happen; SIGINT, SIGTERM or SIGHUP stop everything, a second one kills."""
    from supervisor.cli.events import event_line

    try:
        ends_with_one = _ends_with_one(client)
        stream = client.stream(["events"], after=after, for_order=True)
    except NoDaemon:
        if (code := exit_code(daemon)) is None:
            raise
        return code
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
    if ends_with_one and (code := exit_code(daemon)) is not None:
        return code
    if not asked.is_set():
        raise OperationFailed("the daemon has ended", "Its last output is in daemon.log in the state directory.")
    return 0


def _ask_down(client: Client) -> None:
    try:
        client.down()
    except SupervisorError:
        return
