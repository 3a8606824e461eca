"""`status`: prints one row per instance; problems stand out by colour and weight."""

from __future__ import annotations

import click

from supervisor.cli import fast_path as quick
from supervisor.cli.daemon_target import DaemonTarget, on_terminal
from supervisor.cli.options import colored, daemon_options, pass_target, services_argument
from supervisor.errors import UsageError


@click.command()
@daemon_options("-f", "--file")
@click.option("--json", "as_json", is_flag=True, help="Print the answer of the API; with --watch, one per line.")
@click.option("-w", "--watch", is_flag=True, help="Keep updating until interrupted.")
@click.option("--cluster", is_flag=True, help="All hosts of the cluster, also one that is gone, by its last record.")
@services_argument
@pass_target
def status(target: DaemonTarget, as_json: bool, watch: bool, cluster: bool, services: tuple[str, ...]) -> int:
    """Print one row per instance; for one name its page.

    The page says where it is defined, its state and why, what comes next, its processes, its last output, and what to
    type next.  Several names or a pattern print rows.

    Exit code 3 if an instance that should be up is not; 5 if no daemon runs: instances that run on are then unwatched.

    \b
    Examples:
      supervisor status
      supervisor status web
      supervisor status --watch 'web*'"""
    if cluster:
        return _cluster(target, as_json, watch, services)
    if watch:
        return _watch(target, as_json, services)
    return quick.status(target, as_json, services)


def _cluster(target: DaemonTarget, as_json: bool, watch: bool, services: tuple[str, ...]) -> int:
    from supervisor.cli import whole_cluster

    if watch:
        raise UsageError(
            "--cluster cannot be watched", "`supervisor top` shows the hosts and keeps them current: key H."
        )
    return whole_cluster.status(target.client, as_json, services)


def _watch(target: DaemonTarget, as_json: bool, services: tuple[str, ...]) -> int:
    client = target.client
    quick.ask_status(target, as_json, services)  # a wrong name or an absent daemon is an error, not something to watch
    stream = client.stream(["status"], services, reconnect=True)
    if as_json or not on_terminal():
        from json import dumps

        for message in stream:
            if message[0] == "status":
                click.echo(dumps(message[1]) if as_json else quick.plain(message[1]))
            elif message[0] == "disconnected":
                click.echo("connection to the daemon lost; waiting for it", err=True)
        return 0
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(force_terminal=colored(), no_color=not colored(), highlight=False, soft_wrap=False)
    with Live(console=console, auto_refresh=False, screen=True) as live:
        for message in stream:
            if message[0] == "status":
                rows = quick.rows(target, message[1], quick.missing_rows(message[1]))
                live.update(Text.from_ansi(rows, no_wrap=True), refresh=True)
            elif message[0] == "disconnected":
                live.update(Text("connection to the daemon lost; waiting for it", "bold red"), refresh=True)
    return 0
